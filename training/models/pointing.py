"""A small actor that points: it looks for a place to paint, and begins from the place and the colour that it found.

The network of Learning to Paint must say positions and colours as plain numbers, which takes it days to learn. Here
each of the five strokes looks at one cell of 4 x 4 px: it gives the stroke's ends and its colour, and what is seen
there corrects them. So from the first step of training it paints colours of the picture where they belong. Two more
things it need not learn: it looks where the error is, and not where the stroke before it looked; and its strokes begin
broad and end fine.

In and out as `training.models.actor.Actor`.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.models.actor import STROKE_NUMBERS, STROKES_AT_ONCE, observed

ACTOR_CELL_PX = 8
"""Sides of its canvases are multiples of this."""

_LOOK_PX = 4  # of a cell that it can look at
_HIDDEN = 128
_SHARPEST = 8.0  # times the mean: more error than this draws no more attention
_NEAREST = 1e-2  # to 0 or 1 that a logarithm of odds is taken
_OPACITY = 0.5  # before the sigmoid
_FAINTEST = 0.5  # opacity; without a floor strokes learn to be invisible, and what is not seen learns nothing more
_BROAD, _FINER = 0.5, 2.0  # of the radii, before the sigmoid: at first, and by how much less at last


class PointingActor(nn.Module):
    """From canvases, pictures and the time to strokes.

    Args:
        width: channels of the first layer; the next have two and four times as many.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        deep = 4 * width
        self.stem = nn.Conv2d(12, width, 3, 2, padding=1)
        self.down1 = nn.Conv2d(width, 2 * width, 3, 2, padding=1)
        self.down2 = nn.Conv2d(2 * width, deep, 3, 2, padding=1)
        self.inner = nn.Conv2d(deep, deep, 3, padding=1)
        self.whole = nn.Linear(deep, deep)
        self.lateral = nn.Conv2d(2 * width, deep, 1)
        self.merge = nn.Conv2d(deep, deep, 3, padding=1)
        self.attention = nn.Conv2d(deep, STROKES_AT_ONCE, 1)
        self.to_error = nn.Parameter(torch.full((STROKES_AT_ONCE,), 2.0))
        self.apart = nn.Parameter(torch.tensor(10.0))
        self.hidden = nn.Linear(2 * deep + 2 + 3 + 1, _HIDDEN)
        self.order = nn.Parameter(0.3 * torch.randn(STROKES_AT_ONCE, _HIDDEN))
        self.correction = nn.Linear(_HIDDEN, STROKE_NUMBERS)
        with torch.no_grad():
            self.correction.weight.mul_(0.3)

    def forward(self, canvases: Tensor, pictures: Tensor, done: float) -> Tensor:
        """(B, 5, 13) strokes; see `Actor.forward`."""
        seen = torch.cat([2 * observed(canvases, pictures, done) - 1, 2 * (pictures - canvases)], 1)
        cells, whole_picture = self._features(seen)
        looks = self._looks(cells, canvases, pictures)
        count, rows, columns = len(cells), *cells.shape[2:]
        centres = torch.stack(
            torch.meshgrid(
                (torch.arange(rows, device=cells.device) + 0.5) / rows,
                (torch.arange(columns, device=cells.device) + 0.5) / columns,
                indexing="ij",
            ),
            -1,
        ).reshape(-1, 2)
        places = looks @ centres
        colours = looks @ functional.avg_pool2d(pictures, _LOOK_PX).flatten(2).transpose(1, 2)
        cells_looked_at = looks @ cells.flatten(2).transpose(1, 2)
        every = (count, STROKES_AT_ONCE)
        about = [
            cells_looked_at,
            whole_picture[:, None].expand(*every, -1),
            places,
            colours,
            places.new_full((*every, 1), done),
        ]
        correction = self.correction(functional.relu(self.hidden(torch.cat(about, 2)) + self.order))
        odds = torch.logit(places, _NEAREST)
        start = [
            odds, places.new_zeros(*every, 2), odds, places.new_full((*every, 2), _BROAD - _FINER * done),
            places.new_full((*every, 2), _OPACITY), torch.logit(colours, _NEAREST),
        ]  # fmt: skip
        numbers = torch.sigmoid(torch.cat(start, 2) + correction)
        shapes, opacities, paint = torch.split(numbers, [8, 2, 3], 2)
        return torch.cat([shapes, _FAINTEST + (1 - _FAINTEST) * opacities, paint], 2)

    def _features(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, W / 4, W / 4) of the cells, and (B, C) of the whole."""
        fine = functional.relu(self.down1(functional.relu(self.stem(seen))))
        deep = functional.relu(self.down2(fine))
        deep = functional.relu(deep + self.inner(deep))
        whole_picture = functional.relu(self.whole(deep.mean((2, 3))))
        cells = functional.relu(
            self.lateral(fine) + functional.interpolate(deep, scale_factor=2.0) + whole_picture[:, :, None, None]
        )
        return functional.relu(cells + self.merge(cells)), whole_picture

    def _looks(self, cells: Tensor, canvases: Tensor, pictures: Tensor) -> Tensor:
        """(B, 5, cells) how each stroke spreads its attention, 1 in all."""
        errors = functional.avg_pool2d((pictures - canvases).square().mean(1, keepdim=True), _LOOK_PX).flatten(2)
        errors = (errors / (errors.mean(2, keepdim=True) + 1e-6)).clamp(max=_SHARPEST)
        logits = self.attention(cells).flatten(2) + self.to_error[:, None] * errors
        taken = torch.zeros_like(cells[:, :1])
        looks = []
        for number in range(STROKES_AT_ONCE):
            share = (logits[:, number] - self.apart * taken.flatten(1)).softmax(1)
            chosen = functional.one_hot(share.argmax(1), share.shape[1])
            look = chosen + share - share.detach()  # one cell, with the gradient of all
            taken = taken + functional.max_pool2d(look.reshape_as(taken), 5, 1, padding=2)
            looks.append(look)
        return torch.stack(looks, 1)
