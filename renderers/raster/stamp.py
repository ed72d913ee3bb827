"""Painting strokes onto a canvas, one after the other."""

from typing import NamedTuple

import numpy as np

from renderers.raster.jit import kernel, part
from renderers.raster.ribbon import A0, A2, BLUE, GREEN, RED, Floats, Grid, Ints, measure, outline, pack

_1, _2, _3 = np.uint64(1), np.uint64(2), np.uint64(3)
_SHARP_PX = np.float32(1)  # edges are anti-aliased over one pixel


class Scratch(NamedTuple):
    """Working memory for one stroke: spans of its rows, and centre, t and opacity of its pixels."""

    row_lo: Ints
    row_hi: Ints
    xs: Floats
    ys: Floats
    along: Floats
    mask: Floats


def new_scratch(grid: Grid) -> Scratch:
    """Enough for a stroke that covers the whole canvas."""
    xs, ys, along, mask = (np.empty(grid.height * grid.width, np.float32) for _ in range(4))
    return Scratch(np.empty(grid.height, np.int32), np.empty(grid.height, np.int32), xs, ys, along, mask)


@part
def stroke_mask(stroke: Floats, grid: Grid, scratch: Scratch) -> tuple[int, int]:
    """Write opacity times coverage of a stroke's pixels into `scratch.mask`; return first row and number of rows."""
    top, rows = outline(stroke, grid, _SHARP_PX, scratch.row_lo, scratch.row_hi)
    n = pack(top, rows, scratch.row_lo, scratch.row_hi, scratch.xs, scratch.ys)
    along, mask = scratch.along[:n], scratch.mask[:n]
    measure(stroke, grid.unit_px, _SHARP_PX, scratch.xs[:n], scratch.ys[:n], along, mask)
    base, slope = stroke[A0], stroke[A2] - stroke[A0]
    for j in range(n):
        mask[j] *= base + slope * along[j]
    return top, rows


@part
def draw(stroke: Floats, grid: Grid, canvas: Floats, scratch: Scratch) -> tuple[int, int]:
    """Paint one stroke onto a flat (h * w * 3) canvas: C <- C + m (colour - covers C); returns first row and rows."""
    top, rows = stroke_mask(stroke, grid, scratch)
    red, green, blue = stroke[RED], stroke[GREEN], stroke[BLUE]
    packed = np.uint64(0)
    for row in range(rows):
        at = _3 * np.uint64((top + row) * grid.width + scratch.row_lo[row])
        length = scratch.row_hi[row] - scratch.row_lo[row]
        for j in range(length):
            q = at + _3 * np.uint64(j)
            m = scratch.mask[packed + np.uint64(j)]
            canvas[q] += m * (red - grid.covers * canvas[q])
            canvas[q + _1] += m * (green - grid.covers * canvas[q + _1])
            canvas[q + _2] += m * (blue - grid.covers * canvas[q + _2])
        packed += np.uint64(length)
    return top, rows


@kernel
def draw_all(strokes: Floats, grid: Grid, canvas: Floats, scratch: Scratch) -> None:
    """Paint strokes (N, 13) in order onto a flat (h * w * 3) canvas."""
    for i in range(strokes.shape[0]):
        draw(strokes[i], grid, canvas, scratch)
