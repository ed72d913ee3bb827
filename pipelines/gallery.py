"""stub"""

from pathlib import Path


def write_gallery(root: Path) -> Path:
    return root / "gallery" / "index.html"
