"""A small actor that proposes strokes for every cell of the canvas, of which the five that help most are painted.

The network of Learning to Paint answers with five strokes, and must find out by itself where on the canvas they are
needed. Here a convolutional network answers for each cell of 8 x 8 px with four strokes near it, from broad to fine.
All are drawn, each in its best colour, and what each would gain is measured (`training.models.stroke_gains`); the best
is painted, then the best of those left, five in all. So the network learns which strokes to propose, and never has to
choose or to mix colours. Drawing more proposals than are painted is a small search: with canvases of 64 px, 256 strokes
for every five.

Inputs and outputs are those of `training.models.actor.Actor`.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.models.actor import CHANNELS_SEEN, STROKE_NUMBERS, STROKES_AT_ONCE, observed
from training.models.stroke_gains import best_strokes, stroke_gains

ACTOR_CELL_PX = 8
"""Sides of its canvases are multiples of this."""

STROKES_A_CELL = 4

_NUM_SHAPE = 10
_LEAST_SCALE = 0.01  # added to the root mean squared error, by which the remaining difference is divided
_GREATEST = 3.0  # limit of the difference after this division
_FARTHEST = 1.5  # cells, from the middle of a cell to that of its strokes, at most
_LONG, _SHORT = 0.47, 0.12  # of the canvas, from a stroke's middle to its ends, at most: at the start and at the end
_BROADEST, _FINEST = 0.6, -1.0  # initial radii of the first and the last stroke of a cell, before the sigmoid
_THIN, _THINNER = 1.0, 2.0  # subtracted from radii before the sigmoid: always, and by the end in addition
_OPAQUE = 2.0  # initial opacities, before the sigmoid
_FAINTEST = 0.5  # least opacity; without it strokes learn to be invisible, and then learn nothing more


class ProposingActor(nn.Module):
    """From canvases, pictures and the time to strokes.

    Args:
        width: channels of the first layer; the next has twice, all others four times as many.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        deep = 4 * width
        self.stem = nn.Conv2d(CHANNELS_SEEN + 3, width, 3, 2, padding=1)
        self.down1 = nn.Conv2d(width, 2 * width, 3, 2, padding=1)
        self.down2 = nn.Conv2d(2 * width, deep, 3, 2, padding=1)
        self.cells = nn.Conv2d(deep, deep, 3, padding=1)
        self.down3 = nn.Conv2d(deep, deep, 3, 2, padding=1)
        self.coarse = nn.Conv2d(deep, deep, 3, padding=1)
        self.whole = nn.Linear(deep, deep)
        self.merge = nn.Conv2d(deep, deep, 3, padding=1)
        self.norm = nn.GroupNorm(1, deep)
        self.proposal = nn.Conv2d(deep, STROKES_A_CELL * _NUM_SHAPE, 1)
        start = torch.zeros(STROKES_A_CELL, _NUM_SHAPE)
        start[:, 2:4] = 0.5 * torch.randn(STROKES_A_CELL, 2)
        start[:, 6:8] = torch.linspace(_BROADEST, _FINEST, STROKES_A_CELL)[:, None]
        start[:, 8:10] = _OPAQUE
        nn.init.normal_(self.proposal.weight, std=0.05)
        self.proposal.bias = nn.Parameter(start.flatten())

    def forward(self, canvases: Tensor, pictures: Tensor, done: float) -> Tensor:
        """(B, 5, 13) strokes, detached; see `Actor.forward`. If a proposal is not finite, all strokes are NaN."""
        shapes = self.proposals(canvases, pictures, done)
        if not shapes.isfinite().all():  # such strokes cannot be drawn
            return shapes.new_full((len(shapes), STROKES_AT_ONCE, STROKE_NUMBERS), torch.nan)
        gains, strokes = stroke_gains(shapes, canvases, pictures)
        return best_strokes(strokes, gains, canvases, pictures, STROKES_AT_ONCE)

    def proposals(self, canvases: Tensor, pictures: Tensor, done: float) -> Tensor:
        """(B, cells x 4, 10) strokes without colours, cell by cell; arguments as in `Actor.forward`."""
        remaining = pictures - canvases
        scale = remaining.square().mean((1, 2, 3), keepdim=True).sqrt() + _LEAST_SCALE
        scaled = (remaining / scale).clamp(-_GREATEST, _GREATEST)
        inputs = torch.cat([2 * observed(canvases, pictures, done) - 1, scaled], 1)
        numbers: Tensor = self.proposal(self._features(inputs))
        count, _, rows, columns = numbers.shape
        numbers = numbers.reshape(count, STROKES_A_CELL, _NUM_SHAPE, rows, columns).permute(0, 3, 4, 1, 2)
        middles = [(torch.arange(each, device=numbers.device) + 0.5) / each for each in (rows, columns)]
        middle = torch.stack(torch.meshgrid(*middles, indexing="ij"), -1)[:, :, None]
        offsets, along, bend, radii, opacities = torch.split(numbers, 2, -1)
        middle = middle + _FARTHEST / rows * torch.tanh(offsets)
        half = (_LONG + (_SHORT - _LONG) * done) * torch.tanh(along)
        shapes = [
            (middle - half).clamp(0, 1), torch.sigmoid(2 * bend), (middle + half).clamp(0, 1),
            torch.sigmoid(2 * radii - _THIN - _THINNER * done),
            _FAINTEST + (1 - _FAINTEST) * torch.sigmoid(opacities),
        ]  # fmt: skip
        return torch.cat(shapes, -1).flatten(1, 3)

    def _features(self, seen: Tensor) -> Tensor:
        """(B, C, W / 8, W / 8) of the cells."""
        fine = functional.relu(self.down1(functional.relu(self.stem(seen))))
        cells = functional.relu(self.down2(fine))
        cells = functional.relu(cells + self.cells(cells))
        coarse = functional.relu(self.down3(cells))
        coarse = functional.relu(coarse + self.coarse(coarse))
        coarse = coarse + functional.relu(self.whole(coarse.mean((2, 3))))[:, :, None, None]
        cells = functional.relu(cells + functional.interpolate(coarse, size=cells.shape[2:]))
        features: Tensor = self.norm(functional.relu(cells + self.merge(cells)))
        return features
