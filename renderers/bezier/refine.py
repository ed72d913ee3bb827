"""Joint refinement: all strokes of a painting move together down the exact gradient (Adam; Kingma and Ba, 2015)."""

from typing import NamedTuple

import numpy as np

from renderers.bezier.place import Limits, clamp
from renderers.raster.gradient import Loss, loss_and_gradient, new_tape
from renderers.raster.jit import kernel, part
from renderers.raster.ribbon import A0, NUM_COLUMNS, R0, R2, Floats, Grid

_HALF, _ONE = np.float32(0.5), np.float32(1)
# Low momentum and a short memory suit a few dozen steps: after sixty, 0.5 dB better than with 0.9 and 0.98.
BETA1, BETA2 = np.float32(0.57), np.float32(0.92)


class Rates(NamedTuple):
    """Step sizes of Adam.

    Control points move by about `place_px` pixels a step and radii by `girth_px`, times 1/2 + `stretch` * radius in
    pixels (at most 4): large strokes may go farther. Opacities and colours move by `tone`.
    """

    place_px: np.float32
    girth_px: np.float32
    tone: np.float32
    stretch: np.float32


class Moments(NamedTuple):
    """Adam's running means of the gradient and of its square, (N, 13) each."""

    first: Floats
    second: Floats


@part
def adam_step(
    strokes: Floats,
    gradient: Floats,
    moments: Moments,
    step: int,
    pace: np.float32,
    rates: Rates,
    grid: Grid,
    limits: Limits,
) -> None:
    """Step number `step` (from 1), with all rates multiplied by `pace`; strokes stay within their limits."""
    correct1 = _ONE / (_ONE - BETA1 ** np.float32(step))
    correct2 = _ONE / (_ONE - BETA2 ** np.float32(step))
    for i in range(strokes.shape[0]):
        radius_px = _HALF * (strokes[i, R0] + strokes[i, R2]) * grid.unit_px
        unit = min(np.float32(4), _HALF + rates.stretch * radius_px) / grid.unit_px
        for c in range(NUM_COLUMNS):
            g = gradient[i, c]
            moments.first[i, c] = BETA1 * moments.first[i, c] + (_ONE - BETA1) * g
            moments.second[i, c] = BETA2 * moments.second[i, c] + (_ONE - BETA2) * g * g
            rate = rates.place_px * unit if c < R0 else (rates.girth_px * unit if c < A0 else rates.tone)
            direction = moments.first[i, c] * correct1 / (np.sqrt(moments.second[i, c] * correct2) + np.float32(1e-9))
            strokes[i, c] -= pace * rate * direction
        clamp(strokes[i], limits)


@kernel
def refine(
    strokes: Floats, grid: Grid, target: Floats, ground: Floats, loss: Loss, paces: Floats, softs_px: Floats,
    moments: Moments, taken: int, rates: Rates, limits: Limits,
) -> None:  # fmt: skip
    """Move all strokes for a number of steps at one size of the canvas.

    Args:
        strokes: (N, 13) changed in place.
        target, ground: (3n,) the picture and the blank canvas.
        paces, softs_px: (steps,) factor on the rates, and the width of soft edges, at each step. Softer
            edges let strokes feel errors they do not touch yet.
        moments, taken: Adam's running means, changed in place, and how many steps they already include.
    """
    canvas, upstream = np.empty_like(target), np.empty_like(target)
    gradient = np.zeros_like(strokes)
    tape = new_tape(strokes.shape[0], grid, 16 * grid.height * grid.width)
    for step in range(paces.shape[0]):
        soften_px = softs_px[step]
        pixels = -1
        while pixels < 0:
            _, pixels = loss_and_gradient(
                strokes, grid, soften_px, target, ground, canvas, upstream, tape, loss, gradient
            )
            if pixels < 0:
                tape = new_tape(strokes.shape[0], grid, -pixels)
        adam_step(strokes, gradient, moments, taken + step + 1, paces[step], rates, grid, limits)
