"""A Bézier stroke as a ribbon: which pixels it may touch, how much it covers each, and where along it each one lies.

A pixel belongs to the nearest point of the centreline, B(t). There the ribbon has a radius and an opacity, both linear
in t, and its edge is softened over `soften_px`. The nearest point is found on a few chords of the curve and polished
by Newton's method.

Everything per pixel is packed: the spans of all rows of one stroke follow one another in flat arrays, so the
inner loops are long and free of branches. A span of a single row has about ten pixels, too few for SIMD. For the same
reason canvases are flat (H * W * 3) arrays, channels last, and are addressed with unsigned integers: signed ones make
numba test for negative indices. The two together were measured to make compositing five times as fast.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from renderers.raster.jit import part

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

# Columns of a stroke: three control points, radius and opacity at both ends, colour. Lengths are in units of the
# canvas's shorter side.
X0, Y0, X1, Y1, X2, Y2, R0, R2, A0, A2, RED, GREEN, BLUE = range(13)
NUM_COLUMNS = 13


class Grid(NamedTuple):
    """The pixels of a canvas, and how paint meets it.

    `unit_px` is how many pixels the shorter side, the unit of length, has. Where a stroke of colour q lies with mask m,
    the canvas C becomes C + m (q - covers C): paint that covers (1) hides what is below, ink (0) adds to it.
    """

    height: int
    width: int
    unit_px: np.float32
    covers: np.float32 = np.float32(1)


def grid(height: int, width: int, covers: float = 1.0) -> Grid:
    """The grid of a canvas of height x width pixels."""
    return Grid(height, width, np.float32(min(height, width)), np.float32(covers))


NEWTON_STEPS = 2

_ZERO, _HALF, _ONE, _TWO = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2)
_TINY = np.float32(1e-6)
_FAR = np.float32(1e9)
_OUTLINE_CHORDS = 8
_LEAST_ARM = np.float32(0.02)


@part
def outline(stroke: Floats, grid: Grid, soften_px: np.float32, row_lo: Ints, row_hi: Ints) -> tuple[int, int]:
    """Find the span of pixels that a stroke may touch in each row.

    Args:
        stroke: (13,) the stroke.
        grid: the canvas.
        soften_px: width of the soft edge.
        row_lo, row_hi: (>= height,) written from 0: span [lo, hi) of each row from the first on.

    Returns:
        First row and number of rows (0 when the stroke is off the canvas).
    """
    height, width, unit_px = grid.height, grid.width, grid.unit_px
    bend_x, bend_y = stroke[X0] - _TWO * stroke[X1] + stroke[X2], stroke[Y0] - _TWO * stroke[Y1] + stroke[Y2]
    bend_px = np.sqrt(bend_x * bend_x + bend_y * bend_y) * unit_px
    # A chord over a t-interval h strays from its curve by |B''| h^2 / 8, and B'' = 2 (P0 - 2 P1 + P2).
    chords = min(_OUTLINE_CHORDS, 1 + int(np.sqrt(bend_px)))
    step = _ONE / np.float32(chords)
    margin = _HALF * soften_px + bend_px * step * step * np.float32(0.25)
    y0, y1, y2 = stroke[Y0] * unit_px, stroke[Y1] * unit_px, stroke[Y2] * unit_px
    y_min, y_max = min(y0, y2), max(y0, y2)
    if (y1 < y_min) or (y1 > y_max):  # the curve turns back inside
        turn = (y0 - y1) / (y0 - _TWO * y1 + y2)
        extreme = y0 + turn * (y1 - y0)
        y_min, y_max = min(y_min, extreme), max(y_max, extreme)
    reach = max(stroke[R0], stroke[R2]) * unit_px + margin
    top, bottom = max(0, int(np.floor(y_min - reach))), min(height, int(np.ceil(y_max + reach)) + 1)
    if bottom <= top:
        return 0, 0
    for row in range(bottom - top):
        row_lo[row] = width
        row_hi[row] = 0
    ax, ay, ar = stroke[X0] * unit_px, y0, stroke[R0] * unit_px
    for k in range(chords):
        t = np.float32(k + 1) * step
        w0, w1, w2 = (_ONE - t) * (_ONE - t), _TWO * t * (_ONE - t), t * t
        bx = (w0 * stroke[X0] + w1 * stroke[X1] + w2 * stroke[X2]) * unit_px
        by = w0 * y0 + w1 * y1 + w2 * y2
        br = (stroke[R0] + t * (stroke[R2] - stroke[R0])) * unit_px
        _widen(ax, ay, bx, by, max(ar, br) + margin, top, bottom, row_lo, row_hi)
        ax, ay, ar = bx, by, br
    for row in range(bottom - top):
        row_lo[row] = max(0, row_lo[row])
        row_hi[row] = max(row_lo[row], min(width, row_hi[row]))
    return top, bottom - top


@part
def _widen(
    ax: np.float32, ay: np.float32, bx: np.float32, by: np.float32, reach: np.float32,
    top: int, bottom: int, row_lo: Ints, row_hi: Ints,
) -> None:  # fmt: skip
    """Widen the spans by a capsule around the chord a-b."""
    dx, dy = bx - ax, by - ay
    first, last = max(top, int(np.floor(min(ay, by) - reach))), min(bottom, int(np.ceil(max(ay, by) + reach)) + 1)
    level = abs(dy) < np.float32(1e-3)
    inverse = _ZERO if level else _ONE / dy
    for y in range(first, last):
        centre = np.float32(y) + _HALF
        if level:
            ta, tb = _ZERO, _ONE
        else:
            one, two = (centre - reach - ay) * inverse, (centre + reach - ay) * inverse
            ta, tb = min(_ONE, max(_ZERO, min(one, two))), min(_ONE, max(_ZERO, max(one, two)))
        xa, xb = ax + ta * dx, ax + tb * dx
        row_lo[y - top] = min(row_lo[y - top], np.int32(np.floor(min(xa, xb) - reach)))
        row_hi[y - top] = max(row_hi[y - top], np.int32(np.ceil(max(xa, xb) + reach)) + 1)


@part
def pack(top: int, rows: int, row_lo: Ints, row_hi: Ints, xs: Floats, ys: Floats) -> int:
    """Write the pixel centres of all spans one after the other; return how many there are."""
    n = 0
    for row in range(rows):
        y = np.float32(top + row) + _HALF
        left = np.float32(row_lo[row]) + _HALF
        for j in range(row_hi[row] - row_lo[row]):
            xs[np.uint64(n + j)] = left + np.float32(np.int32(j))
            ys[np.uint64(n + j)] = y
        n += row_hi[row] - row_lo[row]
    return n


@part
def measure(
    stroke: Floats, unit_px: np.float32, soften_px: np.float32, xs: Floats, ys: Floats, along: Floats, cover: Floats
) -> None:
    """Coverage of each packed pixel and its place along the stroke.

    Args:
        xs, ys: (n,) pixel centres.
        along: (n,) written: t of the nearest point of the centreline, in [0, 1].
        cover: (n,) written: coverage in [0, 1], clip((r(t) - distance) / soften_px + 1/2).
    """
    n = xs.shape[0]
    # B(t) = c + t (v + t w); B' = v + 2 t w; B'' = 2 w
    cx, cy = stroke[X0] * unit_px, stroke[Y0] * unit_px
    vx, vy = _TWO * (stroke[X1] - stroke[X0]) * unit_px, _TWO * (stroke[Y1] - stroke[Y0]) * unit_px
    wx = (stroke[X0] - _TWO * stroke[X1] + stroke[X2]) * unit_px
    wy = (stroke[Y0] - _TWO * stroke[Y1] + stroke[Y2]) * unit_px
    # A parabola turns most, and t advances slowest, at its vertex. To either side of it the projection on the chord,
    # b s + (1 - b) s^2 of the way, never turns back, so it can be inverted for s: a start that is close even where one
    # arm is hardly longer than the turn. With chords of equal steps in t, hairpin bends fell apart.
    vertex = -_HALF * (vx * wx + vy * wy) / (wx * wx + wy * wy + _TINY)
    arms = 2 if vertex > _LEAST_ARM and vertex < _ONE - _LEAST_ARM else 1
    for arm in range(arms):
        start = vertex if arm == 1 else _ZERO
        step = (vertex if arms == 2 else _ONE) if arm == 0 else _ONE - vertex
        ax, ay = cx + start * (vx + start * wx), cy + start * (vy + start * wy)
        bx, by = step * (vx + _TWO * start * wx), step * (vy + _TWO * start * wy)
        qx, qy = step * step * wx, step * step * wy
        dx, dy = bx + qx, by + qy
        inverse = _ONE / max(dx * dx + dy * dy, _TINY)
        ux, uy = dx * inverse, dy * inverse
        b = min(_TWO, max(_ZERO, bx * ux + by * uy))
        four = np.float32(4) * (_ONE - b)
        for j in range(n):
            px, py = xs[j] - ax, ys[j] - ay
            u = min(_ONE, max(_ZERO, px * ux + py * uy))
            s = _TWO * u / (b + np.sqrt(max(_ZERO, b * b + four * u)) + _TINY)
            ex, ey = px - s * (bx + s * qx), py - s * (by + s * qy)
            squared = ex * ex + ey * ey
            nearer = arm == 0 or squared < cover[j]
            cover[j] = squared if nearer else cover[j]
            along[j] = start + s * step if nearer else along[j]
    sharp = _ONE / soften_px
    base, slope = stroke[R0] * unit_px, (stroke[R2] - stroke[R0]) * unit_px
    for j in range(n):
        px, py, t = xs[j] - cx, ys[j] - cy, along[j]
        for _ in range(NEWTON_STEPS):
            ex, ey = px - t * (vx + t * wx), py - t * (vy + t * wy)
            sx, sy = vx + _TWO * t * wx, vy + _TWO * t * wy
            speed = sx * sx + sy * sy
            # Past the centre of curvature the second derivative turns negative; half of Gauss-Newton's stays safe.
            curvature = max(speed - _TWO * (ex * wx + ey * wy), _HALF * speed) + _TINY
            t = min(_ONE, max(_ZERO, t + (ex * sx + ey * sy) / curvature))
        ex, ey = px - t * (vx + t * wx), py - t * (vy + t * wy)
        along[j] = t
        inside = base + slope * t - np.sqrt(ex * ex + ey * ey)
        cover[j] = min(_ONE, max(_ZERO, inside * sharp + _HALF))
