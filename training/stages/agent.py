"""Stage `agent`: an actor that paints, trained by gradients through the exact strokes.

Learning to Paint trained its actor by reinforcement, through a network that imitates its strokes. Here the strokes
themselves pass gradients on (`renderers.raster.disc_gradient`), so a whole painting is one differentiable function of
the actor's weights: no critic, no discriminator, no memory of past canvases.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from training.data.batch import SequenceBatch
from training.models.disc_strokes import paint_strokes
from training.models.pointing import PointingActor
from training.models.shape import AgentShape
from training.models.weights import holding
from training.stages import StageLoss

ACTOR_FILE = "actor.safetensors"
_LEAST_ERROR = 1e-4  # 40 dB: what is nearer than this counts as reached
_SHOWN = 8  # frames of a sample, from the blank canvas to the last


class AgentNetwork(nn.Module):
    """From a batch of finished pictures to the loss of painting them.

    Args:
        actor: is trained.
        num_steps: of a painting, five strokes each.
    """

    def __init__(self, actor: PointingActor, num_steps: int) -> None:
        super().__init__()
        self.actor, self._num_steps = actor, num_steps

    def forward(self, batch: SequenceBatch) -> StageLoss:
        """The mean over a painting's steps of the logarithm of the mean squared error (0.23 times the PSNR, negative).

        The logarithm makes a late step, which refines, count as much as an early one, which has more to gain.
        """
        assert batch.frames is not None  # latents are refused before
        pictures = bgr(batch.frames[:, -1])
        losses = torch.zeros(len(pictures), device=pictures.device)
        for canvases in self.rollout(pictures):
            losses = losses + ((canvases - pictures) ** 2).mean((1, 2, 3)).add(_LEAST_ERROR).log()
        losses = losses / self._num_steps
        return StageLoss(loss=losses.mean(), per_sample=losses.detach(), timesteps=None)

    def rollout(self, pictures: Tensor) -> list[Tensor]:
        """Canvases (B, 3, W, W) BGR after each step of painting (B, 3, W, W) BGR pictures in [0, 1], from black.

        Gradients flow back through the paint, so a stroke answers for all that is later seen of it, but not through
        what the actor saw: through twenty looks they explode (norms above 100, and nothing is learnt).
        """
        canvases, after = torch.zeros_like(pictures), []
        for step in range(self._num_steps):
            canvases = paint_strokes(self.actor(canvases.detach(), pictures, step / self._num_steps), canvases)
            after.append(canvases)
        return after


class AgentStage:
    """Trains an actor; it has no other parts. See `training.stages.Stage`.

    Args:
        shape: of the actor and its paintings.
        sample_batch: held-out pictures, which samples paint.
    """

    name = "agent"
    frames: Literal["all", "last"] = "last"
    tokenise: None = None

    def __init__(self, shape: AgentShape, sample_batch: SequenceBatch) -> None:
        self._shape, self._sample_batch = shape, sample_batch
        self._network = AgentNetwork(PointingActor(shape.width), shape.num_steps)
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
        """How the present actor paints the held-out pictures, whatever the prompts: (N, T, 3, W, W) RGB in [0, 1]."""
        assert self._sample_batch.frames is not None
        device = next(self._network.actor.parameters()).device
        pictures = bgr(self._sample_batch.frames[:, -1].to(device).float())
        canvases = [torch.zeros_like(pictures), *self._network.rollout(pictures)]
        places = sorted({math.floor(0.5 + share / (_SHOWN - 1) * (len(canvases) - 1)) for share in range(_SHOWN)})
        return torch.stack([*(canvases[place] for place in places), pictures], 1).flip(2).cpu()


def bgr(frames: Tensor) -> Tensor:
    """(B, 3, H, W) RGB in [-1, 1] as BGR in [0, 1]."""
    return (frames.flip(1) / 2 + 0.5).clamp(0, 1)
