"""Folders of pictures, and sources that read them."""

import io
from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image

from conf.errors import UserError
from pipelines.sources.folder import FolderSource
from pipelines.sources.framing import Framing

FRAMING = Framing(height_px=64, width_px=64)


def png(colour: str = "red") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (80, 60), colour).save(out, "PNG")
    return out.getvalue()


def grey_png() -> bytes:
    out = io.BytesIO()
    Image.new("L", (80, 60), 128).save(out, "PNG")
    return out.getvalue()


def fill(root: Path, files: Mapping[str, bytes | str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def ids(source: FolderSource, limit: int | None = None) -> list[str]:
    return [entry.id for entry in source.index(limit)]


def one_line_error(source: FolderSource) -> str:
    with pytest.raises(UserError) as caught:
        source.index(None)
    assert "\n" not in str(caught.value)
    return str(caught.value)
