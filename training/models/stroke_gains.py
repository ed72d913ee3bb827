"""The gains of strokes of Learning to Paint, for use in a network: exact, with gradients to the strokes' shapes."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from renderers.raster.disc_gain import best_discs, disc_gains, mask_pulls
from renderers.raster.disc_gradient import disc_mask_gradients
from renderers.raster.discs import paint_discs
from renderers.raster.ribbon import Floats


class _Gains(torch.autograd.Function):
    """`disc_gains` forward, `disc_mask_gradients` of `mask_pulls` backward; both run on the CPU."""

    @staticmethod
    def forward(ctx: Any, shapes: Tensor, canvases: Tensor, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N, 10) to (B, N) gains and (B, N, 13) strokes."""
        strokes, befores, goals = (_floats(each) for each in (functional.pad(shapes, (0, 3)), canvases, pictures))
        gains = np.empty(strokes.shape[:2], np.float32)
        for number in range(len(strokes)):
            gains[number], strokes[number, :, 10:] = disc_gains(strokes[number], befores[number], goals[number])
        ctx.painting = strokes, befores, goals
        coloured = torch.from_numpy(strokes).to(shapes.device)
        ctx.mark_non_differentiable(coloured)
        return torch.from_numpy(gains).to(shapes.device), coloured

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None]:
        """(B, N) to (B, N, 10); strokes whose incoming gradient is 0 are skipped."""
        strokes, befores, goals = ctx.painting
        incoming = _floats(upstream[0])
        gradients = np.zeros((*strokes.shape[:2], 10), np.float32)
        for number in range(len(strokes)):
            indices = np.flatnonzero(incoming[number])
            chosen = strokes[number, indices]
            pulls = mask_pulls(chosen, befores[number], goals[number]) * incoming[number, indices, None, None]
            gradients[number, indices] = disc_mask_gradients(chosen, pulls)
        return torch.from_numpy(gradients).to(upstream[0].device), None, None


def stroke_gains(shapes: Tensor, canvases: Tensor, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """The gain of each stroke if it were painted alone.

    Args:
        shapes: (B, N, 10) in [0, 1], strokes in Learning to Paint's form without their colours.
        canvases, pictures: (B, 3, W, W) in [0, 1], in the same order of channels.

    Returns:
        (B, N) float32, by how much the sum of squared errors falls, differentiable in the shapes, and (B, N, 13) the
        strokes in the colours in which they gain most, detached.
    """
    gains, strokes = _Gains.apply(shapes, canvases, pictures)
    return gains, strokes


def best_strokes(strokes: Tensor, gains: Tensor, canvases: Tensor, pictures: Tensor, count: int) -> Tensor:
    """The strokes of each painting that help most, one after another: (B, `count`, 13); see `best_discs`.

    Args:
        strokes, gains: (B, N, 13) and (B, N), as `stroke_gains` gives them.
        canvases, pictures: as there.
    """
    paintings = zip(_floats(strokes), _floats(gains), _floats(canvases), _floats(pictures), strict=True)
    chosen = [best_discs(each, stroke_gain, before, goal, count) for each, stroke_gain, before, goal in paintings]
    return torch.from_numpy(np.stack(chosen)).to(strokes.device)


def paint_strokes(strokes: Tensor, canvases: Tensor) -> Tensor:
    """Paint the (B, K, 13) strokes of each painting in their order onto (B, 3, W, W) canvases; without gradients."""
    painted = [
        paint_discs(each, before.transpose(1, 2, 0)).transpose(2, 0, 1)
        for each, before in zip(_floats(strokes), _floats(canvases), strict=True)
    ]
    return torch.from_numpy(np.stack(painted)).to(canvases.device)


def _floats(tensor: Tensor) -> Floats:
    """A float32 array on the CPU, which may share the tensor's memory."""
    floats: Floats = tensor.detach().float().cpu().numpy()
    return floats
