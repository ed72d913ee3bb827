"""Greedy placement of many paintings in step: stroke number i of every picture at once.

The algorithm is that of `renderers.bezier.place`, with two differences that leave fewer steps to wait for: candidates
climb in rounds, in each of which the best of several proposals is taken instead of the first that is better; and the
bad spot that a candidate starts from is drawn by its rank among all cells, which is how the worst of so many random
cells is distributed. A picture's strokes follow from its own seed, whatever else is in the batch.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from renderers.bezier.gpu.score import SIDE_PX, Level, Pyramid, middle_of, score
from renderers.bezier.place import MARGIN, MAX_CELLS, Limits, Search
from renderers.raster.gpu import painting
from renderers.raster.gpu.ribbon import nearest, window_pixels
from renderers.raster.ribbon import NUM_COLUMNS, RED, X0, X1, X2, Floats

_PROPOSALS = 3  # times as many as the kernel's climbs, for a third as many rounds
_NUMBERS = 11  # for one start
_LEAST_REACH_PX = 0.3
_SHORTEN = 0.7  # the reach of proposals, after a round without a better one


class Draws(NamedTuple):
    """All random numbers of B placements.

    `starts` (N, B, K, 11) are uniform; of proposals, `what` (N, B, R, P) is uniform, `how` (N, B, R, P, 2) normal.
    """

    starts: Tensor
    what: Tensor
    how: Tensor


def rounds_of(search: Search) -> tuple[int, int]:
    """Rounds of climbing, and proposals in each."""
    rounds = math.ceil(search.num_climbs / _PROPOSALS)
    return rounds, _PROPOSALS * _PROPOSALS


def draw_numbers(
    seeds: Sequence[np.random.SeedSequence], num_strokes: int, search: Search, device: torch.device
) -> Draws:
    """The numbers of each picture, from its own seed."""
    rounds, proposals = rounds_of(search)
    starts, what, how = [], [], []
    for seed in seeds:
        rng = np.random.Generator(np.random.PCG64(seed))
        starts.append(rng.random((num_strokes, search.num_candidates, _NUMBERS), np.float32))
        what.append(rng.random((num_strokes, rounds, proposals), np.float32))
        how.append(rng.standard_normal((num_strokes, rounds, proposals, 2), np.float32))
    return Draws(*(torch.from_numpy(np.stack(parts, 1)).to(device) for parts in (starts, what, how)))


def place(pyramid: Pyramid, radii: Floats, search: Search, limits: Limits, draws: Draws) -> Tensor:
    """Place strokes one after the other, painting each onto every level of the pyramid.

    Args:
        radii: (N,) typical radius of each stroke, in units of the shorter side.

    Returns:
        (B, N, 13) strokes in painting order.
    """
    low, high = (torch.tensor(ends, device=pyramid.targets.device) for ends in ranges(limits))
    footprints = [_footprint(pyramid.levels, number, low.device) for number in range(len(pyramid.levels))]
    strokes = []
    for number, radius in enumerate(radii.tolist()):
        chosen = _chosen_level(pyramid, radius, float(search.radius_px))
        unit_px = pyramid.levels[chosen].unit_px
        trials = _starts(pyramid, chosen, radius, search, draws.starts[number]).clamp(low, high)
        best, gain = _best(trials, pyramid, chosen)
        reach = torch.full_like(gain, radius)
        for attempt in range(draws.what.shape[2]):
            proposals = _proposals(best, reach, draws.what[number, :, attempt], draws.how[number, :, attempt])
            proposed, gained = _best(proposals.clamp(low, high), pyramid, chosen)
            better = gained > gain
            best = torch.where(better[:, None], proposed, best)
            gain = torch.where(better, gained, gain)
            reach = torch.where(better, reach, (reach * _SHORTEN).clamp_min(_LEAST_REACH_PX / unit_px))
        strokes.append(best)
        _draw(best, pyramid, footprints[chosen])
    return torch.stack(strokes, 1)


def ranges(limits: Limits) -> tuple[list[float], list[float]]:
    """Least and greatest value of each column of a stroke (see `renderers.bezier.place.clamp`)."""
    width, height, margin = float(limits.width), float(limits.height), float(MARGIN)
    low = [-margin] * 6 + [float(limits.min_radius)] * 2 + [float(limits.min_opacity)] * 2 + [0.0] * 3
    return low, [width + margin, height + margin] * 3 + [1.0] * 7


def _chosen_level(pyramid: Pyramid, radius: float, scored_px: float) -> int:
    """The level on which a stroke of that radius is narrow."""
    number = 0
    while number < len(pyramid.levels) - 1 and radius * pyramid.levels[number + 1].unit_px >= scored_px:
        number += 1
    return number


def _starts(pyramid: Pyramid, number: int, radius: float, search: Search, uniform: Tensor) -> Tensor:
    """(B, K, 13) strokes through bad spots, slightly bent, opacity 0.6 to 1; no colour yet."""
    level = pyramid.levels[number]
    cell_px = max(2, int(2 * radius * level.unit_px))
    while -(-level.height // cell_px) * -(-level.width // cell_px) > MAX_CELLS:
        cell_px += 1
    errors = avg_pool2d(pyramid.errors(number), cell_px, ceil_mode=True, divisor_override=1)
    columns, ranking = errors.shape[3], errors.flatten(1).sort(dim=1, stable=True).indices
    cells = ranking.shape[1]
    rivals = 1 + max(2, cells // 8)
    bad, right, down, turn, longer, bend, girth, first, last, first_opacity, last_opacity = uniform.unbind(-1)
    cell = ranking.gather(1, (cells * bad.pow(1 / rivals)).long().clamp_max(cells - 1))
    x = (cell % columns + right) * (cell_px / level.unit_px)
    y = (cell // columns + down) * (cell_px / level.unit_px)
    angle = (turn - 0.5) * math.pi
    half = radius * (float(search.min_length) + float(search.max_length - search.min_length) * longer)
    dx, dy, aside = angle.cos() * half, angle.sin() * half, bend - 0.5
    wide = radius * (0.5 + girth)
    ends = [wide * (0.6 + 0.6 * first), wide * (0.6 + 0.6 * last), 0.6 + 0.4 * first_opacity, 0.6 + 0.4 * last_opacity]
    none = torch.zeros_like(x)
    return torch.stack(
        [x - dx, y - dy, x - dy * aside, y + dx * aside, x + dx, y + dy, *ends, none, none, none], -1
    )  # fmt: skip


def _best(trials: Tensor, pyramid: Pyramid, number: int) -> tuple[Tensor, Tensor]:
    """The (B, 13) best of (B, K, 13) strokes, each in its best colour, and what they gain."""
    gains, colours = score(trials, pyramid, number)
    gain, which = gains.max(1)
    whole = torch.cat([trials[..., :RED], colours], -1)
    return whole.gather(1, which[:, None, None].expand(-1, 1, NUM_COLUMNS))[:, 0], gain


def _proposals(best: Tensor, reach: Tensor, what: Tensor, how: Tensor) -> Tensor:
    """(B, P, 13) strokes that differ from the best in one thing: place, one of the points, girth or opacity."""
    kind, (one, two) = (what * 6).long()[..., None], how.unbind(-1)
    far = reach[:, None]
    moves = torch.stack([one * far, two * far], -1)
    still = torch.zeros_like(moves)
    # The middle point pulls the curve only half as far.
    points = [
        torch.where((kind == 0) | (kind == 1 + point // 2), moves * (1 + ((point == X1) & (kind != 0))), still)
        for point in (X0, X1, X2)
    ]
    girth = torch.where(kind == 4, 0.5 * moves, still)
    opacity = torch.where(kind == 5, 0.15 * how, still)
    change = torch.cat([*points, girth, opacity, still, still[..., :1]], -1)
    return best[:, None] + change


class _Footprint(NamedTuple):
    """The W windows, on all levels of a pyramid, in which a stroke that is narrow on one of them is painted.

    Each level has a box around the stroke, twice as wide as the window it is scored in, or as the level; boxes are made
    of windows, `right` and `down` from the box's corner. All are (W,) float32, but `start` and `width`, int64.
    """

    unit_px: Tensor
    box_width: Tensor
    box_height: Tensor
    most_left: Tensor
    most_top: Tensor
    right: Tensor
    down: Tensor
    start: Tensor
    width: Tensor


def _footprint(levels: tuple[Level, ...], chosen: int, device: torch.device) -> _Footprint:
    rows: list[tuple[float, ...]] = []
    for number, level in enumerate(levels):
        extent = max(SIDE_PX, (2 * SIDE_PX << max(0, chosen - number)) >> max(0, number - chosen))
        across, down = min(extent, level.width), min(extent, level.height)
        box = (level.unit_px, across, down, level.width - across, level.height - down)
        rows += [
            (*box, min(x, across - SIDE_PX), min(y, down - SIDE_PX), level.start, level.width)
            for y in range(0, down, SIDE_PX)
            for x in range(0, across, SIDE_PX)
        ]
    columns = torch.tensor(rows, device=device, dtype=torch.float64).T
    return _Footprint(*(column.float() for column in columns[:7]), *(column.long() for column in columns[7:]))


def _draw(strokes: Tensor, pyramid: Pyramid, footprint: _Footprint) -> None:
    """Paint one stroke of each picture onto all levels; (B, 13)."""
    middle = middle_of(strokes)[:, None] * footprint.unit_px[:, None]
    left = (middle[..., 0] - 0.5 * footprint.box_width).round().clamp_min(0).minimum(footprint.most_left)
    top = (middle[..., 1] - 0.5 * footprint.box_height).round().clamp_min(0).minimum(footprint.most_top)
    left, top = left + footprint.right, top + footprint.down
    unit_px = footprint.unit_px.expand_as(left).reshape(-1)
    mask = _mask(strokes, unit_px, left.flatten(), top.flatten()).view(len(strokes), -1, 1)
    inside = torch.arange(SIDE_PX * SIDE_PX, device=left.device)
    row, column = top.long()[..., None] + inside // SIDE_PX, left.long()[..., None] + inside % SIDE_PX
    pixel = footprint.start[:, None] + row * footprint.width[:, None] + column
    pixel = pixel.view(len(strokes), -1, 1).expand(-1, -1, 3)
    below = pyramid.canvases.gather(1, pixel)
    # Windows may overlap, but then they write the same.
    pyramid.canvases.scatter_(1, pixel, below + mask * (strokes[:, None, RED:] - below))


def _mask(strokes: Tensor, unit_px: Tensor, left: Tensor, top: Tensor) -> Tensor:
    """(B * W, P) opacity times coverage in the W windows of each stroke."""
    which = torch.arange(len(left), device=strokes.device) // (len(left) // len(strokes))
    if painting.is_fused(strokes.device):
        from renderers.raster.gpu import fused

        return fused.measure(strokes, which, unit_px, 1.0, left, top, SIDE_PX)[1]
    rows, units = strokes[which], unit_px[:, None]
    xs, ys = window_pixels(left, top, SIDE_PX)
    return painting.ribbon_shade(rows, units, 1.0, nearest(rows, units, xs, ys), xs, ys)[0]
