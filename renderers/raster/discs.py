"""The exact strokes of Learning to Paint (Huang, Heng and Zhou, ICCV 2019): a hundred filled discs along a curve.

Their renderer network was trained to imitate this drawing, so actors trained against it, and strokes stored in its
form, mean exactly this. It differs from our ribbons: where a stroke crosses itself or turns sharply the *last* disc
gives the opacity, not the nearest point; centres and radii are whole pixels of a canvas of twice the size; a control
point lies within the box of the end points.

Their numbers, all in [0, 1]: x0 y0 x1 y1 x2 y2 z0 z2 w0 w2 and three colours, where x is the *row* and y the column, x1
and y1 are relative (x0 + (x2 - x0) * x1), z is a code for the radius and w the opacity. On a canvas of width W:

    point  -> floor(p * (2 W - 1) + 1/2)     radius -> 1 + floor(z * W / 2)     in pixels of the doubled canvas
    disc i -> t = 0.01 i, B(t) and (1 - t) radius0 + t radius2 truncated to whole pixels, opacity linear in t

A disc of whole radius r holds the pixels at most r away, so d rows off its centre it reaches floor(sqrt(r^2 - d^2))
columns to either side; these are the pixels that OpenCV's filled circle paints. The doubled canvas is averaged 2 x 2.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from renderers.raster.jit import kernel, part
from renderers.raster.ribbon import NUM_COLUMNS, Floats, Ints

NUM_DISCS = 100
_RAGGED = np.int32(2**30)  # more than any column
_BARE = np.float32(-1)  # no disc yet: opacities are never negative
_ZERO, _QUARTER, _ONE = np.float32(0), np.float32(0.25), np.float32(1)


class Discs(NamedTuple):
    """The discs of N strokes, (N, 100) each: centre and radius in pixels of the doubled canvas, opacity in [0, 1]."""

    rows: Ints
    columns: Ints
    radii: Ints
    opacities: Floats


class Fine(NamedTuple):
    """The doubled canvas for one stroke (2W, 2W), and which columns of each row are covered, (2W,).

    That is `covered_from` <= column < `covered_to`, until two discs leave a hole between them: then `covered_from` is
    `_RAGGED`, and the pixels themselves say what is bare.
    """

    pixels: Floats
    covered_from: Ints
    covered_to: Ints


def paint_discs(strokes: Floats, canvas: Floats) -> Floats:
    """Paint strokes in Learning to Paint's form, in order: C <- C (1 - M) + M colour.

    Args:
        strokes: (N, 13) in [0, 1], in their form (see above).
        canvas: (W, W, 3) in [0, 1], its channels in the order of the strokes' colours (theirs are BGR).

    Returns:
        (W, W, 3) float32, the painted canvas; the argument is left alone.

    Raises:
        ValueError: if the canvas is not square, or a number is outside [0, 1].
    """
    if canvas.ndim != 3 or canvas.shape[0] != canvas.shape[1] or canvas.shape[2] != 3:
        raise ValueError(f"Learning to Paint draws on square (W, W, 3) canvases, not {canvas.shape}")
    width = canvas.shape[0]
    painted = np.array(canvas, np.float32, order="C")
    mask = np.zeros((width, width), np.float32)
    colours = np.ascontiguousarray(strokes[:, 10:], np.float32)
    _paint(plan_discs(strokes, width), colours, half_widths(1 + width // 2), painted, mask, new_fine(width))
    return painted


def disc_masks(strokes: Floats, width: int) -> Floats:
    """Opacity that each stroke lays over each pixel.

    Args:
        strokes: (N, 13) in [0, 1], in their form; colours are ignored.
        width: W of the canvas in pixels.

    Returns:
        (N, W, W) float32 in [0, 1]: one minus what `stroke_gen.draw` of Learning to Paint returns.

    Raises:
        ValueError: if a number is outside [0, 1].
    """
    masks = np.zeros((len(strokes), width, width), np.float32)
    _draw_masks(plan_discs(strokes, width), half_widths(1 + width // 2), masks, new_fine(width))
    return masks


def plan_discs(strokes: Floats, width: int) -> Discs:
    """Where the discs of (N, 13) strokes stand on the doubled canvas of 2 `width` pixels.

    Truncation to whole pixels makes every rounding matter (3 * 0.9 + 3 * 0.1 may be 2.9999999999999996, and then the
    radius is 2), so this is done in double precision, in their order of operations, and not in a kernel, which would
    reorder sums.

    Raises:
        ValueError: if a number is outside [0, 1], or a stroke does not have 13.
    """
    if strokes.ndim != 2 or strokes.shape[1] != NUM_COLUMNS:
        raise ValueError(f"strokes must be (N, 13), not {strokes.shape}")
    if not ((strokes >= 0) & (strokes <= 1)).all():
        raise ValueError("strokes of Learning to Paint are made of numbers in [0, 1]")
    x0, y0, x1, y1, x2, y2, z0, z2, w0, w2 = strokes[:, :10, None].astype(np.float64).transpose(1, 0, 2)
    x1, y1 = x0 + (x2 - x0) * x1, y0 + (y2 - y0) * y1
    x0, y0, x1, y1, x2, y2 = (np.floor(p * (2 * width - 1) + 0.5) for p in (x0, y0, x1, y1, x2, y2))
    z0, z2 = np.floor(1 + z0 * width // 2), np.floor(1 + z2 * width // 2)
    t = np.arange(NUM_DISCS) * 0.01
    q = 1 - t
    return Discs(
        rows=(q * q * x0 + 2 * t * q * x1 + t * t * x2).astype(np.int32),
        columns=(q * q * y0 + 2 * t * q * y1 + t * t * y2).astype(np.int32),
        radii=(q * z0 + t * z2).astype(np.int32),
        opacities=(q * w0 + t * w2).astype(np.float32),
    )


@lru_cache(maxsize=8)
def half_widths(largest: int) -> Ints:
    """How far discs of whole radius reach sideways.

    Returns:
        (largest + 1, largest + 1) int32: row r, column d is floor(sqrt(r^2 - d^2)), and 0 where d > r.
    """
    radius, off = np.mgrid[: largest + 1, : largest + 1]
    table: Ints = np.sqrt(np.maximum(0, radius * radius - off * off)).astype(np.int32)
    return table


def new_fine(width: int) -> Fine:
    """Scratch for one stroke on a canvas of this width."""
    side = 2 * width
    return Fine(np.empty((side, side), np.float32), np.empty(side, np.int32), np.empty(side, np.int32))


@kernel
def _draw_masks(discs: Discs, reach: Ints, masks: Floats, fine: Fine) -> None:
    for i in range(masks.shape[0]):
        draw_mask(discs, i, reach, masks[i], fine)


@kernel
def _paint(discs: Discs, colours: Floats, reach: Ints, canvas: Floats, mask: Floats, fine: Fine) -> None:
    for i in range(colours.shape[0]):
        top, bottom, left, right = draw_mask(discs, i, reach, mask, fine)
        first, second, third = colours[i, 0], colours[i, 1], colours[i, 2]
        for y in range(top, bottom):
            for x in range(left, right):
                m = mask[y, x]
                keep = _ONE - m
                canvas[y, x, 0] = canvas[y, x, 0] * keep + m * first
                canvas[y, x, 1] = canvas[y, x, 1] * keep + m * second
                canvas[y, x, 2] = canvas[y, x, 2] * keep + m * third


@part
def draw_mask(discs: Discs, i: int, reach: Ints, mask: Floats, fine: Fine) -> tuple[int, int, int, int]:
    """Write the mask of stroke i within its box, and return the box: rows [top, bottom), columns [left, right)."""
    side = fine.pixels.shape[0]
    top, bottom, left, right = side, 0, side, 0
    for k in range(NUM_DISCS):
        row, column, radius = discs.rows[i, k], discs.columns[i, k], discs.radii[i, k]
        top, bottom = min(top, row - radius), max(bottom, row + radius + 1)
        left, right = min(left, column - radius), max(right, column + radius + 1)
    top, bottom, left, right = (
        max(0, top) // 2,
        (min(side, bottom) + 1) // 2,
        max(0, left) // 2,
        (min(side, right) + 1) // 2,
    )
    for y in range(2 * top, 2 * bottom):
        fine.pixels[y, 2 * left : 2 * right] = _BARE
        fine.covered_from[y], fine.covered_to[y] = 0, 0
    # The last disc wins, so draw from the last to the first and leave alone what is covered.
    for k in range(NUM_DISCS - 1, -1, -1):
        row, column, radius, opacity = discs.rows[i, k], discs.columns[i, k], discs.radii[i, k], discs.opacities[i, k]
        for y in range(max(0, row - radius), min(side, row + radius + 1)):
            half = reach[radius, np.uint64(abs(y - row))]
            start, stop = max(np.int32(0), column - half), min(np.int32(side), column + half + np.int32(1))
            old_start, old_stop = fine.covered_from[np.uint64(y)], fine.covered_to[np.uint64(y)]
            if start < old_start or stop > old_stop:
                _cover(fine, y, start, stop, opacity)
    for y in range(top, bottom):
        above, below, out = fine.pixels[2 * y], fine.pixels[2 * y + 1], mask[y]
        for x in range(left, right):
            upper = max(_ZERO, above[2 * x]) + max(_ZERO, above[2 * x + 1])
            lower = max(_ZERO, below[2 * x]) + max(_ZERO, below[2 * x + 1])
            out[x] = _QUARTER * (upper + lower)
    return top, bottom, left, right


@part
def _cover(fine: Fine, y: int, start: int, stop: int, opacity: np.float32) -> None:
    """Give the bare pixels of row y, columns [start, stop), an opacity."""
    row = fine.pixels[y]
    old_start, old_stop = fine.covered_from[y], fine.covered_to[y]
    if old_start == old_stop:
        old_start = old_stop = start
    if start > old_stop or stop < old_start:
        fine.covered_from[y] = _RAGGED
        for x in range(start, stop):
            row[x] = opacity if row[x] < _ZERO else row[x]
    else:
        for x in range(start, old_start):
            row[x] = opacity
        for x in range(old_stop, stop):
            row[x] = opacity
        fine.covered_from[y], fine.covered_to[y] = min(start, old_start), max(stop, old_stop)
