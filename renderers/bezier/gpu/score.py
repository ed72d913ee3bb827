"""What a candidate stroke would gain, many candidates at a time (see `renderers.bezier.place.score`)."""

from typing import NamedTuple

import torch
from torch import Tensor

from renderers.raster.gpu import rasteriser
from renderers.raster.gpu.ribbon import nearest, window_pixels
from renderers.raster.ribbon import R0, X0

SIDE_PX = 16  # of the window in which a stroke is scored: at its own level it is one to two pixels wide
_MIN_WEIGHT = 0.3  # strokes that cover fewer pixels than this are not worth solving a colour for


class Level(NamedTuple):
    """One size of the pictures: where its pixels begin in the flat pyramid, and how many there are."""

    start: int
    height: int
    width: int

    @property
    def unit_px(self) -> float:
        """Pixels of the shorter side."""
        return float(min(self.height, self.width))


class Pyramid(NamedTuple):
    """B pictures at several sizes, finest first, and the canvases painted so far: (B, pixels of all levels, 3)."""

    targets: Tensor
    canvases: Tensor
    levels: tuple[Level, ...]

    def errors(self, number: int) -> Tensor:
        """(B, 1, h, w) squared error of one level's pixels."""
        level = self.levels[number]
        pixels = slice(level.start, level.start + level.height * level.width)
        squared = (self.targets[:, pixels] - self.canvases[:, pixels]).square().sum(-1)
        return squared.view(-1, 1, level.height, level.width)


def pyramid_of(pictures: list[Tensor], blank: tuple[float, float, float]) -> Pyramid:
    """The pyramid of (B, h, w, 3) pictures at all sizes, finest first, with blank canvases."""
    levels, start = [], 0
    for _, height, width, _ in (pixels.shape for pixels in pictures):
        levels.append(Level(start, height, width))
        start += height * width
    targets = torch.cat([pixels.flatten(1, 2) for pixels in pictures], 1)
    canvases = targets.new_tensor(blank).expand_as(targets).contiguous()
    return Pyramid(targets, canvases, tuple(levels))


def middle_of(strokes: Tensor) -> Tensor:
    """(..., 2) middle of the box around the curve of (..., 13) strokes, in their units."""
    first, bend, last = strokes[..., X0:R0].reshape(*strokes.shape[:-1], 3, 2).unbind(-2)
    halfway = 0.25 * (first + 2 * bend + last)
    low, high = torch.minimum(first, last).minimum(halfway), torch.maximum(first, last).maximum(halfway)
    return 0.5 * (low + high)


def score(strokes: Tensor, pyramid: Pyramid, number: int) -> tuple[Tensor, Tensor]:
    """How much painting each stroke in its best colour would reduce the squared error, in units of area.

    Args:
        strokes: (B, K, 13) candidates.
        number: number of the level on which they are scored.

    Returns:
        (B, K) gains, -1 where a stroke covers next to nothing, and (B, K, 3) those colours, in [0, 1].
    """
    level = pyramid.levels[number]
    if rasteriser.is_fused(strokes.device):
        from renderers.bezier.gpu import fused

        return fused.score(strokes, pyramid, level, SIDE_PX, _MIN_WEIGHT)
    left, top = (middle_of(strokes) * level.unit_px + 0.5 * (1 - SIDE_PX)).floor().unbind(-1)
    left, top = left.clamp(0, level.width - SIDE_PX), top.clamp(0, level.height - SIDE_PX)
    num_pictures, num_candidates = left.shape
    rows = strokes.flatten(0, 1)
    xs, ys = window_pixels(left.flatten(), top.flatten(), SIDE_PX)
    mask, _ = rasteriser.ribbon_shade(rows, level.unit_px, 1.0, nearest(rows, level.unit_px, xs, ys), xs, ys)
    pixel = (level.start + ys.long() * level.width + xs.long()).view(num_pictures, -1, 1).expand(-1, -1, 3)
    shape = (num_pictures, num_candidates, -1, 3)
    canvas, target = (pixels.gather(1, pixel).view(shape) for pixels in (pyramid.canvases, pyramid.targets))
    mask = mask.view(num_pictures, num_candidates, -1, 1)
    hidden, residual = mask * canvas, target - canvas
    weight = mask.square().sum((2, 3))
    pull = (mask * (residual + hidden)).sum(2)
    lost = (hidden * (2 * residual + hidden)).sum((2, 3))
    colour = (pull / weight.clamp_min(_MIN_WEIGHT)[..., None]).clamp(0.0, 1.0)
    gain = (2 * (colour * pull).sum(-1) - colour.square().sum(-1) * weight - lost) / level.unit_px**2
    return torch.where(weight < _MIN_WEIGHT, -1.0, gain), colour
