"""The things of a picture: is the subject one of them, is what lies in front known, and what does it cost?

    python -m benchmarks.things [--scenes 100] [--series 0] [--pictures DIR --sheet FILE.png]

The measure uses bundled scenes, whose true objects are hidden from the method that is judged. Series 77 to 79 were used
to choose constants; the default series was not.
"""

import argparse
import time
from pathlib import Path

from benchmarks.command_line import from_0, from_1, pictures_in, run_benchmark
from benchmarks.yardstick import yardstick_s  # first: it pins threads

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.region_truth import KnownScene, known_scenes
from pipelines.sources.decode import decode
from pipelines.sources.framing import Framing
from renderers.painting import NOTHING_KNOWN, Image, to_uint8
from renderers.things import Things, ThingsConfig, find_things

_SIZE_PX, _SHEET_PX, _SHEET_COLUMNS = 256, 256, 6
_CONFIG = ThingsConfig()


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=from_1, default=100)
    parser.add_argument("--series", type=from_0, default=0)
    parser.add_argument("--pictures", type=Path, help="folder of pictures for a contact sheet")
    parser.add_argument("--sheet", type=Path, help="where it is written")
    arguments = parser.parse_args()
    scenes = known_scenes(arguments.series, arguments.scenes, _SIZE_PX)
    things_of(scenes[0].image)  # compile
    start = time.process_time()
    things_of_scenes = [things_of(scene.image) for scene in scenes]
    seconds = (time.process_time() - start) / len(scenes)
    overlaps = [subject_overlap(scene, things) for scene, things in zip(scenes, things_of_scenes, strict=True)]
    num_right, num_pairs = np.sum(
        [depth_pairs(scene, things) for scene, things in zip(scenes, things_of_scenes, strict=True)], axis=0
    )
    unit = min(yardstick_s() for _ in range(3))
    print(f"{len(scenes)} scenes of series {arguments.series}, {_SIZE_PX} px")
    print(
        f"IoU of the subject and the thing most like it: mean {np.mean(overlaps):.3f}, median {np.median(overlaps):.3f}"
    )
    print(f"{np.mean([len(things.names) for things in things_of_scenes]):.1f} things")
    print(f"in front of one another rightly: {100 * num_right / num_pairs:.1f} % of pairs of things (by chance 50)")
    print(f"{seconds:.3f} CPU-s = {seconds / unit:.2f} yardsticks")
    if arguments.pictures and arguments.sheet:
        write_sheet(arguments.pictures, arguments.sheet)


def things_of(image: Image) -> Things:
    """The things that are found in a picture without any knowledge of it."""
    return find_things(image, NOTHING_KNOWN, _CONFIG, np.random.default_rng(0), {})


def subject_overlap(scene: KnownScene, things: Things) -> float:
    """The best IoU of any thing with the subject."""
    inside = np.bincount(things.labels[scene.subject_mask], minlength=len(things.names))
    return float((inside / (things.areas_px + scene.subject_mask.sum() - inside)).max())


def depth_pairs(scene: KnownScene, things: Things) -> tuple[int, int]:
    """The number of pairs of things whose order agrees with their mean true depths, and the number of all pairs."""
    assert scene.knowledge.depth is not None
    mean_depths = np.bincount(things.labels.ravel(), scene.knowledge.depth.ravel()) / things.areas_px
    first, second = np.triu_indices(len(mean_depths), 1)
    agrees = (things.depth_rank[first] < things.depth_rank[second]) == (mean_depths[first] > mean_depths[second])
    return int(agrees.sum()), len(first)


def write_sheet(folder: Path, path: Path) -> None:
    """Write a sheet of pictures with their things outlined and tinted."""
    framing = Framing(height_px=_SHEET_PX, width_px=_SHEET_PX)
    files = pictures_in(folder)
    tiles = [_outlined(framing.apply(decode(file.read_bytes(), max_pixels=10**8))) for file in files]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % _SHEET_COLUMNS)
    rows = [np.hstack(tiles[i : i + _SHEET_COLUMNS]) for i in range(0, len(tiles), _SHEET_COLUMNS)]
    cv2.imwrite(str(path), np.vstack(rows)[..., ::-1])


def _outlined(image: Image) -> NDArray[np.uint8]:
    things = things_of(image)
    hues = np.uint8(np.arange(len(things.names)) * 180 // len(things.names))
    palette = cv2.cvtColor(np.stack([hues, hues * 0 + 200, hues * 0 + 230], -1)[None], cv2.COLOR_HSV2RGB)[0]
    tint = palette[things.labels].astype(np.float32) / np.float32(255)
    low, high = (change(things.labels, np.ones((2, 2), np.uint8)) for change in (cv2.erode, cv2.dilate))
    return to_uint8(np.where((low != high)[..., None], 1.0, 0.65 * image + 0.35 * tint).astype(np.float32))


if __name__ == "__main__":
    run_benchmark(main)
