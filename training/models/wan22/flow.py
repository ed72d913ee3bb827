"""Flow matching (Lipman et al. 2023) as in Wan: straight lines to noise, whose direction the network predicts.

The share of noise, 0 to 1, is shifted towards the noisy end as in Esser et al. 2024, section 5.3.2; both training and
sampling use this shift. A timestep is that share times `num_steps`, as in diffusers' schedulers.

Frames of a sequence need not be equally noisy (Chen et al. 2024, Diffusion Forcing): with `lead`, the finished picture
is ahead, and earlier frames follow from it. Each frame then has a shift of its own, on top of the common one. All
frames start as noise and end without it. As shifts by a and by b are together a shift by ab, nothing else changes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.models.wan22.registration import Levels, Solver
from training.models.wan22.steps import AXES_OF_SEQUENCES, EulerSteps, UniPcSteps

_SMALLEST_SHARE = 2.0**-12  # of noise in training: nearer to 0, `prediction_of` would be lost to rounding


@dataclass(frozen=True, kw_only=True)
class Flow:
    """See `training.objective.Objective`.

    Attributes:
        shift: how far shares of noise are shifted towards the noisy end; 1 for no shift.
        levels: how training draws shares before the shift: uniformly, or those in the middle more often.
        shared: share of a frame's noise that is common to its whole sequence, 0 to 1.
        lead: the shift of the first frame divided by that of the last; 1 if all are equally noisy.
        solver: solver of the steps of sampling.
    """

    num_steps: int = 1000
    shift: float = 5.0
    levels: Levels = "logit_normal"
    shared: float = 0.0
    lead: float = 1.0
    solver: Solver = "euler"

    @property
    def guidance_rescale(self) -> float:
        """No rescaling, as in Wan2.2."""
        return 0.0

    def timesteps_of(self, shares: Tensor) -> Tensor:
        """Timesteps (B,) to train at.

        They have the distribution of `diffusers.training_utils.compute_density_for_timestep_sampling` with mean 0 and
        deviation 1, but are quantiles, so that they follow from the number that was drawn.
        """
        drawn = (shares.double() + 0.5) * 2.0**-32
        if self.levels == "logit_normal":
            drawn = torch.special.ndtri(drawn).sigmoid()
        return self.shifted(drawn).clamp(_SMALLEST_SHARE, 1 - _SMALLEST_SHARE).float() * self.num_steps

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Points on the straight line from latents (B, ...) to noise."""
        return torch.lerp(latents, noise, self.shares(timesteps, latents))

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """The direction of the line."""
        return noise - latents

    def clean(self, latents: Tensor, prediction: Tensor, timesteps: Tensor) -> Tensor:
        """The start of the line, without noise."""
        return latents - self.shares(timesteps, latents) * prediction

    def prediction_of(self, latents: Tensor, clean: Tensor, timesteps: Tensor) -> Tensor:
        """The direction of the line that starts at `clean`."""
        return (latents - clean) / self.shares(timesteps, latents)

    def loss_weights(self, timesteps: Tensor, min_snr: float | None) -> Tensor:
        """Equal weights."""
        assert min_snr is None  # the registration refuses it
        return torch.ones_like(timesteps)

    def sampler(self, num_steps: int) -> EulerSteps:
        """Steps between shares of noise that are evenly spaced before the shift, as in Wan's own code."""
        steps = EulerSteps if self.solver == "euler" else UniPcSteps
        return steps(self, self.shifted(torch.linspace(1, 0, num_steps + 1)) * self.num_steps)

    def fewer_steps(self, num_steps: int) -> int:
        """The same number: any is possible."""
        return num_steps

    def shifted(self, shares: Tensor) -> Tensor:
        """Shares of noise, 0 to 1, shifted towards the noisy end."""
        return _shifted(shares, self.shift)

    def of_frames(self, timesteps: Tensor, num_frames: int) -> Tensor:
        """(B,) timesteps of sequences -> (B, S) timesteps of each of their frames."""
        shares = timesteps[:, None] / self.num_steps
        places = shares.new_zeros(1)
        if num_frames > 1:
            places = torch.linspace(0.5, -0.5, num_frames, device=shares.device)
        return _shifted(shares, self.lead ** places.to(shares.dtype)) * self.num_steps

    def shares(self, timesteps: Tensor, like: Tensor) -> Tensor:
        """Shares of noise at (B,) timesteps, to multiply (B, ...) numbers, which are sequences if they have 5 axes."""
        if like.ndim == AXES_OF_SEQUENCES:
            return (self.of_frames(timesteps.to(like), like.shape[1]) / self.num_steps)[..., None, None, None]
        return (timesteps.to(like) / self.num_steps).reshape(-1, *[1] * (like.ndim - 1))


def _shifted(shares: Tensor, shift: Tensor | float) -> Tensor:
    return shift * shares / (1 + (shift - 1) * shares)
