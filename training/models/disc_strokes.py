"""Learning to Paint's exact strokes inside a network: masks that pass gradients on."""

from typing import Any

import torch
from torch import Tensor

from renderers.raster.disc_gradient import disc_mask_gradients
from renderers.raster.discs import disc_masks


class _DiscMasks(torch.autograd.Function):
    """`disc_masks` forward, `disc_mask_gradients` backward; both run on the CPU."""

    @staticmethod
    def forward(ctx: Any, shapes: Tensor, width: int) -> Tensor:
        """(N, 10) to (N, W, W)."""
        ctx.save_for_backward(shapes)
        masks = disc_masks(_padded(shapes), width)
        return torch.from_numpy(masks).to(shapes.device, shapes.dtype)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None]:
        """(N, W, W) to (N, 10)."""
        (shapes,) = ctx.saved_tensors
        gradients = disc_mask_gradients(_padded(shapes), upstream[0].detach().float().cpu().numpy())
        return torch.from_numpy(gradients).to(shapes.device, shapes.dtype), None


def paint_strokes(strokes: Tensor, canvases: Tensor) -> Tensor:
    """Paint the strokes of each painting in their order: C <- C (1 - M) + M colour.

    Args:
        strokes: (B, K, 13) in [0, 1], in Learning to Paint's form.
        canvases: (B, 3, W, W), channels in the order of the strokes' colours.

    Returns:
        (B, 3, W, W), differentiable in both.
    """
    count, num_strokes = strokes.shape[:2]
    width = canvases.shape[-1]
    masks: Tensor = _DiscMasks.apply(strokes[..., :10].reshape(-1, 10), width)
    masks = masks.reshape(count, num_strokes, 1, width, width)
    for number in range(num_strokes):
        colours = strokes[:, number, 10:, None, None]
        canvases = canvases + masks[:, number] * (colours - canvases)
    return canvases


def _padded(shapes: Tensor) -> Any:
    """(N, 13) float32 on the CPU: `plan_discs` wants whole strokes."""
    return torch.nn.functional.pad(shapes.detach().float().cpu(), (0, 3)).numpy()
