"""Noise: one schedule for training, inversion and sampling; losses; DDIM both ways.

Everything random about a sample is drawn from (seed, its position in the stream): no state to save, the same draws
whatever the number of processes and the kind of device, and fixed noise for a fixed validation set.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from conf.compose import typed
from conf.errors import ConfigError
from training.random.philox import normals, words
from training.random.streams import Stream

Prediction = Literal["epsilon", "v"]
_TYPES: dict[Prediction, str] = {"epsilon": "epsilon", "v": "v_prediction"}
_MOST_STEPS = 100_000
_GOLDEN = -0x61C8864680B583EB  # the golden ratio's fraction as 64 bits, read as int64
_ROUNDS = 3  # of fixed-point iteration for each step of inversion


@dataclass(frozen=True, kw_only=True)
class NoiseSchedule:
    """How much noise a step means, and what the network predicts of it.

    The defaults are those of ProcessPainter and AnimateDiff: 1,000 steps, variances rising linearly.

    Attributes:
        num_steps: steps of the diffusion; t = 0 is the least noise.
        beta_start, beta_end: variances added at the first and at the last step.
        spacing: of the variances in between: `linear`, or `scaled_linear` (in their square roots) as in Stable
            Diffusion 1.5 itself.
        prediction: `epsilon`, the noise, or `v` (Salimans, Ho 2022).
        zero_terminal_snr: rescale so that the last step is pure noise (Lin et al. 2023, algorithm 1).
        shared: 0 to 1: this much of a frame's noise is that of its whole sequence, and as much less its own that the
            variance stays 1 (the mixed noise of Ge et al. 2023, section 4.1). 0 is as AnimateDiff has it.
    """

    num_steps: int = 1000
    beta_start: float = 0.00085
    beta_end: float = 0.012
    spacing: Literal["linear", "scaled_linear"] = "linear"
    prediction: Prediction = "epsilon"
    zero_terminal_snr: bool = False
    shared: float = 0.0

    def scheduler_config(self) -> dict[str, Any]:
        """The same for diffusers' DDIM schedulers, which do not know that frames share noise."""
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

    @cached_property
    def signal(self) -> Tensor:
        """(num_steps,) float32 share of the signal's variance that is left, alpha-bar."""
        from diffusers import DDIMScheduler

        alphas: Tensor = DDIMScheduler(**self.scheduler_config()).alphas_cumprod
        return alphas.float()

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Noisy latents: (B, ...) both, and (B,) timesteps."""
        kept, added = self._roots(timesteps, latents)
        return kept * latents + added * noise

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """What the network should predict."""
        if self.prediction == "epsilon":
            return noise
        kept, added = self._roots(timesteps, latents)
        return kept * noise - added * latents

    def clean(self, latents: Tensor, prediction: Tensor, timesteps: Tensor) -> Tensor:
        """What the latents would be without noise, by what was predicted: (B, ...) both, and (B,) timesteps."""
        kept, added = self._roots(timesteps, latents)
        if self.prediction == "epsilon":
            return (latents - added * prediction) / kept
        return kept * latents - added * prediction

    def prediction_of(self, latents: Tensor, clean: Tensor, timesteps: Tensor) -> Tensor:
        """The prediction by which `clean` would have this result."""
        kept, added = self._roots(timesteps, latents)
        if self.prediction == "epsilon":
            return (latents - kept * clean) / added
        return (kept * latents - clean) / added

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


@dataclass(frozen=True)
class Draws:
    """The random part of one step for each of its samples.

    Attributes:
        timesteps: (B,) int64.
        noise: (B, ...) float32, of the shape of the latents.
        keeps_caption: (B,) bool, false where the caption is dropped.
    """

    timesteps: Tensor
    noise: Tensor
    keeps_caption: Tensor


def draw(
    seed: int,
    positions: Sequence[int] | Tensor,
    shape: Sequence[int],
    num_steps: int,
    caption_dropout: float,
    shared: float = 0.0,
    *,
    device: torch.device | str = "cpu",
) -> Draws:
    """Draw what each sample needs from (seed, its position).

    Timesteps of neighbouring positions are spread evenly (a Kronecker sequence with the golden ratio), each uniform by
    itself: a batch covers the noise levels instead of clumping, which makes losses less noisy at no cost.

    Args:
        seed: of the run.
        positions: (B,) places in the stream.
        shape: of one sample's latents, frames first.
        num_steps: of the schedule.
        caption_dropout: probability that a caption is dropped.
        shared: of the noise of a sample's frames; see `NoiseSchedule`.
        device: where all is made. Noise is the same on all to the rounding of float32, the rest exactly.
    """
    places = torch.as_tensor(positions, dtype=torch.int64).to(device)
    spread = places * _GOLDEN + 2 * (Stream.TIMESTEPS.seed(seed) - 2**62)  # 64 bits, which are a whole turn
    return Draws(
        timesteps=(spread >> 32 & 0xFFFFFFFF) * num_steps >> 32,
        noise=draw_noise(seed, Stream.NOISE, places, shape, shared),
        keeps_caption=words(seed, Stream.CAPTION_DROPOUT, places, 1)[:, 0] >= round(caption_dropout * 2**32),
    )


def draw_noise(seed: int, stream: Stream, positions: Tensor, shape: Sequence[int], shared: float) -> Tensor:
    """Noise (B, *shape) of which frames share as much as `NoiseSchedule.shared` says; on the positions' device."""
    if not shared:
        return normals(seed, stream, positions, shape)
    drawn = normals(seed, stream, positions, (shape[0] + 1, *shape[1:]))
    own, common = drawn[:, :-1], drawn[:, -1:]
    return own.mul_(math.sqrt(1 - shared**2)).add_(common, alpha=shared)


Denoiser = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(noisy latents (N, ...), timesteps (N,), text (N, L, D)) -> prediction (N, ...)."""


@torch.no_grad()
def sample(
    denoise: Denoiser,
    schedule: NoiseSchedule,
    noise: Tensor,
    text: Tensor,
    no_text: Tensor,
    *,
    num_steps: int = 50,
    skipped: int = 0,
    guidance: float = 5.0,
    correct: Callable[[Tensor], Tensor] | None = None,
    on_step: Callable[[], None] | None = None,
) -> Tensor:
    """Latents from noise by DDIM (Song et al. 2021, eta 0) with classifier-free guidance.

    Args:
        denoise: the network.
        schedule: what it was trained on.
        noise: (B, ...) initial noise.
        text, no_text: (B, L, D) of the prompts, and of the empty or negative ones.
        num_steps: of DDIM.
        skipped: so many of the first steps are left out; `noise` is then latents as `begin_between` noises them.
        guidance: 1 for none.
        correct: what each step predicts (B, ...) without noise -> what it should have predicted.
        on_step: called after each step.

    Returns:
        (B, ...) latents.
    """
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(**schedule.scheduler_config())
    scheduler.set_timesteps(num_steps)
    latents = noise
    for timestep in scheduler.timesteps[skipped:]:
        prediction = _guided(denoise, latents, timestep, text, no_text, guidance)
        if correct is not None:
            steps = timestep.expand(len(latents))
            clean = correct(schedule.clean(latents, prediction, steps))
            prediction = schedule.prediction_of(latents, clean, steps)
        latents = scheduler.step(prediction, timestep, latents, eta=0.0).prev_sample
        if on_step is not None:
            on_step()
    return latents


def begin_between(schedule: NoiseSchedule, latents: Tensor, noise: Tensor, *, num_steps: int, skipped: int) -> Tensor:
    """Latents as noisy as `sample` expects them after so many of its steps (SDEdit, Meng et al. 2022).

    Args:
        schedule: the one to sample on.
        latents, noise: (B, ...).
        num_steps: of DDIM.
        skipped: of them, fewer than all.
    """
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(**schedule.scheduler_config())
    scheduler.set_timesteps(num_steps)
    return schedule.add_noise(latents, noise, scheduler.timesteps[skipped].expand(len(latents)))


@torch.no_grad()
def invert(denoise: Denoiser, schedule: NoiseSchedule, latents: Tensor, text: Tensor, *, num_steps: int = 50) -> Tensor:
    """The noise from which `sample`, without guidance, returns these latents.

    Steps of DDIM are undone one by one (docs/decisions/016): what was before a step is what, predicted from, leads to
    what is after it, found by fixed-point iteration (Pan et al. 2023).

    Args:
        denoise: the network that will sample, with the schedule that it will sample on.
        schedule: the same.
        latents: (B, ...).
        text: (B, L, D).
        num_steps: of DDIM.

    Returns:
        (B, ...) noise.
    """
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(**schedule.scheduler_config())
    scheduler.set_timesteps(num_steps)
    one, none = torch.ones(1), torch.zeros(1)
    for timestep in scheduler.timesteps.flip(0):
        # A step is linear in latents and prediction, whatever is predicted.
        of_latents = scheduler.step(none, timestep, one).prev_sample.item()
        of_prediction = scheduler.step(one, timestep, none).prev_sample.item()
        after = latents
        for _ in range(_ROUNDS):
            prediction = _guided(denoise, latents, timestep, text, text, 1.0)
            latents = (after - of_prediction * prediction) / of_latents
    return latents


def _guided(
    denoise: Denoiser, latents: Tensor, timestep: Tensor, text: Tensor, no_text: Tensor, guidance: float
) -> Tensor:
    steps = timestep.to(latents.device).expand(len(latents))
    if guidance == 1.0:
        return denoise(latents, steps, text)
    both = denoise(torch.cat([latents, latents]), torch.cat([steps, steps]), torch.cat([no_text, text]))
    without, with_text = both.chunk(2)
    return without + guidance * (with_text - without)


def save_schedule(schedule: NoiseSchedule, folder: Path) -> None:
    """Write it as diffusers' `scheduler_config.json`."""
    from diffusers import DDIMScheduler

    DDIMScheduler(**schedule.scheduler_config()).save_pretrained(folder)


def load_schedule(where: str) -> NoiseSchedule:
    """The schedule in the `scheduler` folder of a diffusers folder or hub name, whichever scheduler wrote it.

    Raises:
        ValueError: if it is of a kind that this project does not know.
    """
    from diffusers import DDIMScheduler

    return schedule_of(DDIMScheduler.load_config(where, subfolder="scheduler"))


def schedule_of_recipe(noise: Mapping[str, Any]) -> NoiseSchedule:
    """The schedule of a run, by the keys `noise` of its recipe.

    Raises:
        ConfigError: if one of them is none.
    """
    known = {key: value for key, value in noise.items() if key != "min_snr"} if isinstance(noise, Mapping) else noise
    schedule = typed(NoiseSchedule, known, "noise")
    if not 1 <= schedule.num_steps <= _MOST_STEPS:
        raise ConfigError("noise.num_steps", schedule.num_steps, f"1 to {_MOST_STEPS}")
    return schedule


def schedule_of(config: Mapping[str, Any]) -> NoiseSchedule:
    """The schedule that the configuration of a diffusers scheduler describes.

    Raises:
        ValueError: if it is of a kind that this project does not know.
    """
    kinds: dict[str, Prediction] = {name: kind for kind, name in _TYPES.items()}
    spacing, prediction = config.get("beta_schedule", "linear"), config.get("prediction_type", "epsilon")
    if spacing not in ("linear", "scaled_linear") or prediction not in kinds:
        raise ValueError(f"scheduler with {spacing} betas and {prediction} is not known")
    lacking = [key for key in ("num_train_timesteps", "beta_start", "beta_end") if config.get(key) is None]
    if lacking or config.get("trained_betas") is not None:
        raise ValueError(f"scheduler {f'without {lacking[0]}' if lacking else 'with trained_betas'} is not known")
    if prediction == "epsilon" and config.get("rescale_betas_zero_snr"):
        # The last step holds no signal: what is predicted of it would be divided by zero.
        raise ValueError(
            "scheduler with epsilon and rescale_betas_zero_snr says nothing at its first step; "
            "set rescale_betas_zero_snr to false in its scheduler_config.json"
        )
    return NoiseSchedule(
        num_steps=config["num_train_timesteps"],
        beta_start=config["beta_start"],
        beta_end=config["beta_end"],
        spacing=spacing,
        prediction=kinds[prediction],
        zero_terminal_snr=bool(config.get("rescale_betas_zero_snr", False)),
    )
