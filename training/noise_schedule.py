"""The noise schedule of DDPM: one for training, inversion and sampling, which is by DDIM."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from conf.compose import typed
from conf.errors import ConfigError
from training.config import NoiseConfig
from training.models.registration import Prediction

_TYPES: dict[Prediction, str] = {"epsilon": "epsilon", "v": "v_prediction"}
_KEYS = {"num_steps": "num_train_timesteps", "zero_terminal_snr": "rescale_betas_zero_snr"}
"""Attributes of a schedule that diffusers has another name for."""
_GUIDANCE_RESCALE = 0.7  # as published


@dataclass(frozen=True, kw_only=True)
class NoiseSchedule:
    """How much noise each step has, and what the network predicts of it.

    The defaults are those of ProcessPainter and AnimateDiff: 1,000 steps, variances rising linearly.

    Attributes:
        num_steps: steps of the diffusion; t = 0 is the least noise.
        beta_start, beta_end: variances added at the first and at the last step.
        spacing: how variances in between are spaced: `linear`, or `scaled_linear` (linear in their square roots) as in
            Stable Diffusion 1.5 itself.
        prediction: `epsilon`, the noise, or `v` (Salimans, Ho 2022).
        zero_terminal_snr: rescale so that the last step is pure noise (Lin et al. 2023, algorithm 1).
        shared: how much of a frame's noise is common to its whole sequence, 0 to 1, at a total variance of 1 (the mixed
            noise of Ge et al. 2023, section 4.1). AnimateDiff has 0.

    Raises:
        ConfigError: if one of them is not what the key `noise.*` of that name allows.
    """

    num_steps: int = 1000
    beta_start: float = 0.00085
    beta_end: float = 0.012
    spacing: Literal["linear", "scaled_linear"] = "linear"
    prediction: Prediction = "epsilon"
    zero_terminal_snr: bool = False
    shared: float = 0.0

    def __post_init__(self) -> None:
        NoiseConfig(
            num_steps=self.num_steps, beta_start=self.beta_start, beta_end=self.beta_end, shared=self.shared,
            prediction=self.prediction, zero_terminal_snr=self.zero_terminal_snr,
        )  # fmt: skip

    @property
    def guidance_rescale(self) -> float:
        """The value that Lin et al. 2023 recommend with zero terminal SNR; 0, which is none, for other models."""
        return _GUIDANCE_RESCALE if self.zero_terminal_snr else 0.0

    def scheduler_config(self) -> dict[str, Any]:
        """The same as a configuration of diffusers' DDIM schedulers, which has no key for noise that frames share."""
        return {
            "num_train_timesteps": self.num_steps,
            "beta_start": self.beta_start,
            "beta_end": self.beta_end,
            "beta_schedule": self.spacing,
            "prediction_type": _TYPES[self.prediction],
            "rescale_betas_zero_snr": self.zero_terminal_snr,
            "timestep_spacing": "trailing" if self.zero_terminal_snr else "leading",
            "steps_offset": 0 if self.zero_terminal_snr else 1,
            "clip_sample": False,  # latents have no bounds
            "set_alpha_to_one": False,
        }

    def timesteps_of(self, shares: Tensor) -> Tensor:
        """As `training.objective.Objective` says; all timesteps are equally likely."""
        return shares * self.num_steps >> 32

    def sampler(self, num_steps: int) -> "DdimSampler":
        """DDIM in `num_steps` steps.

        Raises:
            ConfigError: if they do not divide the schedule evenly enough: diffusers rounds the distance between two
                steps down, so that sampling would start where the network expects much less than pure noise (600 of
                1,000 steps start at timestep 600).
        """
        if not self._is_covered(num_steps):
            possible = [steps for steps in range(self.num_steps + 1) if steps and self._is_covered(steps)]
            above = [f" or {steps}" for steps in possible if steps > num_steps][:1]
            below = self.fewer_steps(num_steps)
            allowed = f"{below}{''.join(above)}, which divide the schedule's {self.num_steps} (nearly)"
            raise ConfigError("steps", num_steps, allowed)
        return DdimSampler(self, num_steps)

    def fewer_steps(self, num_steps: int) -> int:
        """As `training.objective.Objective` says."""
        return max(steps for steps in range(1, min(num_steps, self.num_steps) + 1) if self._is_covered(steps))

    def _is_covered(self, num_steps: int) -> bool:
        """Whether diffusers' steps, a whole number of timesteps apart, start in the noisiest eighth of the schedule."""
        distance, rest = divmod(self.num_steps, num_steps)
        is_beyond = distance == 1 and not rest and not self.zero_terminal_snr  # leading steps have an offset of 1
        return distance > 0 and not is_beyond and 8 * rest <= self.num_steps

    @cached_property
    def signal(self) -> Tensor:
        """(num_steps,) float32 remaining share of the signal's variance, alpha-bar."""
        from diffusers import DDIMScheduler

        alphas: Tensor = DDIMScheduler(**self.scheduler_config()).alphas_cumprod
        return alphas.float()

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Noisy latents: (B, ...) both, and (B,) timesteps."""
        signal, added = self._roots(timesteps, latents)
        return signal * latents + added * noise

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """What the network should predict."""
        if self.prediction == "epsilon":
            return noise
        signal, added = self._roots(timesteps, latents)
        return signal * noise - added * latents

    def clean(self, latents: Tensor, prediction: Tensor, timesteps: Tensor) -> Tensor:
        """The latents without noise, according to the prediction: (B, ...) both, and (B,) timesteps."""
        signal, added = self._roots(timesteps, latents)
        if self.prediction == "epsilon":
            return (latents - added * prediction) / signal
        return signal * latents - added * prediction

    def prediction_of(self, latents: Tensor, clean: Tensor, timesteps: Tensor) -> Tensor:
        """The prediction for which `clean` would return these latents."""
        signal, added = self._roots(timesteps, latents)
        if self.prediction == "epsilon":
            return (latents - signal * clean) / added
        return (signal * latents - clean) / added

    def loss_weights(self, timesteps: Tensor, min_snr: float | None) -> Tensor:
        """(B,) weights of the squared errors: 1, or min-SNR (Hang et al. 2023, equations 5 and 6).

        Args:
            timesteps: (B,).
            min_snr: gamma; None for no weighting.
        """
        signal = self._signal_on(timesteps.device)[timesteps]
        if min_snr is None:
            return torch.ones_like(signal)
        snr = signal / (1 - signal)
        capped = snr.clamp_max(min_snr)
        return capped / snr if self.prediction == "epsilon" else capped / (snr + 1)

    @cached_property
    def _signals(self) -> dict[torch.device, Tensor]:
        return {}

    def _signal_on(self, device: torch.device) -> Tensor:
        """`signal` on a device, copied once: a GPU would be waited for at every copy."""
        if device not in self._signals:
            self._signals[device] = self.signal.to(device)
        return self._signals[device]

    def _roots(self, timesteps: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        signal = self._signal_on(like.device)[timesteps.to(like.device)].to(like.dtype)
        signal = signal.reshape(-1, *[1] * (like.ndim - 1))
        return signal.sqrt(), (1 - signal).sqrt()


class DdimSampler:
    """Sampling by DDIM (Song et al. 2021, eta 0). See `training.objective.Sampler`.

    Args:
        schedule: the noise schedule.
        num_steps: S.
    """

    def __init__(self, schedule: NoiseSchedule, num_steps: int) -> None:
        from diffusers import DDIMScheduler

        self._scheduler = DDIMScheduler(**schedule.scheduler_config())
        self._scheduler.set_timesteps(num_steps)
        # For some numbers of steps, such as 61, rounding adds one more timestep, -1, to diffusers' trailing spacing.
        self.timesteps: Tensor = self._scheduler.timesteps[:num_steps]

    def step(self, prediction: Tensor, number: int, latents: Tensor) -> Tensor:
        """Latents after a step."""
        after: Tensor = self._scheduler.step(prediction, self.timesteps[number], latents, eta=0.0).prev_sample
        return after


def save_schedule(schedule: NoiseSchedule, folder: Path) -> None:
    """Write it as diffusers' `scheduler_config.json`."""
    from diffusers import DDIMScheduler

    DDIMScheduler(**schedule.scheduler_config()).save_pretrained(folder)


def load_schedule(where: str) -> NoiseSchedule:
    """The schedule in the `scheduler` folder of a diffusers folder or hub name, whichever scheduler wrote it.

    Raises:
        ValueError: as `schedule_of`.
    """
    from diffusers import DDIMScheduler

    return schedule_of(DDIMScheduler.load_config(where, subfolder="scheduler"))


def schedule_of_recipe(noise: Mapping[str, Any]) -> NoiseSchedule:
    """The schedule of a run, by the keys `noise` of its recipe.

    Raises:
        ConfigError: if one of them is missing, unknown or out of range.
    """
    keys = {key: value for key, value in noise.items() if key != "min_snr"} if isinstance(noise, Mapping) else noise
    return typed(NoiseSchedule, keys, "noise")


def schedule_of(config: Mapping[str, Any]) -> NoiseSchedule:
    """The schedule that the configuration of a diffusers scheduler describes.

    Raises:
        ValueError: if it is of a kind that this project does not know, or naming a key that is out of range.
    """
    kinds: dict[str, Prediction] = {name: kind for kind, name in _TYPES.items()}
    spacing, prediction = config.get("beta_schedule", "linear"), config.get("prediction_type", "epsilon")
    if spacing not in ("linear", "scaled_linear") or prediction not in list(kinds):
        raise ValueError(f"scheduler with {spacing} betas and {prediction} is not known")
    missing_keys = [key for key in ("num_train_timesteps", "beta_start", "beta_end") if config.get(key) is None]
    if missing_keys or config.get("trained_betas") is not None:
        raise ValueError(
            f"scheduler {f'without {missing_keys[0]}' if missing_keys else 'with trained_betas'} is not known"
        )
    if prediction == "epsilon" and config.get("rescale_betas_zero_snr"):
        # The last step holds no signal, so its prediction would be divided by zero.
        raise ValueError(
            "scheduler with epsilon and rescale_betas_zero_snr says nothing at its first step; "
            "set rescale_betas_zero_snr to false in its scheduler_config.json"
        )
    values = {
        "num_steps": config["num_train_timesteps"],
        "beta_start": config["beta_start"],
        "beta_end": config["beta_end"],
        "spacing": spacing,
        "prediction": kinds[prediction],
        "zero_terminal_snr": config.get("rescale_betas_zero_snr") or False,
    }
    try:
        return typed(NoiseSchedule, values)
    except ConfigError as error:
        key = _KEYS.get(error.key, error.key)
        raise ValueError(str(ConfigError(key, error.value, error.allowed))) from error
