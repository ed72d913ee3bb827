"""Makes README's pictures of what the shipped painter paints, of processes painted with the commands that stand there.

    python -m docs.make_painted painted.webp outputs/{words,boat,tree,vase,way,ended,both}
    python -m docs.make_painted strokes.webp outputs/{cat_drawn,coffee,night} --columns 4 --height 213

The first argument is a file of docs/images. Frames of any size are brought to one height and cut to the least width;
`--columns` of them make a row. The boat is "a white sailboat with a red sail on the sea, beneath a blue sky, painted in
oil", the tree "a green tree on a yellow meadow, beneath a pink sky, painted with translucent strokes", the vase "a blue
vase with yellow flowers on a brown table, against a white wall, painted region by region"; the photographs are
`skimage.data.chelsea()` and `coffee()`.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_GAP_PX = 2


def main() -> None:
    """Stack the processes with their ends in one column, because a completed painting has no beginning."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", help="file name in docs/images")
    parser.add_argument("processes", nargs="+", type=Path, help="out= of pipelines.paint")
    parser.add_argument("--columns", type=int, default=8, help="frames a row")
    parser.add_argument("--height", type=int, default=160, help="of a frame in px")
    arguments = parser.parse_args()
    processes = [_frames(process / "frames", arguments.height) for process in arguments.processes]
    width = min(frames[0].shape[1] for frames in processes)
    rows = [row for frames in processes for row in _rows([frame[:, :width] for frame in frames], arguments.columns)]
    Image.fromarray(np.vstack(rows)).save(
        Path(__file__).parent / "images" / arguments.picture, quality=88, method=6
    )  # fmt: skip


def _rows(frames: list[NDArray[np.uint8]], columns: int) -> list[NDArray[np.uint8]]:
    missing = -len(frames) % columns
    cells = [np.full_like(frames[0], 255)] * missing + frames
    return [np.hstack(cells[start : start + columns]) for start in range(0, len(cells), columns)]


def _frames(folder: Path, height_px: int) -> list[NDArray[np.uint8]]:
    frames = []
    for path in sorted(folder.glob("*.png")):
        picture = Image.open(path).convert("RGB")
        size_px = (round(picture.width * height_px / picture.height), height_px)
        frame = np.asarray(picture.resize(size_px, Image.Resampling.LANCZOS))
        frames.append(np.pad(frame, ((0, _GAP_PX), (0, _GAP_PX), (0, 0)), constant_values=255))
    return frames


if __name__ == "__main__":
    main()
