"""Noise for any objective: the draws of training, sampling, and inversion.

Everything random about a sample is drawn from (seed, its position in the stream). So there is no state to save, draws
do not depend on the number of processes or the kind of device, and a fixed validation set has fixed noise.
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
        keeps_caption: (B,) bool, false if the caption is dropped.
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

    Timesteps of neighbouring positions are spread evenly (a Kronecker sequence with the golden ratio), and each is
    uniform by itself: a batch covers all noise levels evenly, which makes losses less noisy at no cost.

    Args:
        seed: seed of the run.
        positions: (B,) places in the stream.
        shape: shape of one sample's latents, frames first.
        objective: which timesteps there are, and how much of its noise a frame shares.
        caption_dropout: probability that a caption is dropped.
        device: device to draw on. Noise is the same on all devices to the rounding of float32, the rest exactly.
    """
    places = torch.as_tensor(positions, dtype=torch.int64).to(device)
    spread = places * _GOLDEN + _start_of_spread(seed)  # modulo 2**64, by overflow
    return Draws(
        timesteps=objective.timesteps_of(spread >> 32 & 0xFFFFFFFF),
        noise=draw_noise(seed, Stream.NOISE, places, shape, objective.shared),
        keeps_caption=words(seed, Stream.CAPTION_DROPOUT, places, 1)[:, 0] >= round(caption_dropout * 2**32),
    )


@cache  # it is called in every step, for two seeds
def _start_of_spread(seed: int) -> int:
    return 2 * (Stream.TIMESTEPS.seed(seed) - 2**62)


def draw_noise(seed: int, stream: Stream, positions: Tensor, shape: Sequence[int], shared: float) -> Tensor:
    """Noise (B, *shape), on the positions' device, of which frames share a part.

    Noise common to a sequence is multiplied by `shared`, 0 to 1, and added to each frame's own, which is scaled so that
    the variance stays 1 (the mixed noise of Ge et al. 2023, section 4.1).
    """
    if not shared:
        return normals(seed, stream, positions, shape)
    drawn = normals(seed, stream, positions, (shape[0] + 1, *shape[1:]))
    own, common = drawn[:, :-1], drawn[:, -1:]
    return own.mul_(math.sqrt(1 - shared**2)).add_(common, alpha=shared)


Denoiser = Callable[[Tensor, Tensor, Text], Tensor]
"""(noisy latents (N, ...), timesteps (N,), text of N captions) -> prediction (N, ...)."""


def num_steps_of(share: float, steps: int) -> int:
    """The number of steps that a share of all steps is, at least one."""
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
        objective: the objective that it was trained on.
        noise: (B, ...) initial noise.
        text, no_text: embeddings of the B prompts, and of the empty or negative ones.
        num_steps: steps of sampling.
        skipped: number of first steps that are left out; `noise` is then latents with noise from `begin_between`.
        guidance: scale of guidance; 1 for none.
        guidance_rescale: how much of the spread that guidance adds to predictions is removed, 0 to 1: without that,
            pictures have too much contrast, and greys are coloured. By default as the objective says.
        correct: the prediction of a step without noise (B, ...) -> what it should have been.
        on_step: called after each step.
        on_guess: called in each step with its prediction without noise (B, ...); an error that it raises ends sampling.

    Returns:
        (B, ...) latents.
    """
    sampler, latents = objective.sampler(num_steps), noise
    timesteps = sampler.timesteps.to(noise.device)  # once, because each copy would wait for the GPU
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
    """Latents as noisy as `sample` expects them after `skipped` of its steps (SDEdit, Meng et al. 2022).

    Args:
        objective: the objective to sample on.
        latents, noise: (B, ...).
        num_steps: steps of sampling.
        skipped: number of steps that are left out, fewer than all.
    """
    timestep = objective.sampler(num_steps).timesteps[skipped]
    return objective.add_noise(latents, noise, timestep.expand(len(latents)))


@torch.no_grad()
def invert(denoise: Denoiser, objective: Objective, latents: Tensor, text: Text, *, num_steps: int = 50) -> Tensor:
    """The noise from which `sample`, without guidance, returns these latents.

    Steps of sampling are undone one by one (docs/decisions/016): fixed-point iteration finds the latents from which a
    step leads to the given ones (Pan et al. 2023).

    Args:
        denoise: the network that will sample.
        objective: the objective that it will sample on.
        latents: (B, ...).
        text: embeddings of the B captions.
        num_steps: steps of sampling.

    Returns:
        (B, ...) noise.
    """
    sampler = objective.sampler(num_steps)
    timesteps = sampler.timesteps.to(latents.device)
    unit, zero = torch.ones(1), torch.zeros(1)
    for number, timestep in reversed(list(enumerate(timesteps))):
        # A step is linear in the latents and in the prediction: find both coefficients.
        of_latents = sampler.step(zero, number, unit).item()
        of_prediction = sampler.step(unit, number, zero).item()
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
    timesteps = timestep.expand(len(latents))
    if guidance == 1.0:
        return denoise(latents, timesteps, text)
    predictions = denoise(torch.cat([latents, latents]), torch.cat([timesteps, timesteps]), no_text.joined(text))
    without_text, with_text = predictions.chunk(2)
    guided = without_text + guidance * (with_text - without_text)
    if not rescale:
        return guided
    # Lin et al. 2023, section 3.4. Imported here, because diffusers takes long to import.
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg

    rescaled: Tensor = rescale_noise_cfg(guided, with_text, rescale)
    return rescaled
