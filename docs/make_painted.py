"""Makes docs/images/painted.webp, the README's picture of what the shipped painter paints, of processes painted there.

    python -m docs.make_painted outputs/{words,tree,way,ended,both,vase,night}

A row for each folder, as the commands in docs/painter.md make them; frames of any size are brought to one height.
"""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_HEIGHT_PX, _GAP_PX = 160, 2


def main() -> None:
    """A row a process, ends in one column: a completed painting has no beginning."""
    processes = [_frames(Path(folder) / "frames") for folder in sys.argv[1:]]
    longest = max(len(frames) for frames in processes)
    blank = np.full_like(processes[0][0], 255)
    rows = [np.hstack([blank] * (longest - len(frames)) + frames) for frames in processes]
    Image.fromarray(np.vstack(rows)).save(Path(__file__).parent / "images" / "painted.webp", quality=88, method=6)


def _frames(folder: Path) -> list[NDArray[np.uint8]]:
    pictures = [Image.open(path).convert("RGB") for path in sorted(folder.glob("*.png"))]
    return [
        np.pad(
            np.asarray(picture.resize((_HEIGHT_PX, _HEIGHT_PX), Image.Resampling.LANCZOS)),
            ((0, _GAP_PX), (0, _GAP_PX), (0, 0)), constant_values=255,
        )
        for picture in pictures
    ]  # fmt: skip


if __name__ == "__main__":
    main()
