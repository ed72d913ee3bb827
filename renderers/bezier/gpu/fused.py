"""The slow part of placement as a Triton kernel; only imported where strokes are on a GPU."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
# Triton treats annotations of its kernels as code.

import typing

import triton
import triton.language as tl
from torch import Tensor

from renderers.raster.gpu.fused import curve_at, nearest_of

if typing.TYPE_CHECKING:
    from renderers.bezier.gpu.score import Level, Pyramid


@triton.jit
def _corner(c, v, w, size, SIDE: tl.constexpr):
    """Where, along one axis, a window around the middle of c + t (v + t w) begins that stays within the canvas."""
    halfway, end = c + 0.5 * (v + 0.5 * w), c + v + w
    low = tl.minimum(tl.minimum(c, end), halfway)
    high = tl.maximum(tl.maximum(c, end), halfway)
    corner = tl.floor(0.5 * (low + high) + 0.5 * (1 - SIDE))
    return tl.minimum(tl.maximum(corner, 0.0), (size - SIDE) * 1.0)


@triton.jit
def _score(
    strokes, canvases, targets, picture_size, start, height, width, unit, min_weight, gains, colours, num_candidates,
    SIDE: tl.constexpr,
):  # fmt: skip
    """Gain and colour of one candidate: `score.score` in one pass over its window."""
    row = tl.program_id(0).to(tl.int64)
    pixel = tl.arange(0, SIDE * SIDE)
    at = strokes + row * 13 + tl.zeros((1,), tl.int64)
    cx, cy, vx, vy, wx, wy = curve_at(at, unit)
    x = _corner(cx, vx, wx, width, SIDE) + (pixel % SIDE)
    y = _corner(cy, vy, wy, height, SIDE) + (pixel // SIDE)
    xs, ys = x + 0.5, y + 0.5
    t = nearest_of(cx, cy, vx, vy, wx, wy, xs, ys)
    r0, r2, a0, a2 = tl.load(at + 6), tl.load(at + 7), tl.load(at + 8), tl.load(at + 9)
    ex, ey = xs - cx - t * (vx + t * wx), ys - cy - t * (vy + t * wy)
    inside = (r0 + (r2 - r0) * t) * unit - tl.sqrt(ex * ex + ey * ey)
    mask = tl.minimum(tl.maximum(inside + 0.5, 0.0), 1.0) * (a0 + (a2 - a0) * t)
    addresses = (row // num_candidates) * picture_size + 3 * (start + y.to(tl.int64) * width + x.to(tl.int64))
    weight = tl.sum(mask * mask, 0)
    inverse = 1.0 / tl.maximum(weight, min_weight)
    gain = 0.0 * weight
    for channel in tl.static_range(3):
        canvas, target = tl.load(canvases + addresses + channel), tl.load(targets + addresses + channel)
        hidden, residual = mask * canvas, target - canvas
        pull, lost = tl.sum(mask * (residual + hidden), 0), tl.sum(hidden * (2 * residual + hidden), 0)
        colour = tl.minimum(tl.maximum(pull * inverse, 0.0), 1.0)
        gain += 2 * colour * pull - colour * colour * weight - lost
        tl.store(colours + row * 3 + channel, colour)
    tl.store(gains + row, tl.where(weight < min_weight, -1.0, gain / (unit * unit)))


def score(
    strokes: Tensor, pyramid: "Pyramid", level: "Level", side_px: int, min_weight: float
) -> tuple[Tensor, Tensor]:
    """The same as `score.score`, of (B, K, 13) strokes."""
    num_pictures, num_candidates = strokes.shape[:2]
    gains, colours = strokes.new_empty(strokes.shape[:2]), strokes.new_empty((*strokes.shape[:2], 3))
    _score[(num_pictures * num_candidates,)](
        strokes.contiguous(), pyramid.canvases, pyramid.targets, pyramid.canvases.stride(0), level.start, level.height,
        level.width, level.unit_px, min_weight, gains, colours, num_candidates, SIDE=side_px,
    )  # fmt: skip
    return gains, colours
