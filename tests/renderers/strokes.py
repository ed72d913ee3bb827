"""Random strokes, and functions that call the kernels with plain arguments."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from renderers.painting import Image
from renderers.raster.gradient import Loss, Tape, loss_and_gradient, new_tape
from renderers.raster.jit import kernel
from renderers.raster.ribbon import Floats, Grid, grid
from renderers.raster.stamp import Scratch, new_scratch, stroke_mask


def gentle_strokes(num: int, height: int, width: int, seed: int = 0) -> Floats:
    """(N, 13) bent strokes anywhere on the canvas and partly off it; no radius exceeds the radius of curvature."""
    rng = np.random.default_rng(seed)
    short = min(height, width)
    centre = rng.uniform(-0.1, 1.1, (num, 2)) * (width / short, height / short)
    angle, half = rng.uniform(0, 2 * np.pi, num), rng.uniform(0.1, 0.35, num)
    along = half[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)
    across = np.stack([-along[:, 1], along[:, 0]], -1)
    middle = centre + rng.uniform(-0.4, 0.4, (num, 1)) * across + rng.uniform(-0.2, 0.2, (num, 1)) * along
    girth, opacity = rng.uniform(0.01, 0.07, (num, 2)), rng.uniform(0.2, 1, (num, 2))
    colour = rng.uniform(0, 1, (num, 3))
    return np.concatenate([centre - along, middle, centre + along, girth, opacity, colour], 1).astype(np.float32)


def wild_strokes(num: int, height: int, width: int, seed: int = 0) -> Floats:
    """(N, 13) strokes with three random control points: many are hairpins, or wider than their radius of curvature."""
    rng = np.random.default_rng(seed)
    short = min(height, width)
    strokes = rng.uniform(0, 1, (num, 13))
    strokes[:, :6] = rng.uniform(-0.1, 1.1, (num, 6)) * ([width / short, height / short] * 3)
    strokes[:, 6:8] = rng.uniform(0.01, 0.12, (num, 2))
    strokes[:, 8:10] = rng.uniform(0.2, 1, (num, 2))
    return strokes.astype(np.float32)


def mask_of(stroke: Floats, height: int, width: int) -> Floats:
    """(H, W) opacity times coverage of one stroke, from the kernel that paints."""
    return _spread(stroke, height, width)[0]


def spans_of(stroke: Floats, height: int, width: int) -> NDArray[np.bool_]:
    """(H, W) whether the kernel visits each pixel for one stroke."""
    return _spread(stroke, height, width)[1]


def _spread(stroke: Floats, height: int, width: int) -> tuple[Floats, NDArray[np.bool_]]:
    mask, looked_at = np.zeros((height, width), np.float32), np.zeros((height, width), np.bool_)
    _spread_mask(stroke, grid(height, width), new_scratch(grid(height, width)), mask, looked_at)
    return mask, looked_at


def gradient_of(
    strokes: Floats,
    target: Image,
    ground: Image,
    soften_px: float,
    after: Sequence[int] = (),
    weight: float = 0.0,
    covers: float = 1.0,
    absolute: bool = False,
    more: Image | None = None,
) -> tuple[float, Image, Floats]:
    """Error, finished canvas and (N, 13) gradient from the kernel that refines."""
    height, width = target.shape[:2]
    pixels_of = grid(height, width, covers)
    canvas, upstream = np.empty(target.size, np.float32), np.empty(target.size, np.float32)
    loss = Loss(
        absolute, np.array(after, np.int64), np.float32(weight), np.empty((len(after), target.size), np.float32),
        np.zeros(0, np.float32) if more is None else more.reshape(-1),
    )  # fmt: skip
    gradient, capacity = np.zeros_like(strokes), 16
    while True:
        tape = new_tape(len(strokes), pixels_of, capacity)
        error, pixels = _loss_and_gradient(
            strokes, pixels_of, np.float32(soften_px), target.reshape(-1), ground.reshape(-1), canvas,
            upstream, tape, loss, gradient,
        )  # fmt: skip
        if pixels >= 0:
            return float(error), canvas.reshape(height, width, 3), gradient
        capacity = -pixels


@kernel
def _spread_mask(stroke: Floats, grid: Grid, scratch: Scratch, mask: Floats, looked_at: NDArray[np.bool_]) -> None:
    top, rows = stroke_mask(stroke, grid, scratch)
    packed = 0
    for row in range(rows):
        for x in range(scratch.row_lo[row], scratch.row_hi[row]):
            mask[top + row, x], looked_at[top + row, x] = scratch.mask[packed], True
            packed += 1


@kernel
def _loss_and_gradient(
    strokes: Floats, grid: Grid, soften_px: np.float32, target: Floats, ground: Floats, canvas: Floats,
    upstream: Floats, tape: Tape, loss: Loss, gradient: Floats,
) -> tuple[float, int]:  # fmt: skip
    return loss_and_gradient(strokes, grid, soften_px, target, ground, canvas, upstream, tape, loss, gradient)


def correlation(one: NDArray[np.floating], two: NDArray[np.floating]) -> float:
    """Pearson's r."""
    return float(np.corrcoef(one.reshape(-1), two.reshape(-1))[0, 1])
