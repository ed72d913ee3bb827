"""The learned agent beside random search, the planner and published figures: error after as many strokes.

python -m benchmarks.agent --actor RUN/weights/actor.safetensors --data DIR     # held-out pictures of its data set
python -m benchmarks.agent --actor RUN/weights/actor.safetensors --images DIR   # pictures of a folder

All paint on black at the actor's size and are compared at `--size`. For each stroke, random search tries some random
ones of the same kind, each in its best colour, and keeps the one that reduces the error most, if any does. An actor of
stage=agent also tries strokes: on a canvas of 64 px, 256 for every five that it paints, which is 51 for each.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.command_line import from_1, pictures_in, run_benchmark
from benchmarks.yardstick import yardstick_s  # first: it pins threads

import cv2  # isort: skip
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from pipelines.synthesis.assets import read_assets
from pipelines.sources.decode import decode
from pipelines.sources.framing import Framing
from renderers import agent, bezier
from renderers.quality import psnr_db
from renderers.raster.discs import disc_masks
from training.data.stream import DataMixture, SequenceStream
from training.models.proposing import ProposingActor
from training.models.read_tensors import read_tensors

Image = NDArray[np.float32]
Painter = Callable[[Image], Iterator[Image]]
"""A function from a picture to its canvases after each number of strokes in `_COMPARED_AFTER`."""

_COMPARED_AFTER = (25, 50, 100)
_PUBLISHED = (
    ("Learning to Paint, lisa.png, 128 px", (0.0123, 0.0088, 0.0059), "log of the authors' demonstration (triangles)"),
    ("Learning to Paint, 512 px, all strokes", (None, None, 0.0162), "table of ProcessPainter, other pictures"),
)


@dataclass(frozen=True)
class RandomSearch:
    """Greedy random search over the exact strokes of Learning to Paint.

    Attributes:
        num_candidates: number of random strokes that are tried at each step.
        finer: whether their radii shrink to a fifth in the course of the painting.
        size_px: side of the canvas.
    """

    num_candidates: int
    finer: bool
    size_px: int

    def __call__(self, picture: Image) -> Iterator[Image]:
        """The canvases after each number of strokes in `_COMPARED_AFTER`."""
        generator = np.random.default_rng(0)
        target = picture.reshape(-1, 3)
        canvas = np.zeros_like(target)
        for number in range(1, _COMPARED_AFTER[-1] + 1):
            strokes = generator.random((self.num_candidates, 13)).astype(np.float32)
            if self.finer:
                strokes[:, 6:8] *= 1 - 0.8 * number / _COMPARED_AFTER[-1]
            canvas = self._best(strokes, canvas, target)
            if number in _COMPARED_AFTER:
                yield canvas.reshape(picture.shape)

    def _best(self, strokes: Image, canvas: Image, target: Image) -> Image:
        masks = disc_masks(strokes, self.size_px).reshape(len(strokes), -1)
        squares = masks**2
        numerators = masks @ (target - canvas) + squares @ canvas  # least squares of canvas (1 - M) + M colour
        colours = np.clip(numerators / (squares.sum(1, keepdims=True) + 1e-6), 0, 1)
        painted = canvas + masks[..., None] * (colours[:, None] - canvas)
        errors = np.append(((painted - target) ** 2).mean((1, 2)), ((canvas - target) ** 2).mean())
        best = int(errors.argmin())
        return canvas if best == len(strokes) else painted[best]


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--actor", type=Path, default=Path("outputs/agent/weights/actor.safetensors"), help="weights of an actor"
    )
    parser.add_argument("--data", help="data set, of whose val split the finished pictures are painted")
    parser.add_argument("--images", type=Path, help="folder of pictures to paint instead")
    parser.add_argument("--count", type=from_1, default=32, help="pictures at most")
    parser.add_argument("--width", type=from_1, default=64, help="px, at which the actor learnt to paint")
    parser.add_argument("--steps", type=from_1, default=20, help="of five strokes, as the actor learnt to take")
    parser.add_argument("--size", type=from_1, help="px, at which canvases are compared; by default the width")
    arguments = parser.parse_args()
    if arguments.data is None and arguments.images is None:
        arguments.data = "outputs/tiny/scenes"  # which `make train-tiny` makes
    elif arguments.data is not None and arguments.images is not None:
        parser.error("say either --data or --images")
    size_px = arguments.size or arguments.width
    load = _held_out if arguments.data is not None else _folder
    pictures = load(arguments.data or arguments.images, arguments.count, size_px)
    unit = min(yardstick_s() for _ in range(3))
    print(f"{len(pictures)} pictures of {size_px} px, painted on black; yardstick {unit:.3f} CPU-s\n")
    print(f"{'':46}{'MSE after ' + ', '.join(map(str, _COMPARED_AFTER)) + ' strokes':34}{'dB':>7}{'yardsticks':>12}")
    for name, painter in _painters(arguments, size_px):
        errors, decibels, seconds = _measure(painter, pictures)
        figures = "".join(f"{error:10.4f}" for error in errors)
        print(f"{name:46}{figures:34}{decibels:7.2f}{seconds / unit:12.2f}", flush=True)
    for name, published, where in _PUBLISHED:
        figures = "".join(f"{'' if error is None else format(error, '.4f'):>10}" for error in published)
        print(f"{name:46}{figures:34}  {where}")


def _painters(arguments: argparse.Namespace, size_px: int) -> Iterator[tuple[str, Painter]]:
    for num_candidates, finer in ((1, False), (10, False), (100, False), (10, True), (51, True), (100, True)):
        name = f"random search, {num_candidates} a stroke" + (", finer and finer" if finer else "")
        yield name, RandomSearch(num_candidates, finer, size_px)
    yield "agent", _agent(arguments.actor, arguments, size_px)
    tensors = read_tensors(arguments.actor)
    if "stem.weight" in tensors:
        torch.manual_seed(0)
        untrained = arguments.actor.with_name("untrained.safetensors")
        save_file(ProposingActor(len(tensors["stem.weight"])).state_dict(), untrained)
        yield "the same agent, untrained", _agent(untrained, arguments, size_px)
        untrained.unlink()
    for preset in ("fast", "std", "best"):
        yield f"planner (renderer=bezier, {preset})", _planner(bezier.Config(
            preset=preset, num_strokes=_COMPARED_AFTER[-1], canvas=(0.0, 0.0, 0.0)
        ))  # fmt: skip


def _agent(weights: Path, arguments: argparse.Namespace, size_px: int) -> Painter:
    config = agent.Config(actor=str(weights), width_px=arguments.width, num_steps=arguments.steps)
    assets = read_assets(agent.RENDERER.asset_files(config)).content

    def paint(picture: Image) -> Iterator[Image]:
        program = agent.RENDERER.plan(picture, config, np.random.SeedSequence(0), assets)
        return agent.RENDERER.replay(program, _COMPARED_AFTER, (size_px, size_px))

    return paint


def _planner(config: bezier.Config) -> Painter:
    def paint(picture: Image) -> Iterator[Image]:
        return bezier.RENDERER.replay(bezier.RENDERER.plan(picture, config, np.random.SeedSequence(0)), _COMPARED_AFTER)

    return paint


def _measure(painter: Painter, pictures: list[Image]) -> tuple[NDArray[np.float64], float, float]:
    """Mean squared errors, mean PSNR at the end in dB, and mean CPU-seconds a picture."""
    list(painter(pictures[0]))  # to compile kernels and load weights
    start = time.process_time()
    canvases = [list(painter(picture)) for picture in pictures]
    seconds = (time.process_time() - start) / len(pictures)
    errors = [
        [float(((canvas.astype(np.float64) - picture) ** 2).mean()) for canvas in row]
        for row, picture in zip(canvases, pictures, strict=True)
    ]
    decibels = [psnr_db(row[-1], picture) for row, picture in zip(canvases, pictures, strict=True)]
    return np.mean(errors, axis=0), float(np.mean(decibels)), seconds


def _held_out(data: str, count: int, size_px: int) -> list[Image]:
    mixture = (DataMixture(path=data),)
    stream = SequenceStream.open(mixture, split="val", frames="last", captions_required=False)
    frames = stream.first(seed=0, count=count).frames
    assert frames is not None
    pictures = (frames[:, -1].permute(0, 2, 3, 1).numpy() / 2 + 0.5).astype(np.float32)
    return [cv2.resize(picture, (size_px, size_px), interpolation=cv2.INTER_AREA) for picture in pictures]


def _folder(folder: Path, count: int, size_px: int) -> list[Image]:
    paths = pictures_in(folder)
    framing = Framing(height_px=size_px, width_px=size_px)
    return [framing.apply(decode(path.read_bytes(), max_pixels=10**8)) for path in paths[:count]]


if __name__ == "__main__":
    run_benchmark(main)
