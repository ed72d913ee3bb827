"""Greedy placement of many paintings in step: stroke number i of every picture at once.

The algorithm is that of `renderers.bezier.place`, with two differences that leave fewer steps in sequence: candidates
climb in rounds, each of which takes the best of several proposals instead of the first that is better; and the bad spot
that a candidate starts from is drawn by its rank among all cells, with the distribution of the worst of several random
cells. A picture's strokes follow from its own seed, whatever else is in the batch.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from renderers.bezier.gpu.draws import draw
from renderers.bezier.gpu.score import SIDE_PX, Level, Pyramid, middle_of, score
from renderers.bezier.place import MARGIN, MAX_CELLS, Limits, Search
from renderers.raster.gpu import rasteriser
from renderers.raster.gpu.ribbon import nearest, window_pixels
from renderers.raster.ribbon import NUM_COLUMNS, R0, RED, Floats

_LEAST_REACH_PX = 0.3
_SHORTEN = 0.7  # factor on the reach of proposals after a round without a better one
_DRAWN_AT_ONCE = {"cpu": 1 << 9, "cuda": 1 << 14}  # strokes of all pictures, with over a hundred random numbers each


def place(pyramid: Pyramid, radii: Floats, search: Search, limits: Limits, keys: Tensor) -> Tensor:
    """Place strokes one after the other, painting each onto every level of the pyramid.

    Args:
        radii: (N,) typical radius of each stroke, in units of the shorter side.
        keys: (B,) keys of the pictures' random numbers, see `draws.picture_keys`.

    Returns:
        (B, N, 13) strokes in painting order.
    """
    low, high = (torch.tensor(ends, device=pyramid.targets.device) for ends in ranges(limits))
    footprints = [_footprint(pyramid.levels, number, low.device) for number in range(len(pyramid.levels))]
    at_once = max(1, _DRAWN_AT_ONCE[keys.device.type] // len(keys))
    strokes = []
    for first in range(0, len(radii), at_once):
        batch_radii = radii[first : first + at_once]
        draws = draw(keys, batch_radii, first, search)
        for number, radius in enumerate(batch_radii.tolist()):
            chosen = _chosen_level(pyramid, radius, float(search.radius_px))
            least_reach = _LEAST_REACH_PX / pyramid.levels[chosen].unit_px
            spots = _bad_spots(pyramid, chosen, radius, draws.rank[number], draws.within[number])
            starts = draws.starts[number].clone()
            starts[..., :R0] += spots.repeat(1, 1, 3)
            best, gain = _best(starts.clamp(low, high), pyramid, chosen)
            reach = torch.full_like(gain, radius)
            for attempt in range(draws.fixed.shape[2]):
                change = draws.fixed[number, :, attempt].addcmul(
                    draws.reaching[number, :, attempt], reach[:, None, None]
                )
                proposed, proposed_gain = _best((best[:, None] + change).clamp(low, high), pyramid, chosen)
                better = proposed_gain > gain
                best = torch.where(better[:, None], proposed, best)
                gain = torch.maximum(proposed_gain, gain)
                reach = torch.where(better, reach, (reach * _SHORTEN).clamp_min(least_reach))
            strokes.append(best)
            _paint(best, pyramid, footprints[chosen])
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


def _bad_spots(pyramid: Pyramid, number: int, radius: float, rank: Tensor, within: Tensor) -> Tensor:
    """(B, K, 2) places in cells that are as wrong as the worst of an eighth of the cells drawn at random."""
    level = pyramid.levels[number]
    cell_px = max(2, int(2 * radius * level.unit_px))
    while -(-level.height // cell_px) * -(-level.width // cell_px) > MAX_CELLS:
        cell_px += 1
    errors = avg_pool2d(pyramid.errors(number), cell_px, ceil_mode=True, divisor_override=1)
    columns, ranking = errors.shape[3], errors.flatten(1).sort(dim=1, stable=True).indices
    cells = ranking.shape[1]
    rivals = 1 + max(2, cells // 8)
    cell = ranking.gather(1, (cells * rank.pow(1 / rivals)).long().clamp_max(cells - 1))
    return (torch.stack([cell % columns, cell // columns], -1) + within) * (cell_px / level.unit_px)


def _best(trials: Tensor, pyramid: Pyramid, number: int) -> tuple[Tensor, Tensor]:
    """The (B, 13) best of (B, K, 13) strokes, each in its best colour, and what they gain."""
    gains, colours = score(trials, pyramid, number)
    gain, which = gains.max(1)
    strokes = torch.cat([trials[..., :RED], colours], -1)
    return strokes.gather(1, which[:, None, None].expand(-1, 1, NUM_COLUMNS))[:, 0], gain


class _Footprint(NamedTuple):
    """The W windows, on all levels of a pyramid, in which a stroke that is narrow on one of them is painted.

    Each level has a box around the stroke. On the level where the stroke is scored, the box is twice as wide as the
    window for that; on finer levels it is larger, but no larger than the level. A box consists of windows, `right` and
    `down` from its corner. All fields are (W,) float32, except `start` and `width`, which are int64.
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


def _paint(strokes: Tensor, pyramid: Pyramid, footprint: _Footprint) -> None:
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
    # Windows may overlap, but then they write the same values.
    pyramid.canvases.scatter_(1, pixel, below + mask * (strokes[:, None, RED:] - below))


def _mask(strokes: Tensor, unit_px: Tensor, left: Tensor, top: Tensor) -> Tensor:
    """(B * W, P) opacity times coverage in the W windows of each stroke."""
    which = torch.arange(len(left), device=strokes.device) // (len(left) // len(strokes))
    if rasteriser.is_fused(strokes.device):
        from renderers.raster.gpu import fused

        return fused.measure(strokes, which, unit_px, 1.0, left, top, SIDE_PX)[1]
    rows, units = strokes[which], unit_px[:, None]
    xs, ys = window_pixels(left, top, SIDE_PX)
    return rasteriser.ribbon_shade(rows, units, 1.0, nearest(rows, units, xs, ys), xs, ys)[0]
