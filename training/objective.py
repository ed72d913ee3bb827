"""The interface of objectives: how noise is added, what is predicted of it, and how sampling removes it.

`training.noise_schedule` is DDPM (with epsilon or v). Flow matching fits the same interface: nothing here, in the loss,
in sampling or in inversion depends on variances.
"""

from typing import Protocol

from torch import Tensor


class Sampler(Protocol):
    """The steps of sampling, from the most noise to none. Each is linear in the latents and in the prediction.

    Attributes:
        timesteps: (S,) timesteps at which the network is called, first step first.
    """

    @property
    def timesteps(self) -> Tensor:
        """As above."""

    def step(self, prediction: Tensor, number: int, latents: Tensor) -> Tensor:
        """Latents after step `number`, 0 to S - 1: all of them (B, ...)."""


class Objective(Protocol):
    """One way of adding noise, for training, sampling and inversion alike.

    Timesteps are (B,), from 0, the least noise, to less than `num_steps`; they may be fractions.

    Attributes:
        num_steps: upper bound of timesteps.
        shared: how much of a frame's noise is common to its sequence, 0 to 1; see `training.diffusion.draw_noise`.
        guidance_rescale: how much of the contrast that guidance adds is removed by default, 0 to 1.
    """

    @property
    def num_steps(self) -> int:
        """As above."""

    @property
    def shared(self) -> float:
        """As above."""

    @property
    def guidance_rescale(self) -> float:
        """As above."""

    def timesteps_of(self, shares: Tensor) -> Tensor:
        """Timesteps to train at, (B,), from (B,) int64 shares of 2^32, uniform in [0, 2^32)."""

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Noisy latents: (B, ...) both, and (B,) timesteps."""

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """What the network should predict, (B, ...)."""

    def clean(self, latents: Tensor, prediction: Tensor, timesteps: Tensor) -> Tensor:
        """Noisy latents without their noise, according to the prediction."""

    def prediction_of(self, latents: Tensor, clean: Tensor, timesteps: Tensor) -> Tensor:
        """The prediction for which `clean` would return these latents."""

    def loss_weights(self, timesteps: Tensor, min_snr: float | None) -> Tensor:
        """(B,) weights of the squared errors.

        Args:
            timesteps: (B,).
            min_snr: gamma of min-SNR; None for no such weighting. Objectives without it are not asked for it.
        """

    def sampler(self, num_steps: int) -> Sampler:
        """A sampler with `num_steps` steps.

        Raises:
            ConfigError: if there is none with so many.
        """

    def fewer_steps(self, num_steps: int) -> int:
        """The largest number of steps up to `num_steps` that there is a sampler with."""
