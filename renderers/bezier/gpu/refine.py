"""Joint refinement of many paintings in step (see `renderers.bezier.refine`)."""

from typing import NamedTuple

import torch
from torch import Tensor

from renderers.bezier.gpu.place import ranges
from renderers.bezier.place import Limits
from renderers.bezier.refine import BETA1, BETA2, Rates
from renderers.raster.gpu.rasteriser import paint, passes
from renderers.raster.ribbon import R0, R2, Floats


class Aim(NamedTuple):
    """The targets of refinement, and after which strokes they count.

    Attributes:
        targets: (B, H, W, 3) the pictures.
        blank: (3,) colour of the canvas before the first stroke.
        steps: (S,) after how many strokes a canvas counts, ascending, the last being all.
        weights: (S,) of the squared error of each.
    """

    targets: Tensor
    blank: Tensor
    steps: Tensor
    weights: Tensor


def refine(strokes: Tensor, aim: Aim, paces: Floats, softs_px: Floats, rates: Rates, limits: Limits) -> Tensor:
    """Move all strokes for a number of steps at one size of the canvas.

    Args:
        strokes: (B, N, 13).
        paces, softs_px: (steps,) factor on the rates, and the width of soft edges, at each step.

    Returns:
        (B, N, 13).
    """
    unit_px = float(min(aim.targets.shape[1:3]))
    low, high = (torch.tensor(ends, device=strokes.device) for ends in ranges(limits))
    kinds = torch.tensor([0] * 6 + [1] * 2 + [2] * 5, device=strokes.device)
    rate = torch.tensor([float(rates.place_px), float(rates.girth_px), float(rates.tone)], device=strokes.device)[kinds]
    scaled = kinds < 2  # lengths are in pixels, and large strokes may go farther
    first, second = torch.zeros_like(strokes), torch.zeros_like(strokes)
    for step, (pace, soften_px) in enumerate(zip(paces.tolist(), softs_px.tolist(), strict=True), start=1):
        gradient = _gradient(strokes, aim, soften_px)
        first.lerp_(gradient, 1 - float(BETA1))
        second.mul_(float(BETA2)).addcmul_(gradient, gradient, value=1 - float(BETA2))
        direction = first / (1 - float(BETA1) ** step) / ((second / (1 - float(BETA2) ** step)).sqrt() + 1e-9)
        radius_px = 0.5 * (strokes[..., R0] + strokes[..., R2]) * unit_px
        unit = (0.5 + float(rates.stretch) * radius_px).clamp_max(4.0)[..., None] / unit_px
        strokes = (strokes - pace * rate * torch.where(scaled, unit, 1.0) * direction).clamp(low, high)
    return strokes


def _gradient(strokes: Tensor, aim: Aim, soften_px: float) -> Tensor:
    """(B, N, 13) gradient of the weighted squared errors, as many pictures at a time as memory allows."""
    height, width = aim.targets.shape[1:3]
    parts: list[Tensor] = []
    for part in passes(strokes, height, width, soften_px):
        leaf, targets = strokes[part].detach().requires_grad_(), aim.targets[part]
        frames = paint(leaf, aim.blank.expand_as(targets), aim.steps.expand(len(leaf), -1), soften_px=soften_px)
        slope = 2 * aim.weights[:, None, None, None] * (frames.detach() - targets[:, None])
        parts += torch.autograd.grad(frames, leaf, slope)
    return torch.cat(parts)
