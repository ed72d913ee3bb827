"""Stage `agent`: an actor that paints, trained by what its strokes gain.

Learning to Paint trained its actor by reinforcement learning, through a network that imitates its strokes and a critic
that estimates the value of a stroke. Here the gain of a stroke is measured on the very canvas that the actor sees, and
gradients come from the exact strokes (`renderers.raster.disc_gradient`). Every proposal is trained on its own gain at
every step of a painting: there is no critic, no discriminator, no memory of past canvases, and no gradient through a
whole painting.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from training.data.batch import SequenceBatch
from training.models.actor import STROKES_AT_ONCE
from training.models.finite import finite
from training.models.proposing import STROKES_A_CELL, ProposingActor
from training.models.shape import AgentShape
from training.models.stroke_gains import best_strokes, paint_strokes, stroke_gains
from training.models.weights import holding
from training.stages import StageLoss

ACTOR_FILE = "actor.safetensors"
_LEAST_ERROR = 1e-4  # added to mean squared errors, so that errors far below it, which is 40 dB, count alike
_LEAST_GAIN = 1e-3  # lower bound of the best gain, summed over a canvas
_FRAMES = 8  # frames of a sample, from the blank canvas to the last


class AgentNetwork(nn.Module):
    """From a batch of finished pictures to the loss of painting them.

    Args:
        actor: the actor that is trained.
        num_steps: steps of a painting, five strokes each.
    """

    def __init__(self, actor: ProposingActor, num_steps: int) -> None:
        super().__init__()
        self.actor, self._num_steps = actor, num_steps

    def forward(self, batch: SequenceBatch) -> StageLoss:
        """The loss is minus what proposals gain, see `proposal_loss`, over all steps of a painting.

        The value per sample measures the painting itself: the mean over its steps of the logarithm of the mean squared
        error (0.23 times the PSNR, negative). The two fall together. Where the actor proposes strokes that are not
        finite, which nobody can draw, both are NaN.
        """
        assert batch.frames is not None  # latents are refused before
        pictures = bgr(batch.frames[:, -1])
        canvases = torch.zeros_like(pictures)
        losses, errors = torch.zeros((), device=pictures.device), torch.zeros(len(pictures), device=pictures.device)
        for step in range(self._num_steps):
            shapes = self.actor.proposals(canvases, pictures, step / self._num_steps)
            is_drawable = shapes.isfinite().all(2).all(1)
            if not is_drawable.all():  # the weights have diverged; the loop names the sequences
                per_sample = errors.masked_fill(~is_drawable, torch.nan)
                return StageLoss(loss=losses + shapes.sum(), per_sample=per_sample, timesteps=None)
            gains, strokes = stroke_gains(shapes, canvases, pictures)
            losses = losses + proposal_loss(gains)
            chosen = best_strokes(strokes, gains, canvases, pictures, STROKES_AT_ONCE)
            canvases = paint_strokes(chosen, canvases)
            errors = errors + ((canvases - pictures) ** 2).mean((1, 2, 3)).add(_LEAST_ERROR).log()
        return StageLoss(loss=losses / self._num_steps, per_sample=errors / self._num_steps, timesteps=None)

    def rollout(self, pictures: Tensor) -> list[Tensor]:
        """Canvases (B, 3, W, W) BGR after each step of painting (B, 3, W, W) BGR pictures in [0, 1], from black.

        Raises:
            UserError: if a stroke is not finite.
        """
        canvases, canvases_after = torch.zeros_like(pictures), []
        for step in range(self._num_steps):
            strokes = finite(self.actor(canvases, pictures, step / self._num_steps), "strokes of the actor")
            canvases = paint_strokes(strokes, canvases)
            canvases_after.append(canvases)
        return canvases_after


def proposal_loss(gains: Tensor) -> Tensor:
    """Minus the gain of the best proposal of each cell, as a share of the best of all cells, averaged over cells.

    With shares a late step, where little is left to gain, counts as much as an early one. Only the best proposal of a
    cell learns from a step, so that the strokes of a cell learn to serve different places.

    Args:
        gains: (B, cells x 4), as `stroke_gains` returns them, cell by cell.

    Returns:
        A scalar, -1 at least.
    """
    greatest = gains.detach().amax(1, keepdim=True).clamp(min=_LEAST_GAIN)
    best = gains.reshape(len(gains), -1, STROKES_A_CELL).amax(2)
    return -(best / greatest).mean()


class AgentStage:
    """Trains an actor; it has no other parts. See `training.stages.Stage`.

    Args:
        shape: sizes of the actor and its paintings.
        sample_batch: held-out pictures, which samples paint.
    """

    name = "agent"
    frames: Literal["all", "last"] = "last"
    num_steps: None = None
    tokenise: None = None

    def __init__(self, shape: AgentShape, sample_batch: SequenceBatch) -> None:
        self._shape, self._sample_batch = shape, sample_batch
        self._network = AgentNetwork(ProposingActor(shape.width), shape.num_steps)
        self.network: nn.Module = self._network
        self.frozen: Mapping[str, nn.Module] = {}

    def save(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """Write the actor as `renderer=agent` reads it."""
        with holding(self.network, weights):
            state = {
                name: value.detach().cpu().contiguous() for name, value in self._network.actor.state_dict().items()
            }
            save_file(state, folder / ACTOR_FILE)

    def samples(self, prompts: Sequence[str], seed: int) -> Tensor:
        """How the current actor paints the held-out pictures, whatever the prompts: (N, T, 3, W, W) RGB in [0, 1]."""
        assert self._sample_batch.frames is not None
        device = next(self._network.actor.parameters()).device
        pictures = bgr(self._sample_batch.frames[:, -1].to(device).float())
        canvases = [torch.zeros_like(pictures), *self._network.rollout(pictures)]
        places = sorted({math.floor(0.5 + share / (_FRAMES - 1) * (len(canvases) - 1)) for share in range(_FRAMES)})
        return torch.stack([*(canvases[place] for place in places), pictures], 1).flip(2).cpu()


def bgr(frames: Tensor) -> Tensor:
    """(B, 3, H, W) RGB in [-1, 1] as BGR in [0, 1]."""
    return (frames.flip(1) / 2 + 0.5).clamp(0, 1)
