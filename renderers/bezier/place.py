"""Greedy placement: one stroke after the other, where the canvas is most wrong, coarse strokes first.

Each stroke starts as the best of a few random candidates in a bad spot and is then improved by hill climbing. What a
candidate would gain is exact, because for a fixed shape the best colour has a closed form. Candidates are scored on the
pyramid level where the stroke is only one to two pixels wide, so a candidate costs the same whatever its size.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from renderers.raster.jit import kernel, part
from renderers.raster.ribbon import A0, A2, BLUE, GREEN, NUM_COLUMNS, R0, R2, RED, X0, X1, X2, Y0, Y1, Y2, Floats, Grid
from renderers.raster.stamp import Scratch, draw, stroke_mask

_ZERO, _HALF, _ONE, _TWO = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2)
_TINY = np.float32(1e-6)
_1, _2, _3 = np.uint64(1), np.uint64(2), np.uint64(3)
MAX_CELLS = 4096
MARGIN = np.float32(0.02)  # how far a control point may leave the canvas
_MIN_WEIGHT = np.float32(0.3)  # strokes that cover fewer pixels than this are not worth solving a colour for


class Pyramid(NamedTuple):
    """A picture and the canvas painted so far at several sizes, finest first; level l is half of level l - 1.

    `targets` and `canvases` hold all levels one after the other, level l from `starts[l]` on, flat (h * w * 3).
    """

    targets: Floats
    canvases: Floats
    starts: NDArray[np.int64]
    heights: NDArray[np.int64]
    widths: NDArray[np.int64]
    units_px: Floats
    covers: np.float32


NO_ATTENTION = np.zeros((1, 1), np.float32)


class Guide(NamedTuple):
    """Where strokes should run: `angles` (h, w) in radians, followed to within `spread` (h, w) times a quarter turn.

    `attention` (rows, columns) is 0 or more: when a spot for the first stroke is chosen, errors count 1 + attention
    times; this weight falls to 1 towards the last stroke.
    """

    angles: Floats
    spread: Floats
    attention: Floats = NO_ATTENTION


class Limits(NamedTuple):
    """Limits of a stroke: it is on a canvas of `width` x `height` units, and no thinner or fainter than the minima."""

    width: np.float32
    height: np.float32
    min_radius: np.float32
    min_opacity: np.float32


class Search(NamedTuple):
    """Settings of the search for each stroke.

    `num_candidates` random starts and `num_climbs` steps of hill climbing; `radius_px` is the least radius in pixels
    at which a stroke is scored; new strokes have a half length of `min_length` to `max_length` radii. The broadest
    stroke is charged `crossing` times the variation of the picture's colours under it, so that it stays within
    silhouettes; finer ones are charged in proportion to their radius.
    """

    num_candidates: int
    num_climbs: int
    radius_px: np.float32
    min_length: np.float32
    max_length: np.float32
    crossing: np.float32 = _ZERO


@part
def clamp(stroke: Floats, limits: Limits) -> None:
    """Move a stroke's numbers into their ranges, in place."""
    for c in range(X0, R0, 2):
        stroke[c] = min(limits.width + MARGIN, max(-MARGIN, stroke[c]))
        stroke[c + 1] = min(limits.height + MARGIN, max(-MARGIN, stroke[c + 1]))
    for c in range(R0, R2 + 1):
        stroke[c] = min(_ONE, max(limits.min_radius, stroke[c]))
    for c in range(A0, A2 + 1):
        stroke[c] = min(_ONE, max(limits.min_opacity, stroke[c]))
    for c in range(RED, NUM_COLUMNS):
        stroke[c] = min(_ONE, max(_ZERO, stroke[c]))


@part
def score(
    stroke: Floats, grid: Grid, canvas: Floats, target: Floats, scratch: Scratch, crossing: np.float32
) -> np.float32:
    """How much painting the stroke in its best colour would reduce the squared error, in units of area.

    A mask m and a colour q leave (T - C + m C) - m q of the residual T - C, so q = sum m (T - C + m C) / sum m^2.
    That colour, clipped to [0, 1], is written into the stroke.

    Args:
        crossing: charge for sum m |T - mean T|^2, how much the target varies under the stroke.

    Returns:
        The gain less the charge, or -1 if the stroke covers next to nothing.
    """
    top, rows = stroke_mask(stroke, grid, scratch)
    mask = scratch.mask
    weight = _ZERO
    a0, a1, a2, d = _ZERO, _ZERO, _ZERO, _ZERO
    area, t0, t1, t2, squares = _TINY, _ZERO, _ZERO, _ZERO, _ZERO
    packed = np.uint64(0)
    for row in range(rows):
        at = _3 * np.uint64((top + row) * grid.width + scratch.row_lo[row])
        length = scratch.row_hi[row] - scratch.row_lo[row]
        for j in range(length):
            q = at + _3 * np.uint64(j)
            m = mask[packed + np.uint64(j)]
            covering = grid.covers * m
            z0, z1, z2 = covering * canvas[q], covering * canvas[q + _1], covering * canvas[q + _2]
            w0, w1, w2 = target[q], target[q + _1], target[q + _2]
            r0, r1, r2 = w0 - canvas[q], w1 - canvas[q + _1], w2 - canvas[q + _2]
            area += m
            t0 += m * w0
            t1 += m * w1
            t2 += m * w2
            squares += m * (w0 * w0 + w1 * w1 + w2 * w2)
            weight += m * m
            a0 += m * (r0 + z0)
            a1 += m * (r1 + z1)
            a2 += m * (r2 + z2)
            d += z0 * (r0 + r0 + z0) + z1 * (r1 + r1 + z1) + z2 * (r2 + r2 + z2)
        packed += np.uint64(length)
    if weight < _MIN_WEIGHT:
        return np.float32(-1)
    inverse = _ONE / weight
    c0 = min(_ONE, max(_ZERO, a0 * inverse))
    c1 = min(_ONE, max(_ZERO, a1 * inverse))
    c2 = min(_ONE, max(_ZERO, a2 * inverse))
    stroke[RED], stroke[GREEN], stroke[BLUE] = c0, c1, c2
    gain = _TWO * (c0 * a0 + c1 * a1 + c2 * a2) - (c0 * c0 + c1 * c1 + c2 * c2) * weight - d
    gain -= crossing * (squares - (t0 * t0 + t1 * t1 + t2 * t2) / area)
    return gain / (grid.unit_px * grid.unit_px)


@part
def _cell_errors(
    errors: Floats, cell_px: int, grid: Grid, canvas: Floats, target: Floats, window: tuple[int, int, int, int],
    columns: int, attention: Floats, share: np.float32,
) -> None:  # fmt: skip
    """Squared error of the grid cells in a window (first row, last row, first column, last column), into `errors`.

    Each counts 1 + `share` * attention times.
    """
    seen_rows, seen_columns = attention.shape
    for gy in range(window[0], window[1]):
        for gx in range(window[2], window[3]):
            total = _ZERO
            left, right = gx * cell_px, min(grid.width, gx * cell_px + cell_px)
            for y in range(gy * cell_px, min(grid.height, gy * cell_px + cell_px)):
                at = np.uint64(3 * (y * grid.width + left))
                for j in range(3 * (right - left)):
                    difference = target[at + np.uint64(j)] - canvas[at + np.uint64(j)]
                    total += difference * difference
            row = min(seen_rows - 1, (gy * cell_px + cell_px // 2) * seen_rows // grid.height)
            column = min(seen_columns - 1, (gx * cell_px + cell_px // 2) * seen_columns // grid.width)
            errors[gy * columns + gx] = total * (_ONE + share * attention[row, column])


@part
def _touched(stroke: Floats, unit_px: np.float32, cell_px: int, rows: int, columns: int) -> tuple[int, int, int, int]:
    """The window of cells that a stroke may have changed."""
    reach = max(stroke[R0], stroke[R2]) * unit_px + _ONE
    cells = np.float32(cell_px)
    x_lo = (min(stroke[X0], stroke[X1], stroke[X2]) * unit_px - reach) / cells
    x_hi = (max(stroke[X0], stroke[X1], stroke[X2]) * unit_px + reach) / cells
    y_lo = (min(stroke[Y0], stroke[Y1], stroke[Y2]) * unit_px - reach) / cells
    y_hi = (max(stroke[Y0], stroke[Y1], stroke[Y2]) * unit_px + reach) / cells
    return max(0, int(y_lo)), min(rows, int(y_hi) + 1), max(0, int(x_lo)), min(columns, int(x_hi) + 1)


@part
def level_grid(pyramid: Pyramid, level: int) -> Grid:
    """The grid of one level."""
    return Grid(pyramid.heights[level], pyramid.widths[level], pyramid.units_px[level], pyramid.covers)


@part
def level_pixels(pixels: Floats, pyramid: Pyramid, level: int) -> Floats:
    """One level's part of `targets` or `canvases`."""
    start = pyramid.starts[level]
    return pixels[start : start + 3 * pyramid.heights[level] * pyramid.widths[level]]


@kernel
def place(
    strokes: Floats, radii: Floats, pyramid: Pyramid, scratch: Scratch, errors: Floats, search: Search, limits: Limits,
    guide: Guide,     rng: np.random.Generator,
) -> None:  # fmt: skip
    """Place strokes one after the other, painting each onto every level of the pyramid.

    Args:
        strokes: (N, 13) written.
        radii: (N,) typical radius of each stroke, in units of the shorter side.
        errors: (MAX_CELLS,) scratch.
        guide: directions for new strokes, over the whole canvas at any resolution.
    """
    levels = pyramid.heights.shape[0]
    trial, best = np.zeros(NUM_COLUMNS, np.float32), np.zeros(NUM_COLUMNS, np.float32)
    last_level, last_cell = -1, -1
    for i in range(strokes.shape[0]):
        r = radii[i]
        level = 0
        while level < levels - 1 and r * pyramid.units_px[level + 1] >= search.radius_px:
            level += 1
        grid = level_grid(pyramid, level)
        canvas, target = level_pixels(pyramid.canvases, pyramid, level), level_pixels(pyramid.targets, pyramid, level)
        cell_px = max(2, int(_TWO * r * grid.unit_px))
        while ((grid.height + cell_px - 1) // cell_px) * ((grid.width + cell_px - 1) // cell_px) > MAX_CELLS:
            cell_px += 1
        rows, columns = (grid.height + cell_px - 1) // cell_px, (grid.width + cell_px - 1) // cell_px
        window = (0, rows, 0, columns)
        if level == last_level and cell_px == last_cell:  # only what the last stroke touched has changed
            window = _touched(best, grid.unit_px, cell_px, rows, columns)
        share = _ONE - np.float32(i) / np.float32(strokes.shape[0])
        _cell_errors(errors, cell_px, grid, canvas, target, window, columns, guide.attention, share)
        last_level, last_cell = level, cell_px
        best_gain, reach = np.float32(-2), r
        for attempt in range(search.num_candidates + search.num_climbs):
            starting = attempt < search.num_candidates
            if starting:
                cell = _bad_cell(errors, rows * columns, rng)
                x = (np.float32(cell % columns) + np.float32(rng.random())) * np.float32(cell_px) / grid.unit_px
                y = (np.float32(cell // columns) + np.float32(rng.random())) * np.float32(cell_px) / grid.unit_px
                _random_stroke(trial, x, y, _angle_at(guide, x / limits.width, y / limits.height, rng), r, search, rng)
            else:
                _copy(best, trial)
                _perturb(trial, reach, rng)
            clamp(trial, limits)
            gain = score(trial, grid, canvas, target, scratch, search.crossing * r / radii[0])
            if gain > best_gain:
                best_gain = gain
                _copy(trial, best)
            elif not starting:
                reach = max(reach * np.float32(0.96), np.float32(0.3) / grid.unit_px)
        _copy(best, strokes[i])
        for other in range(levels):
            draw(best, level_grid(pyramid, other), level_pixels(pyramid.canvases, pyramid, other), scratch)


@part
def _copy(source: Floats, into: Floats) -> None:
    """Copy one stroke. A slice assignment would compile its error messages too, which takes seconds."""
    for c in range(NUM_COLUMNS):
        into[c] = source[c]


@part
def _bad_cell(errors: Floats, cells: int, rng: np.random.Generator) -> int:
    """The worst of an eighth of the cells drawn at random: usually among the worst eight, but not always the same."""
    cell = int(rng.random() * cells)
    for _ in range(max(2, cells // 8)):
        rival = int(rng.random() * cells)
        if errors[rival] > errors[cell]:
            cell = rival
    return cell


@part
def _angle_at(guide: Guide, x: np.float32, y: np.float32, rng: np.random.Generator) -> np.float32:
    """A direction for a stroke at (x, y), in shares of the canvas."""
    rows, columns = guide.angles.shape
    row, column = min(rows - 1, int(y * rows)), min(columns - 1, int(x * columns))
    swing: np.float32 = guide.spread[row, column] * np.float32((rng.random() - 0.5) * np.pi)
    angle: np.float32 = guide.angles[row, column] + swing
    return angle


@part
def _random_stroke(
    stroke: Floats,
    x: np.float32,
    y: np.float32,
    angle: np.float32,
    r: np.float32,
    search: Search,
    rng: np.random.Generator,
) -> None:
    """A stroke through (x, y), slightly bent, opacity 0.6 to 1; no colour yet."""
    half = r * np.float32(search.min_length + (search.max_length - search.min_length) * rng.random())
    bend = np.float32(rng.random() - 0.5) * half
    dx, dy = np.cos(angle), np.sin(angle)
    stroke[X0], stroke[Y0], stroke[X2], stroke[Y2] = x - dx * half, y - dy * half, x + dx * half, y + dy * half
    stroke[X1], stroke[Y1] = x - dy * bend, y + dx * bend
    girth = r * np.float32(0.5 + rng.random())
    stroke[R0] = girth * np.float32(0.6 + 0.6 * rng.random())
    stroke[R2] = girth * np.float32(0.6 + 0.6 * rng.random())
    stroke[A0] = np.float32(0.6 + 0.4 * rng.random())
    stroke[A2] = np.float32(0.6 + 0.4 * rng.random())


@part
def _perturb(stroke: Floats, reach: np.float32, rng: np.random.Generator) -> None:
    """Change one thing about a stroke: its place, one of its points, its girth or its opacity."""
    what = int(rng.random() * 6)
    one, two = np.float32(rng.standard_normal()), np.float32(rng.standard_normal())
    if what == 0:
        for c in range(X0, R0, 2):
            stroke[c] += one * reach
            stroke[c + 1] += two * reach
    elif what <= 3:
        point = X0 + 2 * (what - 1)
        far = _TWO if point == X1 else _ONE  # the middle point pulls the curve only half as far
        stroke[point] += far * one * reach
        stroke[point + 1] += far * two * reach
    elif what == 4:
        stroke[R0] += _HALF * one * reach
        stroke[R2] += _HALF * two * reach
    else:
        stroke[A0] += np.float32(0.15) * one
        stroke[A2] += np.float32(0.15) * two
