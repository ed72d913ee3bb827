"""Flow matching (Lipman et al. 2023) as Wan has it: straight lines to noise, whose direction the network predicts.

The share of noise, 0 to 1, is bent towards the noisy end by the shift of Esser et al. 2024, section 5.3.2; both
training and sampling use it. A timestep is that share times `num_steps`, as diffusers' schedulers count.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.models.wan22.registration import Levels

_SMALLEST_SHARE = 2.0**-12  # that is trained at: nearer to 0, what leads to a given frame is lost to rounding


@dataclass(frozen=True, kw_only=True)
class Flow:
    """See `training.objective.Objective`.

    Attributes:
        shift: how far shares of noise lean to the noisy end; 1 not at all.
        levels: how training draws them before the shift: all alike, or those in the middle more often.
        shared: how much of a frame's noise is that of its whole sequence.
    """

    num_steps: int = 1000
    shift: float = 5.0
    levels: Levels = "logit_normal"
    shared: float = 0.0

    def timesteps_of(self, shares: Tensor) -> Tensor:
        """Timesteps (B,) to train at.

        Those of `diffusers.training_utils.compute_density_for_timestep_sampling` with mean 0 and deviation 1, but by
        quantiles: they follow from the number that was drawn.
        """
        drawn = (shares.double() + 0.5) * 2.0**-32
        if self.levels == "logit_normal":
            drawn = torch.special.ndtri(drawn).sigmoid()
        return self.shifted(drawn).clamp(_SMALLEST_SHARE, 1 - _SMALLEST_SHARE).float() * self.num_steps

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """On the straight line from latents (B, ...) to noise."""
        return torch.lerp(latents, noise, self._shares(timesteps, latents))

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """The direction of the line."""
        return noise - latents

    def clean(self, latents: Tensor, prediction: Tensor, timesteps: Tensor) -> Tensor:
        """The beginning of the line."""
        return latents - self._shares(timesteps, latents) * prediction

    def prediction_of(self, latents: Tensor, clean: Tensor, timesteps: Tensor) -> Tensor:
        """The direction of the line that begins at `clean`."""
        return (latents - clean) / self._shares(timesteps, latents)

    def loss_weights(self, timesteps: Tensor, min_snr: float | None) -> Tensor:
        """All alike."""
        assert min_snr is None  # the registration refuses it
        return torch.ones_like(timesteps)

    def sampler(self, num_steps: int) -> "EulerSteps":
        """Straight steps between shares of noise that lie evenly before the shift, as in Wan's own code."""
        return EulerSteps(self.num_steps, self.shifted(torch.linspace(1, 0, num_steps + 1)))

    def shifted(self, shares: Tensor) -> Tensor:
        """Shares of noise, 0 to 1, bent towards the noisy end."""
        return self.shift * shares / (1 + (self.shift - 1) * shares)

    def _shares(self, timesteps: Tensor, like: Tensor) -> Tensor:
        return (timesteps.to(like) / self.num_steps).reshape(-1, *[1] * (like.ndim - 1))


class EulerSteps:
    """See `training.objective.Sampler`.

    Args:
        num_steps: where timesteps end.
        shares: (S + 1,) of noise, from 1 to 0.
    """

    def __init__(self, num_steps: int, shares: Tensor) -> None:
        self._lengths = shares.diff()
        self.timesteps = shares[:-1] * num_steps

    def step(self, prediction: Tensor, number: int, latents: Tensor) -> Tensor:
        """Latents (B, ...) after step `number`."""
        return latents + self._lengths[number].to(latents) * prediction
