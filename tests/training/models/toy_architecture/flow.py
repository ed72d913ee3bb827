"""Flow matching (Lipman et al. 2023): latents move to noise on straight lines; the network predicts their velocity."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Flow:
    """See `training.objective.Objective`. A timestep is the share of noise, times `num_steps` - 1."""

    num_steps: int = 1000
    shift: float = 3.0
    shared: float = 0.0
    guidance_rescale: float = 0.0

    def timesteps_of(self, shares: Tensor) -> Tensor:
        return self._shifted((shares.double() + 0.5) * 2.0**-32).float() * (self.num_steps - 1)

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        return torch.lerp(latents, noise, self._share(timesteps, latents))

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        return noise - latents

    def clean(self, latents: Tensor, prediction: Tensor, timesteps: Tensor) -> Tensor:
        return latents - self._share(timesteps, latents) * prediction

    def prediction_of(self, latents: Tensor, clean: Tensor, timesteps: Tensor) -> Tensor:
        return (latents - clean) / self._share(timesteps, latents)

    def loss_weights(self, timesteps: Tensor, min_snr: float | None) -> Tensor:
        assert min_snr is None  # the registration refuses it
        return torch.ones_like(timesteps)

    def sampler(self, num_steps: int) -> "Euler":
        return Euler(self, self._shifted(torch.linspace(1, 0, num_steps + 1)))

    def fewer_steps(self, num_steps: int) -> int:
        return num_steps

    def _shifted(self, shares: Tensor) -> Tensor:
        return self.shift * shares / (1 + (self.shift - 1) * shares)

    def _share(self, timesteps: Tensor, like: Tensor) -> Tensor:
        return (timesteps.to(like) / (self.num_steps - 1)).reshape(-1, *[1] * (like.ndim - 1))


class Euler:
    """See `training.objective.Sampler`."""

    def __init__(self, flow: Flow, shares: Tensor) -> None:
        self._lengths = shares.diff()
        self.timesteps = shares[:-1] * (flow.num_steps - 1)

    def step(self, prediction: Tensor, number: int, latents: Tensor) -> Tensor:
        return latents + self._lengths[number].to(latents) * prediction
