"""The rasteriser for GPUs beside the kernels of the CPU: strokes/s, and Bézier sequences/s placed and refined.

    python -m benchmarks.raster                      # on a GPU where there is one
    python -m benchmarks.raster --device cpu --batch 2 --strokes 100 --size 64
    python -m benchmarks.raster --torch              # on a GPU, but without its Triton kernels

The kernels of the CPU come last, on one core: the first time, they compile for a minute.
"""

import argparse
import sys
import time
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from benchmarks.command_line import from_1, run_benchmark
from renderers.raster.gpu import rasteriser
from renderers.bezier import Config
from renderers.bezier.fit import RATES, bezier_brief, fit, limits_of
from renderers.bezier.gpu.fit import fit_batch
from renderers.bezier.refine import Moments, refine
from renderers.brush.gpu import TexturedShade
from renderers.brush.kinds import BristleBrush
from renderers.brush.stroke import NUM_BRUSH_COLUMNS, lay_all, marks_of, new_brush_scratch
from renderers.brush.texture import make_brush
from renderers.quality import psnr_db
from renderers.painting import Image
from renderers.raster.gradient import Loss
from renderers.raster.ribbon import Floats, Grid, grid
from renderers.raster.stamp import draw_all, new_scratch

_PRESETS: tuple[Literal["fast", "std"], ...] = ("fast", "std")
_PICTURES = 8


def main() -> None:
    """Run and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--strokes", type=from_1, default=500, help="of each picture")
    parser.add_argument("--size", type=from_1, default=256, help="side of the canvas, px")
    parser.add_argument("--batch", type=from_1, default=128, help="pictures painted at once")
    parser.add_argument("--sequences", type=from_1, default=256, help="pictures placed and refined at once")
    parser.add_argument("--seconds", type=float, default=2.0, help="that each row is measured for")
    parser.add_argument("--torch", action="store_true", help="without Triton kernels")
    parser.add_argument("--no-cpu", action="store_true", help="leave out the kernels of the CPU")
    arguments = parser.parse_args()
    if arguments.torch:
        vars(rasteriser)["is_fused"] = lambda _: False
    torch.set_num_threads(1)
    device = torch.device(arguments.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU, one thread"
    print(f"{name}; {arguments.strokes} strokes, {arguments.size} px\n")
    # Making pictures takes longer than painting them, so a few are made, and shifted copies of these are used.
    originals = [_picture(arguments.size, seed) for seed in range(_PICTURES)]
    count = max(arguments.batch, arguments.sequences)
    pictures = [np.roll(originals[n % _PICTURES], n // _PICTURES, (0, 1)) for n in range(count)]
    config = Config(preset="fast", num_strokes=arguments.strokes)
    programs = np.stack(_fitted(pictures[: arguments.batch], config, device))
    _rasterise(programs, pictures[: arguments.batch], device, arguments.seconds)
    for preset in _PRESETS:
        preset_config = Config(preset=preset, num_strokes=arguments.strokes)
        _sequences(pictures[: arguments.sequences], preset_config, device)
    if not arguments.no_cpu:
        _kernels(programs[0], pictures[0], arguments.seconds)


def _picture(size_px: int, seed: int) -> Image:
    """Soft discs of all sizes in front of one another, which give broad areas, edges and detail."""
    rng = np.random.default_rng(seed)
    y, x = (np.mgrid[:size_px, :size_px] / np.float32(size_px)).astype(np.float32)
    picture = np.ones((size_px, size_px, 3), np.float32) * rng.random(3, np.float32)
    for _ in range(60):
        radius = np.float32(0.4 * rng.random() ** 3 + 0.01)
        distance = np.hypot(x - np.float32(rng.random()), y - np.float32(rng.random()))
        inside = (1 / (1 + np.exp(np.clip((distance - radius) * 150, -30, 30))))[..., None]
        picture += inside.astype(np.float32) * (rng.random(3, np.float32) - picture)
    return picture


def _fitted(pictures: list[Image], config: Config, device: torch.device) -> list[Floats]:
    return fit_batch(pictures, config, [np.random.SeedSequence(n) for n in range(len(pictures))], device)


def _rate(run: Callable[[], object], amount: int, seconds: float, device: torch.device | None = None) -> float:
    """Amount per second, measured after one run to warm up."""

    def finish() -> None:
        if device is not None and device.type == "cuda":
            torch.cuda.synchronize(device)

    run()
    finish()
    start, runs = time.perf_counter(), 0
    while time.perf_counter() - start < seconds or not runs:
        run()
        finish()
        runs += 1
    return amount * runs / (time.perf_counter() - start)


def _print_row(title: str, value: float, unit: str, note: str = "") -> None:
    digits = 0 if value > 1000 else 3
    print(f"{title:<58}{value:>14,.{digits}f} {unit}{note}")
    sys.stdout.flush()


def _rasterise(programs: Floats, pictures: list[Image], device: torch.device, seconds: float) -> None:
    strokes, targets = torch.tensor(programs, device=device), torch.tensor(np.stack(pictures), device=device)
    ground, amount = torch.ones_like(targets), strokes.shape[0] * strokes.shape[1]
    textured = torch.cat([strokes, strokes[..., 10:], torch.zeros_like(strokes[..., :2])], -1)
    steps = torch.linspace(0, strokes.shape[1], 8, device=device).long().expand(len(strokes), -1)
    marks = TexturedShade.of(marks_of(make_brush(BristleBrush()), 0.2), device)
    gpu_canvas = rasteriser.paint(strokes, ground)[0, 0].cpu().numpy()
    difference = np.abs(gpu_canvas - _painted(programs[0], pictures[0].shape[0]))
    _print_row("Bézier, furthest from the CPU's kernels", 255 * float(difference.max()), "of 255")
    for name, rows, shade in (("Bézier", strokes, rasteriser.ribbon_shade), ("textured", textured, marks)):

        def forward(rows: Tensor = rows, shade: rasteriser.Shade = shade) -> Tensor:
            return rasteriser.paint(rows, ground, shade=shade)

        def snapshots(rows: Tensor = rows, shade: rasteriser.Shade = shade) -> Tensor:
            return rasteriser.paint(rows, ground, steps, shade)

        def forward_and_backward(rows: Tensor = rows, shade: rasteriser.Shade = shade) -> object:
            leaf = rows.detach().requires_grad_()
            return torch.autograd.grad((rasteriser.paint(leaf, ground, shade=shade) - targets).square().sum(), leaf)

        with torch.no_grad():
            _print_row(f"{name}, forward, batch {len(rows)}", _rate(forward, amount, seconds, device), "strokes/s")
            _print_row(f"{name}, forward with 8 snapshots", _rate(snapshots, amount, seconds, device), "strokes/s")
        _print_row(f"{name}, forward and backward", _rate(forward_and_backward, amount, seconds, device), "strokes/s")
    if device.type == "cuda":
        _print_row("most GPU memory", torch.cuda.max_memory_allocated(device) / 2**30, "GiB")


def _sequences(pictures: list[Image], config: Config, device: torch.device) -> None:
    start = time.perf_counter()
    strokes = _fitted(pictures, config, device)
    seconds = time.perf_counter() - start
    first_pairs = list(zip(strokes, pictures, strict=True))[:8]
    decibels = [psnr_db(_painted(program, len(picture)), picture) for program, picture in first_pairs]
    title = f"Bézier {config.preset}, placed and refined, batch {len(pictures)}"
    _print_row(title, len(pictures) / seconds, "sequences/s", f"   {np.mean(decibels):.2f} dB (mean of the first 8)")


def _painted(strokes: Floats, size_px: int) -> Image:
    """The canvas that the CPU's kernels paint on white."""
    canvas = np.ones(3 * size_px * size_px, np.float32)
    draw_all(strokes, grid(size_px, size_px), canvas, new_scratch(grid(size_px, size_px)))
    return canvas.reshape(size_px, size_px, 3)


def _kernels(program: Floats, picture: Image, seconds: float) -> None:
    size_px = len(picture)
    pixels, target = grid(size_px, size_px), picture.reshape(-1)
    print("\nthe kernels of the CPU, one core")
    forward = _rate(lambda: _painted(program, size_px), len(program), seconds)
    _print_row("Bézier, forward", forward, "strokes/s")
    textured = np.concatenate([program, program[:, 10:], np.zeros((len(program), 2), np.float32)], 1)
    assert textured.shape[1] == NUM_BRUSH_COLUMNS
    marks, scratch = marks_of(make_brush(BristleBrush()), 0.2), new_brush_scratch(pixels)
    canvas = np.ones_like(target)
    _print_row(
        "textured, forward",
        _rate(lambda: lay_all(textured, pixels, marks, canvas, scratch), len(program), seconds),
        "strokes/s",
    )
    both_rate = _rate(lambda: _refine_once(program, pixels, target), len(program), seconds)
    _print_row("Bézier, forward and backward", both_rate, "strokes/s")
    for preset in _PRESETS:
        config = Config(preset=preset, num_strokes=len(program))
        strokes: list[Floats] = []

        def fit_once(config: Config = config, strokes: list[Floats] = strokes) -> None:
            strokes.append(fit(picture, config, np.random.default_rng(0)))

        rate = _rate(fit_once, 1, seconds)
        decibels = psnr_db(_painted(strokes[0], size_px), picture)
        _print_row(f"Bézier {preset}, placed and refined", rate, "sequences/s", f"   {decibels:.2f} dB (of the first)")


def _refine_once(program: Floats, pixels: Grid, target: Floats) -> None:
    """Take one step of refinement, which needs one gradient."""
    final_only = Loss(False, np.zeros(0, np.int64), np.float32(0), np.empty((0, target.size), np.float32), target[:0])
    moments = Moments(np.zeros_like(program), np.zeros_like(program))
    limits = limits_of(bezier_brief(target.reshape(pixels.height, pixels.width, 3), Config(num_strokes=len(program))))
    ones = np.ones(1, np.float32)
    refine(program.copy(), pixels, target, np.ones_like(target), final_only, ones, ones, moments, 0, RATES, limits)


if __name__ == "__main__":
    run_benchmark(main)
