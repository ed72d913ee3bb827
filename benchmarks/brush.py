"""Oil and ink: CPU-seconds of one core, in yardsticks, and likeness.

    python -m benchmarks.brush [--pictures DIR] [--sheet PREFIX]

DIR is a folder of pictures; without it, scikit-image's astronaut, coffee and chelsea are painted. `photo_apple.jpg`
among them is measured at 512 px against stylized-neural-painting, whose published schedule took 1,055 CPU-seconds a
picture of 495 strokes and reached 22.9 dB on it.
"""

import argparse
import time
from pathlib import Path
from typing import Literal

from benchmarks.command_line import pictures_in, run_benchmark
from benchmarks.yardstick import yardstick_s  # first: it pins threads

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

from pipelines.sources.decode import decode
from pipelines.sources.framing import Framing
from renderers import brush
from renderers.quality import psnr_db, ssim
from renderers.painting import FrameSchedule, to_uint8

_LUMA = np.array([0.299, 0.587, 0.114])
_PAPER = (0.955, 0.935, 0.885)
_PEER_S, _PEER_DB = 1055.0, 22.9


def main() -> None:
    """Run and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, help="folder of pictures")
    parser.add_argument("--sheet", help="write contact sheets PREFIX-oil.png and PREFIX-ink.png")
    arguments = parser.parse_args()
    paths = _paths(arguments.pictures)
    _paint(_load(paths[0], 64), _config("oil"))  # compile
    unit = min(yardstick_s() for _ in range(3))
    print(f"yardstick {unit:.3f} CPU-s")
    for apple in (path for path in paths if path.name == "photo_apple.jpg"):
        picture = _load(apple, 512)
        print("\nphoto_apple, 512 px, 500 strokes, oil           target: 24 dB and SSIM 0.55 in 3 yardsticks")
        for preset in ("std", "best"):
            seconds, frames = _paint(picture, _config("oil", preset))
            print(
                f"{preset:>5} {seconds:6.2f} CPU-s = {seconds / unit:5.2f} yardsticks  "
                f"{psnr_db(frames[-1], picture):.2f} dB  SSIM {ssim(frames[-1], picture):.3f}"
            )
        print(f" peer {_PEER_S:6.0f} CPU-s (published schedule, measured before)  {_PEER_DB} dB")
    print(f"\n{len(paths)} pictures, 256 px, 500 strokes, std")
    _folder(paths, "oil", unit, arguments.sheet)
    _folder(paths, "ink", unit, arguments.sheet)


def _paths(folder: Path | None) -> list[Path]:
    if folder is None:
        return [Path(skimage.data.__file__).parent / f"{name}.png" for name in ("astronaut", "coffee", "chelsea")]
    return pictures_in(folder)


def _folder(paths: list[Path], medium: Literal["oil", "ink"], unit: float, sheet: str | None) -> None:
    rows, strips, brightest_rise = [], [], 0.0
    for path in paths:
        picture = _load(path, 256)
        seconds, frames = _paint(picture, _config(medium))
        likeness = np.corrcoef((frames[-1] @ _LUMA).ravel(), (picture @ _LUMA).ravel())[0, 1]
        empty = (np.abs(frames[-1] - frames[0]).max(-1) < 8 / 255).mean()
        rows.append((seconds, psnr_db(frames[-1], picture), ssim(frames[-1], picture), likeness, empty))
        brightest_rise = max(brightest_rise, float(np.diff(frames, axis=0).max()))
        strips.append(np.hstack([to_uint8(frame) for frame in [*frames, picture]]))
    seconds, decibels, similarity, likeness, empty = np.mean(rows, axis=0)
    print(
        f"{medium:>5} {seconds:6.3f} CPU-s = {seconds / unit:4.2f} yardsticks  {decibels:.2f} dB  "
        f"SSIM {similarity:.3f}  luma correlation {likeness:.3f}  "
        f"empty {100 * empty:.0f} % (least {100 * min(row[4] for row in rows):.0f} %)"
    )
    if medium == "ink":
        print(f"      largest rise of any pixel in any frame: {brightest_rise:.6f}")
    if sheet is not None:
        half = cv2.resize(np.vstack(strips), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        cv2.imwrite(f"{sheet}-{medium}.png", half[..., ::-1])


def _load(path: Path, size_px: int) -> NDArray[np.float32]:
    return Framing(height_px=size_px, width_px=size_px).apply(decode(path.read_bytes(), max_pixels=10**8))


def _config(medium: Literal["oil", "ink"], preset: Literal["std", "best"] = "std") -> brush.Config:
    return brush.Config(medium=medium, preset=preset, canvas=_PAPER if medium == "ink" else (0.82, 0.76, 0.66))


def _paint(picture: NDArray[np.float32], config: brush.Config) -> tuple[float, list[NDArray[np.float32]]]:
    start = time.process_time()
    painting = brush.RENDERER.paint(picture, config, np.random.SeedSequence(0))
    seconds = time.process_time() - start
    return seconds, list(brush.RENDERER.replay(painting.program, FrameSchedule().steps(painting.left)))


if __name__ == "__main__":
    run_benchmark(main)
