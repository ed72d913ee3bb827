"""How the masks of Learning to Paint's strokes change with their numbers.

The discs stand on whole pixels, so almost everywhere a mask does not change at all with a stroke's position or radius,
and a derivative taken literally is 0. What an optimiser needs is how the area that is covered changes. So masks are
those of the exact discs, and derivatives those of the discs before they are cut down to whole pixels:

- to opacity, exactly: a pixel shows the opacity of the last disc upon it, linear in t;
- to position and radius, a boundary integral. Where two neighbouring pixels of the doubled canvas show different
  discs, an edge runs between them. A disc that moves by dc and grows by dr moves its edge outward by n . dc + dr, with
  n the outward normal; the area that changes hands there is |n_axis| of a pixel (n_axis being the normal's component
  across the pair), and each pixel of it changes by the difference of both opacities.
"""

import numpy as np

from renderers.raster.discs import NUM_DISCS, Discs, Fine, draw_mask, half_widths, new_fine, plan_discs
from renderers.raster.jit import kernel, part
from renderers.raster.ribbon import Floats, Ints

_NUM_SHAPE = 10
_STRIDE = 4  # discs lie so close together that every fourth is enough to find the nearest rim
_ZERO, _HALF, _ONE = np.float32(0), np.float32(0.5), np.float32(1)
_EIGHTH = np.float32(0.125)  # a pixel of the canvas is the mean of four, and an edge lies between two of them
_QUARTER = np.float32(0.25)
_STEP = np.float32(1 / NUM_DISCS)
_TINY = np.float32(1e-6)


def disc_mask_gradients(strokes: Floats, mask_gradients: Floats) -> Floats:
    """The gradient with respect to the numbers that shape masks, from that with respect to the masks.

    Args:
        strokes: (N, 13) or (N, 10) in [0, 1], in Learning to Paint's form; colours are ignored.
        mask_gradients: (N, W, W) of `disc_masks(strokes, W)`.

    Returns:
        (N, 10) float32, in the strokes' own units.

    Raises:
        ValueError: if a number is outside [0, 1], or the counts differ.
    """
    count, width = mask_gradients.shape[:2]
    if len(strokes) != count:
        raise ValueError(f"{len(strokes)} strokes, but gradients of {count} masks")
    discs = plan_discs(strokes, width)
    places = np.broadcast_to(np.arange(NUM_DISCS, dtype=np.float32), discs.opacities.shape)
    numbered = Discs(discs.rows, discs.columns, discs.radii, np.ascontiguousarray(places))
    upstream = np.ascontiguousarray(mask_gradients, np.float32)
    absolute = np.zeros((count, _NUM_SHAPE), np.float32)
    _gradients(
        numbered, discs.opacities, half_widths(1 + width // 2), upstream, absolute,
        np.empty((width, width), np.float32), new_fine(width),
    )  # fmt: skip
    return _relative(absolute, strokes, width)


def _relative(absolute: Floats, strokes: Floats, width: int) -> Floats:
    """Convert gradients from control points and radii in pixels of the doubled canvas to the strokes' numbers."""
    gradient = absolute.copy()
    gradient[:, :6] *= 2 * width - 1
    gradient[:, 6:8] *= width / 2
    for axis in (0, 1):
        start, share, end = strokes[:, axis], strokes[:, axis + 2], strokes[:, axis + 4]
        middle = gradient[:, axis + 2].copy()
        gradient[:, axis] += middle * (1 - share)
        gradient[:, axis + 4] += middle * share
        gradient[:, axis + 2] = middle * (end - start)
    return gradient


@kernel
def _gradients(
    numbered: Discs, opacities: Floats, reach: Ints, upstream: Floats, gradient: Floats, mask: Floats, fine: Fine
) -> None:
    """Write (N, 10) gradients for x0 y0 x1 y1 x2 y2 r0 r2 in pixels of the doubled canvas, and for both opacities.

    Args:
        numbered: discs with their number in place of their opacity, so that a mask says which disc a pixel shows.
    """
    side = np.int32(fine.pixels.shape[0])
    for i in range(upstream.shape[0]):
        top, bottom, left, right = draw_mask(numbered, i, reach, mask, fine)
        top, bottom, left, right = 2 * top, 2 * bottom, 2 * left, 2 * right
        pulls, to = upstream[i], gradient[i]
        for y in range(max(0, top - 1), bottom):  # the row above and the column before are bare, but have an edge
            for x in range(max(0, left - 1), right):
                disc = fine.pixels[y, x] if y >= top and x >= left else -_ONE
                pull = pulls[y >> 1, x >> 1]
                if disc >= _ZERO:
                    t = disc * _STEP
                    to[8] += _QUARTER * pull * (_ONE - t)
                    to[9] += _QUARTER * pull * t
                if x + 1 < side:
                    disc_right = fine.pixels[y, x + 1] if y >= top and x + 1 < right else -_ONE
                    if disc_right != disc:
                        pair = _EIGHTH * (pull + pulls[y >> 1, (x + 1) >> 1])
                        _edge(numbered, opacities, i, disc, disc_right, pair, y, x, 0, 1, to)
                if y + 1 < side:
                    disc_below = fine.pixels[y + 1, x] if x >= left and y + 1 < bottom else -_ONE
                    if disc_below != disc:
                        pair = _EIGHTH * (pull + pulls[(y + 1) >> 1, x >> 1])
                        _edge(numbered, opacities, i, disc, disc_below, pair, y, x, 1, 0, to)


@part
def _edge(
    discs: Discs, opacities: Floats, i: int, disc: np.float32, neighbour: np.float32, pull: np.float32, y: int, x: int,
    down: int, across: int, to: Floats,
) -> None:  # fmt: skip
    """Add what moves the edge between pixel (y, x), which shows `disc`, and the one beside it, which shows `neighbour`.

    The edge belongs to the later disc. Where its neighbour is bare, it belongs to the disc that reaches farthest: along
    the side of a stroke the last disc upon a pixel is not the one whose rim is there.
    """
    upper, lower = max(disc, neighbour), min(disc, neighbour)
    outward = _ONE if disc > neighbour else -_ONE  # from the upper disc's pixel to the other
    row, column = np.float32(y) + _HALF * down, np.float32(x) + _HALF * across
    owner = np.int32(upper)
    jump = opacities[i, owner]
    if lower >= _ZERO:
        jump -= opacities[i, np.int32(lower)]
    else:
        deepest = -np.float32(1e9)
        for k in range(0, NUM_DISCS, _STRIDE):
            off_row, off_column = row - discs.rows[i, k], column - discs.columns[i, k]
            depth = discs.radii[i, k] - np.sqrt(off_row * off_row + off_column * off_column)
            if depth > deepest:
                deepest, owner = depth, np.int32(k)
    off_row, off_column = row - discs.rows[i, owner], column - discs.columns[i, owner]
    length = np.sqrt(off_row * off_row + off_column * off_column) + _TINY
    normal_row, normal_column = off_row / length, off_column / length
    facing = outward * (normal_row * down + normal_column * across)
    if facing > _ZERO:
        push = pull * jump * facing
        t = owner * _STEP
        q = _ONE - t
        for axis in range(2):
            moved = push * (normal_row if axis == 0 else normal_column)
            to[axis] += q * q * moved
            to[axis + 2] += np.float32(2) * t * q * moved
            to[axis + 4] += t * t * moved
        to[6] += q * push
        to[7] += t * push
