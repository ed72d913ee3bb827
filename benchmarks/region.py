"""Region by region: does it begin with the subject and end with the background, and what does it cost?

    python -m benchmarks.region [--scenes 200] [--series 0] [--pictures DIR --sheet PREFIX]

Subjects, overlaps and saliency are judged on bundled scenes, which know their objects. An object is a thing with its
parts, such as a house and its roof. Series 77 to 79 were used to choose constants; the default series was not.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.command_line import from_0, from_1, pictures_in, run_benchmark
from benchmarks.yardstick import yardstick_s  # first: it pins threads

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.region_truth import KnownScene, best_overlaps, f_measures, known_scenes, region_object
from benchmarks.synth import print_scaling
from pipelines.pages.gallery.order_map import order_colours
from pipelines.sources.decode import decode
from pipelines.sources.framing import Framing
from renderers import region
from renderers.painting import FrameSchedule, Image, Painting, to_uint8
from renderers.region.config import FILLS, ORDERS, SegmentChoice
from renderers.things.saliency import Saliency, barrier_saliency, spectral_saliency
from renderers.region.segment import graph_cut

_SEED = np.random.SeedSequence(0)
_CANVAS = (0.96, 0.94, 0.9)
_SPEED_PX, _SPEED_SCENES = 512, 12
_SHEET_PX, _SHEET_ROWS = 160, 12


def main() -> None:
    """Run and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=from_1, default=200)
    parser.add_argument("--series", type=from_0, default=0)
    parser.add_argument("--pictures", type=Path, help="folder of pictures for contact sheets")
    parser.add_argument("--sheet", help="write PREFIX-FILL-ORDER-N.png for every fill, and for every order of reveal")
    arguments = parser.parse_args()
    scenes = known_scenes(arguments.series, arguments.scenes, 256)
    print(f"{len(scenes)} scenes of series {arguments.series}, 256 px")
    _print_orders(scenes)
    _print_saliency(scenes)
    _print_seconds()
    print()
    print_scaling(["source=scenes", "renderer=region", "size=512"], 96)
    if arguments.pictures and arguments.sheet:
        _write_sheets(arguments.pictures, arguments.sheet)


def _print_orders(scenes: list[KnownScene]) -> None:
    for method in ("truth", "graph"):
        config = region.Config(segment=SegmentChoice(method=method))
        subjects, things, grounds, counts, overlaps = 0, 0, 0, [], []
        for scene in scenes:
            regions = region.RENDERER.paint(scene.image, config, _SEED, known=scene.knowledge).regions
            assert regions is not None
            first = region_object(scene, regions.labels == regions.order[0])
            subjects += first == scene.subject
            things += first >= 0
            last = np.bincount(scene.labels[regions.labels == regions.order[-1]])
            grounds += int(np.argmax(last)) == 0
            counts.append(len(regions.order))
            overlaps.append(float(np.mean(best_overlaps(scene, regions.labels))))
        share = 100 / len(scenes)
        print(
            f"{method}, mbd: first region in the subject {share * subjects:.1f} %, "
            f"in any thing {share * things:.1f} %; "
            f"background last {share * grounds:.1f} %; {np.mean(counts):.1f} regions; "
            f"mean best IoU {np.mean(overlaps):.3f}"
        )
    print("targets: with truth 85 % in the subject, background last 95 %")


def _print_saliency(scenes: list[KnownScene]) -> None:
    methods: dict[str, Callable[[Image], Saliency]] = {"mbd": barrier_saliency, "spectral": spectral_saliency}
    for name, method in methods.items():
        maps = [method(scene.image) for scene in scenes]
        for target, masks in (
            ("subject", [scene.subject_mask for scene in scenes]),
            ("all things", [(scene.objects >= 0)[scene.labels] for scene in scenes]),
        ):
            measures = np.mean([f_measures(saliency, mask) for saliency, mask in zip(maps, masks, strict=True)], axis=0)
            error = np.mean([np.abs(saliency - mask).mean() for saliency, mask in zip(maps, masks, strict=True)])
            print(f"{name:>8} saliency against the {target:<10}: maxF {measures.max():.3f}  MAE {error:.3f}")


def _print_seconds() -> None:
    scenes = known_scenes(0, _SPEED_SCENES, _SPEED_PX)
    unit = min(yardstick_s() for _ in range(3))
    print(f"\nyardstick {unit:.3f} CPU-s; CPU-seconds a sequence of 8 frames, {_SPEED_PX} px, mean of {len(scenes)}")
    graph = _seconds(lambda scene: graph_cut(scene.image, SegmentChoice()), scenes)
    saliency = _seconds(lambda scene: barrier_saliency(scene.image), scenes)
    print(f"  graph segmentation {graph:.3f} = {graph / unit:.2f} yardsticks; mbd saliency {saliency:.3f}")
    for fill in FILLS:
        config = region.Config(fill=fill, segment=SegmentChoice(method="truth"))  # type: ignore[arg-type]

        def make(scene: KnownScene, config: region.Config = config) -> object:
            return _frames(region.RENDERER.paint(scene.image, config, _SEED, known=scene.knowledge), 8)

        seconds = _seconds(make, scenes)
        print(f"  {fill:>7} without segmentation {seconds:.3f} = {seconds / unit:.2f} yardsticks   target 0.35")


def _seconds(work: Callable[[KnownScene], object], scenes: list[KnownScene]) -> float:
    work(scenes[0])  # compile
    start = time.process_time()
    for scene in scenes:
        work(scene)
    return (time.process_time() - start) / len(scenes)


def _frames(painting: Painting, count: int) -> list[Image]:
    steps = FrameSchedule(num_frames=count).steps(painting.left)
    return list(region.RENDERER.replay(painting.program, steps))


def _write_sheets(folder: Path, prefix: str) -> None:
    """Write sheets; each row has the order of the regions (warm colours first), seven frames, and the picture."""
    paths = pictures_in(folder)
    framing = Framing(height_px=_SHEET_PX, width_px=_SHEET_PX)
    pictures = [framing.apply(decode(path.read_bytes(), max_pixels=10**8)) for path in paths]
    kinds = [("reveal", order) for order in ORDERS] + [(fill, "salient") for fill in FILLS[1:]]
    for fill, order in kinds:
        places = ((0.5, 0.05), (0.5, 0.95)) if order == "user" else ()
        config = region.Config(fill=fill, order=order, user_order=places, canvas=_CANVAS)  # type: ignore[arg-type]
        rows = [_row(picture, region.RENDERER.paint(picture, config, _SEED)) for picture in pictures]
        for first in range(0, len(rows), _SHEET_ROWS):
            sheet = np.vstack(rows[first : first + _SHEET_ROWS])
            cv2.imwrite(f"{prefix}-{fill}-{order}-{first // _SHEET_ROWS}.png", sheet[..., ::-1])


def _row(picture: Image, painting: Painting) -> NDArray[np.uint8]:
    assert painting.regions is not None
    order = order_colours(painting.regions.order)[painting.regions.labels]
    return np.hstack([order, *map(to_uint8, _frames(painting, 8)[1:]), to_uint8(picture)])


if __name__ == "__main__":
    run_benchmark(main)
