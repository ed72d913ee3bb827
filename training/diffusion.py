"""Noise, whatever a base's objective: what training draws, sampling, and inversion.

Everything random about a sample is drawn from (seed, its position in the stream): no state to save, the same draws
whatever the number of processes and the kind of device, and fixed noise for a fixed validation set.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from training.data.text import Text
from training.objective import Objective
from training.random.philox import normals, words
from training.random.streams import Stream

_GOLDEN = -0x61C8864680B583EB  # the golden ratio's fraction as 64 bits, read as int64
_ROUNDS = 3  # of fixed-point iteration for each step of inversion


@dataclass(frozen=True)
class Draws:
    """The random part of one step for each of its samples.

    Attributes:
        timesteps: (B,).
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
    objective: Objective,
    caption_dropout: float,
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
        objective: which timesteps there are, and how much of its noise a frame shares.
        caption_dropout: probability that a caption is dropped.
        device: where all is made. Noise is the same on all to the rounding of float32, the rest exactly.
    """
    places = torch.as_tensor(positions, dtype=torch.int64).to(device)
    spread = places * _GOLDEN + _begin_of_spread(seed)  # 64 bits, which are a whole turn
    return Draws(
        timesteps=objective.timesteps_of(spread >> 32 & 0xFFFFFFFF),
        noise=draw_noise(seed, Stream.NOISE, places, shape, objective.shared),
        keeps_caption=words(seed, Stream.CAPTION_DROPOUT, places, 1)[:, 0] >= round(caption_dropout * 2**32),
    )


@cache  # a run asks in every step, for two seeds
def _begin_of_spread(seed: int) -> int:
    return 2 * (Stream.TIMESTEPS.seed(seed) - 2**62)


def draw_noise(seed: int, stream: Stream, positions: Tensor, shape: Sequence[int], shared: float) -> Tensor:
    """Noise (B, *shape), on the positions' device, of which frames share so much, 0 to 1.

    This much of a frame's noise is that of its whole sequence, and as much less its own that the variance stays 1 (the
    mixed noise of Ge et al. 2023, section 4.1).
    """
    if not shared:
        return normals(seed, stream, positions, shape)
    drawn = normals(seed, stream, positions, (shape[0] + 1, *shape[1:]))
    own, common = drawn[:, :-1], drawn[:, -1:]
    return own.mul_(math.sqrt(1 - shared**2)).add_(common, alpha=shared)


Denoiser = Callable[[Tensor, Tensor, Text], Tensor]
"""(noisy latents (N, ...), timesteps (N,), text of N captions) -> prediction (N, ...)."""


def num_steps_of(share: float, steps: int) -> int:
    """Steps of sampling that a share of them is, at least one."""
    return max(1, round(share * steps))


@torch.no_grad()
def sample(
    denoise: Denoiser,
    objective: Objective,
    noise: Tensor,
    text: Text,
    no_text: Text,
    *,
    num_steps: int = 50,
    skipped: int = 0,
    guidance: float = 5.0,
    guidance_rescale: float | None = None,
    correct: Callable[[Tensor], Tensor] | None = None,
    on_step: Callable[[], None] | None = None,
    on_guess: Callable[[Tensor], None] | None = None,
) -> Tensor:
    """Latents from noise, with classifier-free guidance.

    Args:
        denoise: the network.
        objective: what it was trained on.
        noise: (B, ...) initial noise.
        text, no_text: of the B prompts, and of the empty or negative ones.
        num_steps: of sampling.
        skipped: so many of the first steps are left out; `noise` is then latents as `begin_between` noises them.
        guidance: 1 for none.
        guidance_rescale: how much of the spread of predictions that guidance adds is taken back, 0 to 1: without that,
            pictures have too much contrast, and greys are coloured. When not said, as the objective says.
        correct: what each step predicts (B, ...) without noise -> what it should have predicted.
        on_step: called after each step.
        on_guess: called in each step with what it predicts (B, ...) without noise; what it raises ends the sampling.

    Returns:
        (B, ...) latents.
    """
    sampler, latents = objective.sampler(num_steps), noise
    timesteps = sampler.timesteps.to(noise.device)  # once: a GPU would be waited for at every copy
    rescale = objective.guidance_rescale if guidance_rescale is None else guidance_rescale
    for number, timestep in list(enumerate(timesteps))[skipped:]:
        prediction = _guided(denoise, latents, timestep, text, no_text, guidance, rescale)
        steps = timestep.expand(len(latents))
        if correct is not None:
            clean = correct(objective.clean(latents, prediction, steps))
            prediction = objective.prediction_of(latents, clean, steps)
        if on_guess is not None:
            on_guess(objective.clean(latents, prediction, steps))
        latents = sampler.step(prediction, number, latents)
        if on_step is not None:
            on_step()
    return latents


def begin_between(objective: Objective, latents: Tensor, noise: Tensor, *, num_steps: int, skipped: int) -> Tensor:
    """Latents as noisy as `sample` expects them after so many of its steps (SDEdit, Meng et al. 2022).

    Args:
        objective: the one to sample on.
        latents, noise: (B, ...).
        num_steps: of sampling.
        skipped: of them, fewer than all.
    """
    timestep = objective.sampler(num_steps).timesteps[skipped]
    return objective.add_noise(latents, noise, timestep.expand(len(latents)))


@torch.no_grad()
def invert(denoise: Denoiser, objective: Objective, latents: Tensor, text: Text, *, num_steps: int = 50) -> Tensor:
    """The noise from which `sample`, without guidance, returns these latents.

    Steps of sampling are undone one by one (docs/decisions/016): what was before a step is what, predicted from, leads
    to what is after it, found by fixed-point iteration (Pan et al. 2023).

    Args:
        denoise: the network that will sample, with the objective that it will sample on.
        objective: the same.
        latents: (B, ...).
        text: of the B captions.
        num_steps: of sampling.

    Returns:
        (B, ...) noise.
    """
    sampler = objective.sampler(num_steps)
    timesteps = sampler.timesteps.to(latents.device)
    one, none = torch.ones(1), torch.zeros(1)
    for number, timestep in reversed(list(enumerate(timesteps))):
        # A step is linear in latents and prediction, whatever is predicted.
        of_latents = sampler.step(none, number, one).item()
        of_prediction = sampler.step(one, number, none).item()
        after = latents
        for _ in range(_ROUNDS):
            prediction = _guided(denoise, latents, timestep, text, text, 1.0, 0.0)
            latents = (after - of_prediction * prediction) / of_latents
    return latents


def _guided(
    denoise: Denoiser,
    latents: Tensor,
    timestep: Tensor,
    text: Text,
    no_text: Text,
    guidance: float,
    rescale: float,
) -> Tensor:
    steps = timestep.expand(len(latents))
    if guidance == 1.0:
        return denoise(latents, steps, text)
    both = denoise(torch.cat([latents, latents]), torch.cat([steps, steps]), no_text.joined(text))
    without, with_text = both.chunk(2)
    guided = without + guidance * (with_text - without)
    if not rescale:
        return guided
    # Lin et al. 2023, section 3.4. Imported here, as whoever needs no diffusers should not wait for it.
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg

    rescaled: Tensor = rescale_noise_cfg(guided, with_text, rescale)
    return rescaled
