"""A textured stroke: a ribbon (see `renderers.raster.ribbon`) through which the marks of a brush show.

The first 13 columns are a ribbon's. Then come the colour at the far end, the number of the brush mark, and how thick
the paint is, from 0 to 1. The mark is laid along the whole stroke, round ends included, so that bristles touch down and
lift off raggedly.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from renderers.brush.texture import BrushTexture
from renderers.distance import Ledger, record
from renderers.raster.jit import kernel, part
from renderers.raster.ribbon import (
    A0,
    A2,
    NUM_COLUMNS,
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

FAR_RED, FAR_GREEN, FAR_BLUE, MARK, THICKNESS = range(NUM_COLUMNS, NUM_COLUMNS + 5)
NUM_BRUSH_COLUMNS = NUM_COLUMNS + 5

_ZERO, _HALF, _ONE, _TWO = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2)
_TINY = np.float32(1e-6)
_SHARP_PX = np.float32(1)
_LIGHT = np.float32(0.70710678)  # light falls from the upper left, on slopes that rise away from it
_3 = np.uint64(3)


class Marks(NamedTuple):
    """Brush marks ready for painting, (K, V, U): cover in [0, 1], and the slopes of their relief along and across."""

    cover: Floats
    slope_along: Floats
    slope_across: Floats


def marks_of(texture: BrushTexture, relief: float) -> Marks:
    """Marks whose ridges catch light; `relief` 0 is flat paint, 1 is thick impasto."""
    height = texture.relief.astype(np.float32) / np.float32(255)
    along, across = np.gradient(height, axis=2), np.gradient(height, axis=1)
    strength = np.float32(6 * relief)
    return Marks(
        np.ascontiguousarray(texture.cover.astype(np.float32) / np.float32(255)),
        np.ascontiguousarray(along * strength, np.float32),
        np.ascontiguousarray(across * strength, np.float32),
    )


class BrushScratch(NamedTuple):
    """Working memory for one stroke: spans, and of each pixel the centre, t, mask, place along the mark and light."""

    row_lo: Ints
    row_hi: Ints
    xs: Floats
    ys: Floats
    along: Floats
    mask: Floats
    place: Floats
    light: Floats


def new_brush_scratch(grid: Grid) -> BrushScratch:
    """Enough for a stroke that covers the whole canvas."""
    pixels = [np.empty(grid.height * grid.width, np.float32) for _ in range(6)]
    return BrushScratch(np.empty(grid.height, np.int32), np.empty(grid.height, np.int32), *pixels)


@part
def brush_mask(stroke: Floats, grid: Grid, marks: Marks, scratch: BrushScratch) -> tuple[int, int, int]:
    """Mask, place along the mark and light of every pixel of a stroke; returns first row, rows and pixels."""
    top, rows = outline(stroke, grid, _SHARP_PX, scratch.row_lo, scratch.row_hi)
    n = pack(top, rows, scratch.row_lo, scratch.row_hi, scratch.xs, scratch.ys)
    along, mask = scratch.along[:n], scratch.mask[:n]
    unit = grid.unit_px
    measure(stroke, unit, _SHARP_PX, scratch.xs[:n], scratch.ys[:n], along, mask)
    cx, cy = stroke[X0] * unit, stroke[Y0] * unit
    vx, vy = _TWO * (stroke[X1] - stroke[X0]) * unit, _TWO * (stroke[Y1] - stroke[Y0]) * unit
    wx, wy = (
        (stroke[X0] - _TWO * stroke[X1] + stroke[X2]) * unit,
        (stroke[Y0] - _TWO * stroke[Y1] + stroke[Y2]) * unit,
    )
    r_base, r_slope = stroke[R0] * unit, (stroke[R2] - stroke[R0]) * unit
    mx, my = vx + wx, vy + wy  # B'(1/2): its length is near enough to that of the curve
    length = np.sqrt(mx * mx + my * my)
    full_length = length + stroke[R0] * unit + stroke[R2] * unit + _TINY
    opacity, fading = stroke[A0], stroke[A2] - stroke[A0]
    which = int(stroke[MARK]) % marks.cover.shape[0]
    across_px, along_px = marks.cover.shape[1], marks.cover.shape[2]
    for j in range(n):
        if mask[j] == _ZERO:  # beside the stroke: spans of rows are wider than it
            scratch.place[j], scratch.light[j] = _ZERO, _ONE
            continue
        t = along[j]
        ex, ey = scratch.xs[j] - cx - t * (vx + t * wx), scratch.ys[j] - cy - t * (vy + t * wy)
        sx, sy = vx + _TWO * t * wx, vy + _TWO * t * wy
        inverse = _ONE / np.sqrt(sx * sx + sy * sy + _TINY)
        sx *= inverse
        sy *= inverse
        u = (stroke[R0] * unit + t * length + ex * sx + ey * sy) / full_length
        u = min(_ONE, max(_ZERO, u))
        v = (sx * ey - sy * ex) / max(r_base + r_slope * t, _TINY)
        v = min(_ONE, max(_ZERO, (v + _ONE) * _HALF))
        column, row = u * np.float32(along_px - 1), v * np.float32(across_px - 1)
        i, k = min(along_px - 2, int(column)), min(across_px - 2, int(row))
        fu, fv = column - np.float32(i), row - np.float32(k)
        w00, w01, w10, w11 = (_ONE - fv) * (_ONE - fu), (_ONE - fv) * fu, fv * (_ONE - fu), fv * fu
        covered = (
            w00 * marks.cover[which, k, i]
            + w01 * marks.cover[which, k, i + 1]
            + w10 * marks.cover[which, k + 1, i]
            + w11 * marks.cover[which, k + 1, i + 1]
        )
        slope_u, slope_v = marks.slope_along[which, k, i], marks.slope_across[which, k, i]
        mask[j] *= covered * (opacity + fading * t)
        scratch.place[j] = u
        scratch.light[j] = _ONE + stroke[THICKNESS] * _LIGHT * (slope_u * (sx + sy) + slope_v * (sx - sy))
    return top, rows, n


@part
def lay(stroke: Floats, grid: Grid, marks: Marks, canvas: Floats, scratch: BrushScratch) -> tuple[int, int]:
    """Paint one stroke onto a flat (h * w * 3) canvas; returns its first row and number of rows."""
    top, rows, _ = brush_mask(stroke, grid, marks, scratch)
    packed = 0
    for row in range(rows):
        at = _3 * np.uint64((top + row) * grid.width + scratch.row_lo[row])
        length = scratch.row_hi[row] - scratch.row_lo[row]
        for j in range(length):
            m, u, light = scratch.mask[packed + j], scratch.place[packed + j], scratch.light[packed + j]
            for c in range(3):
                q = at + _3 * np.uint64(j) + np.uint64(c)
                near = stroke[RED + c]
                colour = min(_ONE, max(_ZERO, (near + u * (stroke[FAR_RED + c] - near)) * light))
                canvas[q] += m * (colour - grid.covers * canvas[q])
        packed += length
    return top, rows


@kernel
def lay_all(strokes: Floats, grid: Grid, marks: Marks, canvas: Floats, scratch: BrushScratch) -> None:
    """Paint strokes (N, 18) in order onto a flat (h * w * 3) canvas."""
    for i in range(strokes.shape[0]):
        lay(strokes[i], grid, marks, canvas, scratch)


@kernel
def trace(
    strokes: Floats, grid: Grid, marks: Marks, canvas: Floats, ground: Floats, density: np.float32, visible: Floats,
    finished: Floats, scratch: BrushScratch, ledger: Ledger,
) -> None:  # fmt: skip
    """Paint stroke by stroke and update the ledger of what is visible; arguments as in `renderers.distance.record`."""
    for i in range(strokes.shape[0]):
        top, rows = lay(strokes[i], grid, marks, canvas, scratch)
        record(i, top, rows, scratch.row_lo, scratch.row_hi, grid, canvas, ground, density, visible, finished, ledger)


@kernel
def solve_colours(
    strokes: Floats, grid: Grid, marks: Marks, target: Floats, blank: Floats, after: NDArray[np.int64],
    weight: np.float32, loyalty: np.float32, steps: int, scratch: BrushScratch, states: Floats,
) -> None:  # fmt: skip
    """Solve for the colours at both ends of every stroke, given the marks that the brush really leaves.

    With masks fixed the canvas is linear in the colours, so a few preconditioned gradient steps solve for all at once;
    each colour's step is divided by the sum of squares of its own influence. Relief is left out.

    Args:
        strokes: (N, 18); their colours are changed.
        target, blank: (3n,) the picture, and the canvas before the first stroke.
        after, weight, states: under-paintings, as in `renderers.raster.gradient.Loss`.
        loyalty: weight of straying from the picture's mean colour under a stroke; 1 counts as much as an error of all
            its pixels. For strokes that others cover, nothing else determines the colour.
    """
    count = strokes.shape[0]
    starts, tops = np.zeros(count + 1, np.int64), np.zeros(count, np.int64)
    row_starts = np.zeros(count + 1, np.int64)
    for i in range(count):  # a first pass that only counts pixels and rows
        tops[i], rows = outline(strokes[i], grid, _SHARP_PX, scratch.row_lo, scratch.row_hi)
        pixels = 0
        for row in range(rows):
            pixels += scratch.row_hi[row] - scratch.row_lo[row]
        starts[i + 1], row_starts[i + 1] = starts[i] + pixels, row_starts[i] + rows
    masks, places = np.empty(starts[count], np.float32), np.empty(starts[count], np.float32)
    lo, hi = np.empty(row_starts[count], np.int32), np.empty(row_starts[count], np.int32)
    for i in range(count):
        _, rows, pixels = brush_mask(strokes[i], grid, marks, scratch)
        for j in range(pixels):
            masks[starts[i] + j], places[starts[i] + j] = scratch.mask[j], scratch.place[j]
        for row in range(rows):
            lo[row_starts[i] + row], hi[row_starts[i] + row] = scratch.row_lo[row], scratch.row_hi[row]
    canvas, upstream = np.empty_like(target), np.empty_like(target)
    pulls = np.empty((after.shape[0], target.shape[0]), np.float32)
    velocity = np.zeros((count, 6), np.float32)
    local = np.zeros((count, 3), np.float32)
    for i in range(count):
        area, packed = _TINY, starts[i]
        for row in range(row_starts[i + 1] - row_starts[i]):
            first, last = lo[row_starts[i] + row], hi[row_starts[i] + row]
            at = _3 * np.uint64((tops[i] + row) * grid.width + first)
            for j in range(last - first):
                m = masks[packed + j]
                area += m
                for c in range(3):
                    local[i, c] += m * target[at + _3 * np.uint64(j) + np.uint64(c)]
            packed += last - first
        for c in range(3):
            local[i, c] /= area
    for _ in range(steps):
        for j in range(target.shape[0]):
            canvas[j] = blank[j]
        for i in range(count):
            packed = starts[i]
            for row in range(row_starts[i + 1] - row_starts[i]):
                first, last = lo[row_starts[i] + row], hi[row_starts[i] + row]
                at = _3 * np.uint64((tops[i] + row) * grid.width + first)
                for j in range(last - first):
                    m, u = masks[packed + j], places[packed + j]
                    for c in range(3):
                        q = at + _3 * np.uint64(j) + np.uint64(c)
                        near = strokes[i, RED + c]
                        colour = near + u * (strokes[i, FAR_RED + c] - near)
                        canvas[q] += m * (colour - grid.covers * canvas[q])
                packed += last - first
            for z in range(after.shape[0]):
                if after[z] == i:
                    wanted = states[z] if states.shape[0] else target
                    for j in range(target.shape[0]):
                        pulls[z, j] = weight * (wanted[j] - canvas[j])
        for j in range(target.shape[0]):
            upstream[j] = target[j] - canvas[j]
        for i in range(count - 1, -1, -1):
            for z in range(after.shape[0]):
                if after[z] == i:
                    for j in range(target.shape[0]):
                        upstream[j] += pulls[z, j]
            nn, nf, ff = _TINY, _ZERO, _TINY
            pull_near, pull_far = np.zeros(3, np.float32), np.zeros(3, np.float32)
            packed = starts[i]
            for row in range(row_starts[i + 1] - row_starts[i]):
                first, last = lo[row_starts[i] + row], hi[row_starts[i] + row]
                at = _3 * np.uint64((tops[i] + row) * grid.width + first)
                for j in range(last - first):
                    m, u = masks[packed + j], places[packed + j]
                    near, far = m * (_ONE - u), m * u
                    nn += near * near
                    nf += near * far
                    ff += far * far
                    for c in range(3):
                        q = at + _3 * np.uint64(j) + np.uint64(c)
                        g = upstream[q]
                        pull_near[c] += g * near
                        pull_far[c] += g * far
                        upstream[q] = g - grid.covers * m * g
                packed += last - first
            for c in range(3):
                step_near = pull_near[c] / (nn + nf) + loyalty * (local[i, c] - strokes[i, RED + c])
                step_far = pull_far[c] / (ff + nf) + loyalty * (local[i, c] - strokes[i, FAR_RED + c])
                velocity[i, c] = _HALF * velocity[i, c] + _HALF * step_near
                velocity[i, 3 + c] = _HALF * velocity[i, 3 + c] + _HALF * step_far
                strokes[i, RED + c] = min(_ONE, max(_ZERO, strokes[i, RED + c] + velocity[i, c]))
                strokes[i, FAR_RED + c] = min(_ONE, max(_ZERO, strokes[i, FAR_RED + c] + velocity[i, 3 + c]))
