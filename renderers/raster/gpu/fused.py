"""The slow parts of `rasteriser` on a GPU, as Triton kernels: each does in registers what torch does in 100 kernels.

The formulas are those of `ribbon` and `rasteriser`, which explain them; gradients of a stroke's shape are written
out as in `renderers.raster.gradient.shape_gradient`. Only imported where strokes are on a GPU.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
# Triton treats annotations of its kernels as code.

import torch
import triton
import triton.language as tl
from torch import Tensor

from renderers.raster.ribbon import A0

_TINY = tl.constexpr(1e-6)
_LEAST_ARM = tl.constexpr(0.02)
_ROWS = 4  # pairs per program of `_measure` and `_shape_gradient`


@triton.jit
def curve_at(at, unit):
    """B(t) = c + t (v + t w) in pixels, from pointers to strokes: cx, cy, vx, vy, wx, wy."""
    x0, y0, x1, y1 = tl.load(at), tl.load(at + 1), tl.load(at + 2), tl.load(at + 3)
    x2, y2 = tl.load(at + 4), tl.load(at + 5)
    return (
        x0 * unit, y0 * unit, 2 * (x1 - x0) * unit, 2 * (y1 - y0) * unit,
        (x0 - 2 * x1 + x2) * unit, (y0 - 2 * y1 + y2) * unit,
    )  # fmt: skip


@triton.jit
def _arm(cx, cy, vx, vy, wx, wy, start, step, xs, ys):
    ax, ay = cx + start * (vx + start * wx), cy + start * (vy + start * wy)
    bx, by = step * (vx + 2 * start * wx), step * (vy + 2 * start * wy)
    qx, qy = step * step * wx, step * step * wy
    dx, dy = bx + qx, by + qy
    inverse = 1.0 / tl.maximum(dx * dx + dy * dy, _TINY)
    ux, uy = dx * inverse, dy * inverse
    b = tl.minimum(tl.maximum(bx * ux + by * uy, 0.0), 2.0)
    px, py = xs - ax, ys - ay
    u = tl.minimum(tl.maximum(px * ux + py * uy, 0.0), 1.0)
    s = 2 * u / (b + tl.sqrt(tl.maximum(b * b + 4 * (1 - b) * u, 0.0)) + _TINY)
    ex, ey = px - s * (bx + s * qx), py - s * (by + s * qy)
    return start + s * step, ex * ex + ey * ey


@triton.jit
def nearest_of(cx, cy, vx, vy, wx, wy, xs, ys):
    """The same as `ribbon.nearest`."""
    vertex = -0.5 * (vx * wx + vy * wy) / (wx * wx + wy * wy + _TINY)
    two_arms = (vertex > _LEAST_ARM) & (vertex < 1 - _LEAST_ARM)
    first = tl.where(two_arms, vertex, 1.0)
    t, squared = _arm(cx, cy, vx, vy, wx, wy, 0.0 * vertex, first, xs, ys)
    other, other_squared = _arm(cx, cy, vx, vy, wx, wy, vertex, 1 - vertex, xs, ys)
    t = tl.where(two_arms & (other_squared < squared), other, t)
    for _ in tl.static_range(2):
        ex, ey = xs - cx - t * (vx + t * wx), ys - cy - t * (vy + t * wy)
        sx, sy = vx + 2 * t * wx, vy + 2 * t * wy
        speed = sx * sx + sy * sy
        second = tl.maximum(speed - 2 * (ex * wx + ey * wy), 0.5 * speed) + _TINY
        t = tl.minimum(tl.maximum(t + (ex * sx + ey * sy) / second, 0.0), 1.0)
    return t


@triton.jit
def _measure(
    strokes, columns, which, left, top, units, unit_step, soften_px,
    along, mask, num_rows, SIDE: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """t, and opacity times coverage, of every pixel of every row."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None]
    exists = row < num_rows
    row = tl.minimum(row, num_rows - 1).to(tl.int64)
    pixel = tl.arange(0, SIDE * SIDE)[None]
    at = strokes + tl.load(which + row) * columns
    unit = tl.load(units + row * unit_step)
    xs, ys = tl.load(left + row) + (pixel % SIDE) + 0.5, tl.load(top + row) + (pixel // SIDE) + 0.5
    cx, cy, vx, vy, wx, wy = curve_at(at, unit)
    t = nearest_of(cx, cy, vx, vy, wx, wy, xs, ys)
    r0, r2, a0, a2 = tl.load(at + 6), tl.load(at + 7), tl.load(at + 8), tl.load(at + 9)
    ex, ey = xs - cx - t * (vx + t * wx), ys - cy - t * (vy + t * wy)
    inside = (r0 + (r2 - r0) * t) * unit - tl.sqrt(ex * ex + ey * ey)
    cover = tl.minimum(tl.maximum(inside / soften_px + 0.5, 0.0), 1.0)
    out = row * (SIDE * SIDE) + pixel
    tl.store(along + out, t, mask=exists)
    tl.store(mask + out, cover * (a0 + (a2 - a0) * t), mask=exists)


@triton.jit
def _shape_gradient(
    strokes, columns, which, left, top, unit, soften_px, along,
    onto_mask, gradient, num_rows, SIDE: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Gradient of every row in the first ten columns of its stroke."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None]
    exists = row < num_rows
    row = tl.minimum(row, num_rows - 1).to(tl.int64)
    pixel = tl.arange(0, SIDE * SIDE)[None]
    at = strokes + tl.load(which + row) * columns
    xs, ys = tl.load(left + row) + (pixel % SIDE) + 0.5, tl.load(top + row) + (pixel // SIDE) + 0.5
    cx, cy, vx, vy, wx, wy = curve_at(at, unit)
    r0, r2, a0, a2 = tl.load(at + 6), tl.load(at + 7), tl.load(at + 8), tl.load(at + 9)
    t, g = tl.load(along + row * (SIDE * SIDE) + pixel), tl.load(onto_mask + row * (SIDE * SIDE) + pixel)
    ex, ey = xs - cx - t * (vx + t * wx), ys - cy - t * (vy + t * wy)
    sx, sy = vx + 2 * t * wx, vy + 2 * t * wy
    distance = tl.sqrt(ex * ex + ey * ey)
    raw = ((r0 + (r2 - r0) * t) * unit - distance) / soften_px + 0.5
    paint = g * tl.minimum(tl.maximum(raw, 0.0), 1.0)
    edge = tl.where((raw > 0) & (raw < 1), g * (a0 + (a2 - a0) * t) / soften_px, 0.0)
    speed = sx * sx + sy * sy
    second = tl.maximum(speed - 2 * (ex * wx + ey * wy), 0.5 * speed) + _TINY
    slide = (paint * (a2 - a0) + edge * (r2 - r0) * unit) / second
    slide = tl.where((t > 0) & (t < 1), slide, 0.0)
    push = tl.where(distance > 0, edge / tl.maximum(distance, _TINY), 0.0)
    px, py = push * ex - slide * sx, push * ey - slide * sy
    s = 1 - t
    out = gradient + row * 10
    # Weights of the control points, (1-t)^2, 2 t (1-t), t^2, and their slopes in t, -2 (1-t), 2 - 4 t, 2 t.
    tl.store(out, tl.sum(s * s * px - 2 * s * slide * ex, 1, keep_dims=True) * unit, mask=exists)
    tl.store(out + 1, tl.sum(s * s * py - 2 * s * slide * ey, 1, keep_dims=True) * unit, mask=exists)
    tl.store(out + 2, tl.sum(2 * t * s * px + (2 - 4 * t) * slide * ex, 1, keep_dims=True) * unit, mask=exists)
    tl.store(out + 3, tl.sum(2 * t * s * py + (2 - 4 * t) * slide * ey, 1, keep_dims=True) * unit, mask=exists)
    tl.store(out + 4, tl.sum(t * t * px + 2 * t * slide * ex, 1, keep_dims=True) * unit, mask=exists)
    tl.store(out + 5, tl.sum(t * t * py + 2 * t * slide * ey, 1, keep_dims=True) * unit, mask=exists)
    tl.store(out + 6, tl.sum(edge * s, 1, keep_dims=True) * unit, mask=exists)
    tl.store(out + 7, tl.sum(edge * t, 1, keep_dims=True) * unit, mask=exists)
    tl.store(out + 8, tl.sum(paint * s, 1, keep_dims=True), mask=exists)
    tl.store(out + 9, tl.sum(paint * t, 1, keep_dims=True), mask=exists)


@triton.jit
def _compose(
    mask, colour, colour_pair, colour_channel, colour_pixel, canvas, layer_starts,
    totals, tape, num_pairs, covers, AREA: tl.constexpr,
):  # fmt: skip
    """Paint all strokes of one tile, keeping the canvas below each."""
    rank = tl.program_id(0).to(tl.int64)
    channel, pixel = tl.arange(0, 4)[:, None], tl.arange(0, AREA)[None]
    real, place = channel < 3, channel * AREA + pixel
    below = tl.load(canvas + rank * (3 * AREA) + place, mask=real, other=0.0)
    for layer in range(tl.load(totals + rank)):
        pair = tl.load(layer_starts + layer) + rank
        tl.store(tape + pair * (3 * AREA) + place, below, mask=real)
        ink = colour + pair * colour_pair + channel * colour_channel + pixel * colour_pixel
        q = tl.load(ink, mask=real, other=0.0)
        below += tl.load(mask + pair * AREA + pixel) * (q - covers * below)
    tl.store(tape + (num_pairs + rank) * (3 * AREA) + place, below, mask=real)


@triton.jit
def _pull_back(
    mask, colour, colour_pair, colour_channel, colour_pixel, tape, onto_frames,
    painted, layer_starts, totals, onto_mask, onto_colour, onto_ground, num_tiles,
    num_frames, covers, AREA: tl.constexpr, PLAIN: tl.constexpr,
):  # fmt: skip
    """Carry the gradient of one tile's frames down through all its strokes."""
    rank = tl.program_id(0).to(tl.int64)
    channel, pixel = tl.arange(0, 4)[:, None], tl.arange(0, AREA)[None]
    real, place = channel < 3, channel * AREA + pixel
    g = tl.zeros((4, AREA), tl.float32)
    total = tl.load(totals + rank)
    for back in range(total + 1):
        after = total - back
        for frame in range(num_frames):
            frame_tile = frame * num_tiles + rank
            if tl.load(painted + frame_tile) == after:
                g += tl.load(onto_frames + frame_tile * (3 * AREA) + place, mask=real, other=0.0)
        if after > 0:
            pair = tl.load(layer_starts + after - 1) + rank
            m = tl.load(mask + pair * AREA + pixel)
            ink = colour + pair * colour_pair + channel * colour_channel + pixel * colour_pixel
            q = tl.load(ink, mask=real, other=0.0)
            below = tl.load(tape + pair * (3 * AREA) + place, mask=real, other=0.0)
            slope = tl.sum(g * (q - covers * below), 0, keep_dims=True)
            tl.store(onto_mask + pair * AREA + pixel, slope)
            if PLAIN:
                tl.store(onto_colour + pair * 3 + channel, tl.sum(g * m, 1, keep_dims=True), mask=real)
            else:
                tl.store(onto_colour + pair * (3 * AREA) + place, g * m, mask=real)
            g *= 1 - covers * m
    tl.store(onto_ground + rank * (3 * AREA) + place, g, mask=real)


def measure(
    strokes: Tensor, which: Tensor, unit_px: Tensor, soften_px: float, left: Tensor, top: Tensor, side_px: int
) -> tuple[Tensor, Tensor]:
    """Place along the stroke, and opacity times coverage, of the pixels of R windows.

    Args:
        strokes: (N, >= 13), of which `which` (R,) names each window's.
        unit_px: (R,) or (1,) pixels of the shorter side.
        left, top: (R,) float32, upper left corners of the windows.
        side_px: of the windows, a power of 2.

    Returns:
        (R, P) t and mask.
    """
    along, mask = (strokes.new_empty((len(which), side_px * side_px)) for _ in range(2))
    strokes, which = strokes.contiguous(), which.contiguous()
    if len(which):
        _measure[(triton.cdiv(len(which), _ROWS),)](
            strokes, strokes.shape[1], which, left.contiguous(), top.contiguous(), unit_px.contiguous(),
            int(len(unit_px) > 1), float(soften_px), along, mask, len(which), SIDE=side_px, ROWS=_ROWS,
        )  # fmt: skip
    return along, mask


def shape_gradient(
    strokes: Tensor, which: Tensor, unit_px: float, soften_px: float, left: Tensor, top: Tensor, side_px: int,
    along: Tensor, onto_mask: Tensor,
) -> Tensor:  # fmt: skip
    """(R, 10) gradient in a ribbon's shape from that of its (R, P) mask; arguments as in `measure`."""
    gradient = strokes.new_empty((len(which), A0 + 2))
    if len(which):
        _shape_gradient[(triton.cdiv(len(which), _ROWS),)](
            strokes, strokes.shape[1], which, left, top, float(unit_px), float(soften_px), along, onto_mask, gradient,
            len(which), SIDE=side_px, ROWS=_ROWS,
        )  # fmt: skip
    return gradient


def compose(
    mask: Tensor, colour: Tensor, canvas: Tensor, layer_starts: Tensor, totals: Tensor, covers: float
) -> Tensor:
    """The same as `rasteriser._compose`: (M + tiles, 3, P), the canvas below every pair, and then the finished ones."""
    tape = canvas.new_empty((len(mask) + len(canvas), *canvas.shape[1:]))
    if len(canvas):
        _compose[(len(canvas),)](
            mask, colour, *_strides(colour), canvas.contiguous(), layer_starts, totals, tape, len(mask), float(covers),
            AREA=canvas.shape[2],
        )  # fmt: skip
    return tape


def pull_back(
    mask: Tensor, colour: Tensor, tape: Tensor, onto_frames: Tensor, painted: Tensor, layer_starts: Tensor,
    totals: Tensor, covers: float,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of (M, P) masks, of colours, and of (tiles, 3, P) grounds, from that of (S, tiles, 3, P) frames."""
    num_frames, num_tiles, _, area = onto_frames.shape
    onto_mask, onto_colour = torch.empty_like(mask), torch.empty_like(colour, memory_format=torch.contiguous_format)
    onto_ground = onto_frames.new_empty(onto_frames.shape[1:])
    if num_tiles:
        _pull_back[(num_tiles,)](
            mask, colour, *_strides(colour), tape, onto_frames.contiguous(), painted.contiguous(), layer_starts, totals,
            onto_mask, onto_colour, onto_ground, num_tiles, num_frames, float(covers), AREA=area,
            PLAIN=colour.shape[2] == 1,
        )  # fmt: skip
    return onto_mask, onto_colour, onto_ground


def _strides(colour: Tensor) -> tuple[int, int, int]:
    """Strides of (M, 3, P) colours, or of (M, 3, 1) colours, each of which is that of all pixels."""
    return colour.stride(0), colour.stride(1), colour.stride(2) if colour.shape[2] > 1 else 0
