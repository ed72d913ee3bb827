"""Error of a painting, of its under-paintings too, and its exact gradient with respect to every stroke.

Forward, every stroke keeps what its backward pass needs: coverage, place along the stroke and the colours below, packed
one stroke after the other. Backward runs from the last stroke to the first, carrying the gradient of the canvas.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from renderers.raster.jit import part
from renderers.raster.ribbon import (
    A0,
    A2,
    BLUE,
    GREEN,
    R0,
    R2,
    RED,
    X0,
    X1,
    X2,
    Y0,
    Y1,
    Y2,
    Floats,
    Grid,
    Ints,
    measure,
    outline,
    pack,
)

_ZERO, _HALF, _ONE, _TWO = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2)
_TINY = np.float32(1e-6)
_1, _2, _3 = np.uint64(1), np.uint64(2), np.uint64(3)

NO_STATES: Floats = np.empty((0, 0), np.float32)
"""For under-paintings that should look like the picture."""


class Tape(NamedTuple):
    """Results of the forward pass that the backward pass needs, for N strokes on a canvas of n pixels.

    `cover`, `along` (capacity,) and `below` (3 * capacity,) hold coverage, t and the colours hidden, for all pixels of
    all strokes; `pixel_start` and `row_start` (N + 1,) say where each stroke's begin. `row_lo`, `row_hi` are the
    spans, packed likewise, and `tops` (N,) the first rows. The rest is scratch for one stroke.
    """

    cover: Floats
    along: Floats
    below: Floats
    pixel_start: NDArray[np.int64]
    row_start: NDArray[np.int64]
    tops: Ints
    row_lo: Ints
    row_hi: Ints
    xs: Floats
    ys: Floats
    mask: Floats
    mask_gradient: Floats
    up: Floats


class Loss(NamedTuple):
    """The terms of the error, and where they count.

    `absolute` takes the sum of absolute errors (L1) instead of that of their squares. Intermediate canvases should look
    like the picture too, or each like one of `states` (C, 3n), if there are any: after stroke `after[c]` (C,),
    `weight` times the error counts; `pull` (C, 3n) is scratch.
    `more` is the gradient of other terms with respect to the finished canvas: (3n,), or (0,) if there are none.
    """

    absolute: bool
    after: NDArray[np.int64]
    weight: np.float32
    pull: Floats
    more: Floats
    states: Floats = NO_STATES


@part
def error_slope(error: np.float32, absolute: bool) -> np.float32:
    """Derivative of an error's square, or of its absolute value (0 at 0)."""
    if absolute:
        return _ONE if error > _ZERO else (-_ONE if error < _ZERO else _ZERO)
    return _TWO * error


@part
def new_tape(num_strokes: int, grid: Grid, capacity: int) -> Tape:
    """Room for `capacity` stroke pixels; `loss_and_gradient` says so when that is not enough."""
    area = grid.height * grid.width
    return Tape(
        np.empty(capacity, np.float32),
        np.empty(capacity, np.float32),
        np.empty(3 * capacity, np.float32),
        np.zeros(num_strokes + 1, np.int64),
        np.zeros(num_strokes + 1, np.int64),
        np.zeros(num_strokes, np.int32),
        np.zeros(num_strokes * grid.height, np.int32),
        np.zeros(num_strokes * grid.height, np.int32),
        np.empty(area, np.float32),
        np.empty(area, np.float32),
        np.empty(area, np.float32),
        np.empty(area, np.float32),
        np.empty(3 * area, np.float32),
    )


@part
def paint_forward(
    strokes: Floats, grid: Grid, soften_px: np.float32, canvas: Floats, target: Floats, tape: Tape,
    loss: Loss,
) -> int:  # fmt: skip
    """Paint all strokes onto `canvas` (3n,) in place, recording the tape.

    At each under-painting, its `pull` becomes the gradient of its weighted error.

    Returns:
        The number of stroke pixels, or, when the tape is too small, minus a capacity that is more likely to suffice.
    """
    used, rows_used = 0, 0
    for i in range(strokes.shape[0]):
        stroke = strokes[i]
        lo, hi = tape.row_lo[rows_used:], tape.row_hi[rows_used:]
        top, rows = outline(stroke, grid, soften_px, lo, hi)
        tape.pixel_start[i], tape.row_start[i], tape.tops[i] = used, rows_used, top
        n = pack(top, rows, lo, hi, tape.xs, tape.ys)
        if used + n > tape.cover.shape[0]:
            return -2 * (used + n)
        cover, along = tape.cover[used : used + n], tape.along[used : used + n]
        measure(stroke, grid.unit_px, soften_px, tape.xs[:n], tape.ys[:n], along, cover)
        mask, base, slope = tape.mask[:n], stroke[A0], stroke[A2] - stroke[A0]
        for j in range(n):
            mask[j] = cover[j] * (base + slope * along[j])
        below = tape.below[3 * used : 3 * (used + n)]
        red, green, blue = stroke[RED], stroke[GREEN], stroke[BLUE]
        packed = np.uint64(0)
        for row in range(rows):
            at = _3 * np.uint64((top + row) * grid.width + lo[row])
            for j in range(hi[row] - lo[row]):
                q, p = at + _3 * np.uint64(j), _3 * packed + _3 * np.uint64(j)
                m = mask[packed + np.uint64(j)]
                r, g, b = canvas[q], canvas[q + _1], canvas[q + _2]
                hidden_r, hidden_g, hidden_b = grid.covers * r, grid.covers * g, grid.covers * b
                below[p], below[p + _1], below[p + _2] = hidden_r, hidden_g, hidden_b
                canvas[q] = r + m * (red - hidden_r)
                canvas[q + _1] = g + m * (green - hidden_g)
                canvas[q + _2] = b + m * (blue - hidden_b)
            packed += np.uint64(hi[row] - lo[row])
        used += n
        rows_used += rows
        for c in range(loss.after.shape[0]):
            if loss.after[c] == i:
                pull = loss.pull[c]
                wanted = loss.states[c] if loss.states.shape[0] else target
                for j in range(pull.shape[0]):
                    pull[j] = loss.weight * error_slope(canvas[j] - wanted[j], loss.absolute)
    tape.pixel_start[strokes.shape[0]], tape.row_start[strokes.shape[0]] = used, rows_used
    return used


@part
def paint_backward(
    strokes: Floats, grid: Grid, soften_px: np.float32, upstream: Floats, tape: Tape, loss: Loss,
    gradient: Floats,
) -> None:  # fmt: skip
    """Gradient of the loss with respect to every stroke.

    Args:
        upstream: (3n,) gradient with respect to the finished canvas; overwritten on the way down.
        gradient: (N, 13) written.
    """
    for i in range(strokes.shape[0] - 1, -1, -1):
        for c in range(loss.after.shape[0]):
            if loss.after[c] == i:
                pull = loss.pull[c]
                for j in range(pull.shape[0]):
                    upstream[j] += pull[j]
        stroke = strokes[i]
        start, n, top = tape.pixel_start[i], tape.pixel_start[i + 1] - tape.pixel_start[i], tape.tops[i]
        first_row, last_row = tape.row_start[i], tape.row_start[i + 1]
        lo, hi = tape.row_lo[first_row:last_row], tape.row_hi[first_row:last_row]
        cover, along = tape.cover[start : start + n], tape.along[start : start + n]
        below = tape.below[3 * start : 3 * (start + n)]
        mask, mask_gradient = tape.mask[:n], tape.mask_gradient[:n]
        base, slope = stroke[A0], stroke[A2] - stroke[A0]
        for j in range(n):
            mask[j] = cover[j] * (base + slope * along[j])
        red, green, blue = stroke[RED], stroke[GREEN], stroke[BLUE]
        packed, up = np.uint64(0), tape.up
        for row in range(last_row - first_row):
            at = _3 * np.uint64((top + row) * grid.width + lo[row])
            for j in range(hi[row] - lo[row]):
                q, p = at + _3 * np.uint64(j), _3 * packed + _3 * np.uint64(j)
                keep = _ONE - grid.covers * mask[packed + np.uint64(j)]
                r, g, b = upstream[q], upstream[q + _1], upstream[q + _2]
                up[p], up[p + _1], up[p + _2] = r, g, b
                upstream[q], upstream[q + _1], upstream[q + _2] = r * keep, g * keep, b * keep
            packed += np.uint64(hi[row] - lo[row])
        to_red, to_green, to_blue = _ZERO, _ZERO, _ZERO
        for j in range(n):
            p = _3 * np.uint64(j)
            r, g, b, m = up[p], up[p + _1], up[p + _2], mask[j]
            mask_gradient[j] = r * (red - below[p]) + g * (green - below[p + _1]) + b * (blue - below[p + _2])
            to_red += r * m
            to_green += g * m
            to_blue += b * m
        gradient[i, RED], gradient[i, GREEN], gradient[i, BLUE] = to_red, to_green, to_blue
        pack(top, last_row - first_row, lo, hi, tape.xs, tape.ys)
        shape_gradient(
            stroke, grid.unit_px, soften_px, tape.xs[:n], tape.ys[:n], along, cover, mask_gradient, gradient[i]
        )


@part
def shape_gradient(
    stroke: Floats, unit_px: np.float32, soften_px: np.float32, xs: Floats, ys: Floats, along: Floats, cover: Floats,
    mask_gradient: Floats, gradient: Floats,
) -> None:  # fmt: skip
    """The gradient for a stroke's control points, radii and opacities, from that for its mask.

    With e = p - B(t) at the nearest t, a control point P_i of weight w_i(t) acts twice. It moves the nearest point:
    d|e| / dP_i = -w_i e / |e|. And, where 0 < t < 1, it moves t, which changes radius and opacity there: e . B' = 0
    gives dt / dP_i = -(w_i B' - w_i' e) / (|B'|^2 - e . B'').

    Args:
        xs, ys, along, cover, mask_gradient: (n,) of the stroke's packed pixels.
        gradient: (13,) of which the first ten are written.
    """
    sharp = _ONE / soften_px
    a_base, a_slope = stroke[A0], stroke[A2] - stroke[A0]
    r_slope = (stroke[R2] - stroke[R0]) * unit_px
    cx, cy = stroke[X0] * unit_px, stroke[Y0] * unit_px
    vx, vy = _TWO * (stroke[X1] - stroke[X0]) * unit_px, _TWO * (stroke[Y1] - stroke[Y0]) * unit_px
    wx = (stroke[X0] - _TWO * stroke[X1] + stroke[X2]) * unit_px
    wy = (stroke[Y0] - _TWO * stroke[Y1] + stroke[Y2]) * unit_px
    opacity, opacity_t, radius, radius_t = _ZERO, _ZERO, _ZERO, _ZERO
    x, x_t, x_tt, y, y_t, y_tt = _ZERO, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO
    slide_x, slide_x_t, slide_y, slide_y_t = _ZERO, _ZERO, _ZERO, _ZERO
    for j in range(xs.shape[0]):
        t, covered, g = along[j], cover[j], mask_gradient[j]
        paint = g * covered
        edge = g * (a_base + a_slope * t) * sharp
        edge = edge if (covered > _ZERO and covered < _ONE) else _ZERO
        opacity += paint
        opacity_t += paint * t
        radius += edge
        radius_t += edge * t
        ex, ey = xs[j] - cx - t * (vx + t * wx), ys[j] - cy - t * (vy + t * wy)
        sx, sy = vx + _TWO * t * wx, vy + _TWO * t * wy
        speed = sx * sx + sy * sy
        curvature = max(speed - _TWO * (ex * wx + ey * wy), _HALF * speed) + _TINY
        slide = (paint * a_slope + edge * r_slope) / curvature
        slide = slide if (t > _ZERO and t < _ONE) else _ZERO
        push = edge / np.sqrt(ex * ex + ey * ey + _TINY)
        px, py = push * ex - slide * sx, push * ey - slide * sy
        x += px
        y += py
        slide_x += slide * ex
        slide_y += slide * ey
        slide_x_t += slide * ex * t
        slide_y_t += slide * ey * t
        px *= t
        py *= t
        x_t += px
        y_t += py
        x_tt += px * t
        y_tt += py * t
    gradient[X0] = (x - _TWO * x_t + x_tt - _TWO * (slide_x - slide_x_t)) * unit_px
    gradient[Y0] = (y - _TWO * y_t + y_tt - _TWO * (slide_y - slide_y_t)) * unit_px
    gradient[X1] = _TWO * (x_t - x_tt + slide_x - _TWO * slide_x_t) * unit_px
    gradient[Y1] = _TWO * (y_t - y_tt + slide_y - _TWO * slide_y_t) * unit_px
    gradient[X2] = (x_tt + _TWO * slide_x_t) * unit_px
    gradient[Y2] = (y_tt + _TWO * slide_y_t) * unit_px
    gradient[R0], gradient[R2] = (radius - radius_t) * unit_px, radius_t * unit_px
    gradient[A0], gradient[A2] = opacity - opacity_t, opacity_t


@part
def loss_and_gradient(
    strokes: Floats, grid: Grid, soften_px: np.float32, target: Floats, ground: Floats, canvas: Floats,
    upstream: Floats, tape: Tape, loss: Loss, gradient: Floats,
) -> tuple[float, int]:  # fmt: skip
    """Error of the finished canvas, and the gradient of that error plus all other terms of the loss.

    Args:
        strokes: (N, 13), lengths in units of the shorter side.
        soften_px: width of the soft edge.
        target, ground: (3n,) the picture, and the canvas before the first stroke, RGB in [0, 1].
        canvas, upstream: (3n,) written.
        gradient: (N, 13) written.

    Returns:
        The sum of squared or absolute errors, and the number of stroke pixels; when the tape was too small, minus the
        capacity to try.
    """
    for j in range(canvas.shape[0]):
        canvas[j] = ground[j]
    pixels = paint_forward(strokes, grid, soften_px, canvas, target, tape, loss)
    if pixels < 0:
        return 0.0, pixels
    total = _ZERO
    for j in range(canvas.shape[0]):
        error = canvas[j] - target[j]
        total += abs(error) if loss.absolute else error * error
        upstream[j] = error_slope(error, loss.absolute)
    for j in range(loss.more.shape[0]):
        upstream[j] += loss.more[j]
    paint_backward(strokes, grid, soften_px, upstream, tape, loss, gradient)
    return float(total), pixels
