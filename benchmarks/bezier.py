"""The Bézier renderer: CPU-seconds of one core, in yardsticks, and dB.

python -m benchmarks.bezier                       # astronaut, coffee, chelsea at 256 px, 500 strokes, all presets
python -m benchmarks.bezier --pictures DIR        # also all pictures of a folder at 256 px, `std`
python -m benchmarks.bezier --pictures DIR --sheet sheet.png
"""

import argparse
import time
from pathlib import Path

from benchmarks.command_line import pictures_in, run_benchmark
from benchmarks.yardstick import yardstick_s  # first: it pins threads

import cv2  # isort: skip
import numpy as np
from numpy.typing import NDArray
from skimage import data

from pipelines.sources.decode import decode
from pipelines.sources.framing import Framing
from renderers import bezier
from renderers.bezier.fit import fit
from renderers.quality import psnr_db, ssim
from renderers.painting import FrameSchedule, to_uint8

Image = NDArray[np.float32]
_EARLY_STROKES = 100


def main() -> None:
    """Run and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, help="folder of pictures")
    parser.add_argument("--sheet", type=Path, help="write a contact sheet of the folder's processes here")
    arguments = parser.parse_args()
    photographs = [
        Framing().apply(picture() / np.float32(255)) for picture in (data.astronaut, data.coffee, data.chelsea)
    ]
    fit(photographs[0], bezier.Config(), np.random.default_rng(0))  # compile
    unit = min(yardstick_s() for _ in range(3))
    print(f"yardstick: {unit:.3f} CPU-s (1,000 exact disc strokes with OpenCV, 128 px)\n")
    print("astronaut, coffee, chelsea, 256 px, 500 strokes        target")
    targets = {"fast": "26.3 dB in 0.45", "std": "28.1 dB, 21.5 early, in 1.0; goal 28 dB in 0.25", "best": ""}
    for preset in ("fast", "std", "best"):
        seconds, end, early = _measure(photographs, bezier.Config(preset=preset))
        print(
            f"{preset:>5} {seconds:6.3f} CPU-s = {seconds / unit:5.2f} yardsticks  {end:6.2f} dB  "
            f"{early:6.2f} dB at {_EARLY_STROKES} strokes   {targets[preset]}"
        )
    if arguments.pictures:
        _folder(arguments.pictures, arguments.sheet, unit)


def _measure(pictures: list[Image], config: bezier.Config) -> tuple[float, float, float]:
    """Mean CPU-seconds (the least of three runs each), dB at the end and dB after the early strokes."""
    rows = []
    for picture in pictures:
        run_seconds = []
        for _ in range(3):
            start = time.process_time()
            strokes = fit(picture, config, np.random.default_rng(0))
            run_seconds.append(time.process_time() - start)
        painting = bezier.RENDERER.paint(picture, config, np.random.SeedSequence(0))
        early, end = bezier.RENDERER.replay(painting.program, [_EARLY_STROKES, len(strokes)])
        rows.append((min(run_seconds), psnr_db(end, picture), psnr_db(early, picture)))
    seconds, end_db, early_db = np.mean(rows, axis=0)
    return float(seconds), float(end_db), float(early_db)


def _folder(folder: Path, sheet: Path | None, unit: float) -> None:
    rows, strips = [], []
    paths = pictures_in(folder)
    for path in paths:
        picture = Framing().apply(decode(path.read_bytes(), max_pixels=10**8))
        start = time.process_time()
        painting = bezier.RENDERER.paint(picture, bezier.Config(), np.random.SeedSequence(0))
        seconds = time.process_time() - start
        frames = list(bezier.RENDERER.replay(painting.program, FrameSchedule().steps(painting.left)))
        rows.append((path.stem, psnr_db(frames[-1], picture), ssim(frames[-1], picture), seconds))
        strips.append(np.hstack([to_uint8(frame) for frame in [*frames, picture]]))
    decibels = [row[1] for row in rows]
    worst = min(rows, key=lambda row: row[1])
    print(f"\n{len(rows)} pictures, 256 px, std: mean {np.mean(decibels):.2f} dB, least {worst[1]:.2f} ({worst[0]})")
    print(
        f"mean SSIM {np.mean([row[2] for row in rows]):.3f}, {np.mean([row[3] for row in rows]) / unit:.2f} yardsticks"
    )
    if sheet is not None:
        half = cv2.resize(np.vstack(strips), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(sheet), half[..., ::-1])
    apple = folder / "photo_apple.jpg"
    if apple.exists():
        picture = Framing(height_px=512, width_px=512).apply(decode(apple.read_bytes(), max_pixels=10**8))
        seconds, end, _ = _measure([picture], bezier.Config(num_strokes=495))
        print(
            f"photo_apple, 512 px, 495 strokes, std: {end:.2f} dB in {seconds / unit:.2f} yardsticks   target 27.5 dB"
        )


if __name__ == "__main__":
    run_benchmark(main)
