"""Paints processes from text, pictures or both, with the networks of any architecture.

Pictures that are pinned to frames act in three ways. The denoiser gets them as conditions at every step. Each picture
is inverted to the noise that it would come from, which replaces the initial noise of its frame (Song et al. 2024); the
base itself inverts, on the objective that sampling uses. And the paint that the pictures show is kept in the other
frames wherever nothing else is painted (`pipelines.inference.keeping`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from diffusers.utils import BaseOutput
from torch import Tensor

from pipelines.inference.initial_noise import initial_noise
from pipelines.inference.keeping import keep_paint
from pipelines.inference.longer.time_line import slots_of_shorter
from pipelines.inference.offloading import OffloadingPipeline
from pipelines.inference.pinned import (
    PinnedPicture,
    acting,
    at_latents,
    interpolated,
    pinned_conditions,
    shared_noise,
)
from training.data.text import Text
from training.diffusion import Denoiser, begin_between, invert, num_steps_of, sample
from training.models.architecture import Base
from training.models.conditions import Conditions
from training.models.finite import finite
from training.models.painter import PaintingNetworks

# How much all frames share of one noise, and how much of the noise that pinned pictures invert to.
_SHARES = (0.98, 0.98)
_SHARES_IF_UNTRAINED = (0.0, 0.6)  # for painters whose frames were not trained to share noise
_INVERTED_SHARE_WITH_NETWORK = 0.65  # of a given frame's noise, where the denoiser gets the picture too
_MOST_INVERTED_AT_ONCE = 32  # pictures: fewer than a batch of processes has frames


OnGuess = Callable[[Callable[[], Tensor]], None]
"""Called in each step with a function that decodes the step's guess of the finished processes.

The function returns (N, T, 3, H, W) in [0, 1].
"""


@dataclass
class PaintedProcesses(BaseOutput):  # type: ignore[misc]
    """What the pipeline returns.

    Attributes:
        frames: (N, T, 3, H, W) float32 in [0, 1], on the CPU.
        noise: (N, S, C, h, w) initial noise, after inversion.
    """

    frames: Tensor
    noise: Tensor


class PaintingPipeline(OffloadingPipeline):
    """Text, pictures at any frames, or both -> processes.

    Args:
        networks: the painter's networks.
    """

    def __init__(self, networks: PaintingNetworks) -> None:
        self._networks = networks

    @property
    def networks(self) -> PaintingNetworks:
        """The painter's networks."""
        return self._networks

    @property
    def base(self) -> Base:
        """The base: it turns captions and pictures into numbers and back."""
        return self.networks.base

    @property
    def cell_px(self) -> int:
        """Pixels that the sides of a picture must be multiples of."""
        return self.base.cell_px

    @torch.no_grad()
    def __call__(
        self,
        prompts: str | Sequence[str],
        conditions: Sequence[Sequence[PinnedPicture]] | None = None,
        *,
        negative_prompt: str = "",
        num_frames: int = 8,
        trained_frames: int | None = None,
        size_px: tuple[int, int] = (512, 512),
        steps: int = 50,
        guidance: float = 5.0,
        guidance_rescale: float | None = None,
        network: bool = True,
        inversion: bool = True,
        keep: bool = True,
        shared: float | None = None,
        inverted: float | None = None,
        seed: int = 0,
        positions: Sequence[int] | None = None,
        share: float = 1.0,
        on_step: Callable[[], None] | None = None,
        on_guess: OnGuess | None = None,
    ) -> PaintedProcesses:
        """Paint.

        Args:
            prompts: (N,) captions, method phrase included, or one caption for one process; they may be empty.
            conditions: (N,) lists of pictures at frames, in any order.
            negative_prompt: what guidance leads away from.
            num_frames: T.
            trained_frames: K, of the sequences that the painter was trained on; None for T. If K is larger, K frames
                are painted, of which T are kept, evenly spaced: the first T alone would end before it is finished.
            size_px: (height, width), multiples of the base's cell.
            steps: number of steps of sampling, and of inversion.
            guidance: scale of classifier-free guidance; 1 for none.
            guidance_rescale: how much of the contrast that guidance adds is removed again, 0 to 1; None for the
                objective's value.
            network: whether the denoiser gets the conditions.
            inversion: whether the noise that the conditions invert to replaces the initial noise of their frames.
            keep: whether the paint of the conditions is kept in the other frames, where nothing else is painted.
            shared: how much of the noise that the conditions invert to the other frames take over, 0 (as published)
                to 1; None for the value of `shares_of_noise`.
            inverted: how much of a given frame's noise is what its picture inverts to, 0 to 1 (as published); None for
                the value of `share_of_inverted`.
            seed: seed of the noise; the noise of each process depends on (seed, its position).
            positions: (N,) positions of the processes; None for 0, 1, ...
            share: share of the steps that are done, counted from the last. Below 1 a process begins from its
                conditions, interpolated over its frames, instead of from noise alone.
            on_step: called after each step of sampling.
            on_guess: called in each step of sampling; what it raises ends the painting.

        Raises:
            ValueError: if a frame is out of range or named twice, counts differ, T is larger than K, or `share` is
                below 1 and a process has no conditions to begin from.
            UserError: if the networks compute values that are not finite.
        """
        prompts = [prompts] if isinstance(prompts, str) else prompts
        networks, base, conditions = self.networks, self.base, conditions or [()] * len(prompts)
        positions = range(len(prompts)) if positions is None else positions
        if not len(prompts) == len(conditions) == len(positions):
            raise ValueError(
                f"{len(prompts)} prompts, {len(conditions)} lists of conditions, {len(positions)} positions"
            )
        num_slots = trained_frames or num_frames
        slots = slots_of_shorter(num_frames, num_slots)
        device = self._execution_device
        shape = base.latent_shape(num_slots, size_px)
        common_share, pinned_share = shares_of_noise(base.objective.shared)
        noise = initial_noise(seed, positions, shape, common_share).to(device)
        with self._computing("text"):
            text = base.embed(prompts, device).float()
            negative_text, empty_text = (
                base.embed([negative_prompt, ""], device).float().rows([row]) for row in (0, 1)
            )
        with self._computing("encoding"):
            latents = [self._encoded(base, pinned) for pinned in conditions]
        latent_slots = [base.latent_slot(slot, num_slots) for slot in slots]
        conditions = [at_latents(pinned, latent_slots) for pinned in conditions]
        all_pinned = list(zip(conditions, latents, strict=True))
        conditions, latents = acting(conditions, latents)
        pinned_to = pinned_conditions(conditions, latents, shape[0]) if any(conditions) else None
        inverter = networks.inverter()
        if inversion and inverter is not None and pinned_to is not None:
            with self._computing("inversion"):
                shared = pinned_share if shared is None else shared
                if inverted is None:
                    inverted = share_of_inverted(base.objective.shared, is_shown=network and networks.takes_conditions)
                _replace_noise(base, inverter, noise, conditions, latents, empty_text, steps, shared, inverted)
        skipped = steps - num_steps_of(share, steps)
        if skipped:
            beginnings = torch.stack([interpolated(*pair, shape[0]) for pair in all_pinned])
            noise = begin_between(base.objective, beginnings, noise, num_steps=steps, skipped=skipped)
        if all(prompt == negative_prompt for prompt in prompts):
            guidance = 1.0  # both predictions of guidance would be equal: half the work gives the same result
        pinned_to = pinned_to if network and networks.takes_conditions else None
        keeping = partial(keep_paint, conditions=conditions, latents=latents) if keep and any(conditions) else None
        with self._computing("sampling", conditioned=pinned_to is not None):
            painted = sample(
                _denoiser(networks, conditions, pinned_to),
                base.objective, noise, text, negative_text.repeated(len(prompts)),
                num_steps=steps, skipped=skipped, guidance=guidance, guidance_rescale=guidance_rescale,
                correct=keeping, on_step=on_step,
                on_guess=None if on_guess is None else lambda latents: on_guess(partial(self._decoded, latents, slots)),
            )  # fmt: skip
        return PaintedProcesses(frames=self._decoded(painted, slots), noise=noise.cpu())

    def _decoded(self, latents: Tensor, slots: Sequence[int]) -> Tensor:
        """(N, T, 3, H, W) in [0, 1], on the CPU: the frames in these slots of the painted sequences."""
        with self._computing("decoding"):
            return self.base.decode_sequences(latents)[:, list(slots)].float().cpu()

    def _encoded(self, base: Base, pinned: Sequence[PinnedPicture]) -> Tensor:
        """(K, C, h, w) scaled mean latents, each picture encoded alone."""
        if not pinned:
            return torch.zeros(0)
        pictures = torch.stack([condition.picture for condition in pinned]) * 2 - 1
        mean, _ = base.encode_sequences(pictures[:, None].to(self._execution_device))
        return base.scaled(finite(mean[:, 0], "latents that the VAE makes of the given pictures").float())


def _denoiser(
    networks: PaintingNetworks, conditions: Sequence[Sequence[PinnedPicture]], pinned: Conditions | None
) -> Denoiser:
    """The denoiser; it gets the conditions of those processes that have some.

    Processes without conditions are predicted as if they were painted alone.
    """
    num_processes = len(conditions)
    conditioned_rows = [row for row, pictures in enumerate(conditions) if pictures]
    plain_rows = [row for row, pictures in enumerate(conditions) if not pictures]
    plain, conditioned = networks.denoiser(None), networks.denoiser(pinned)
    if pinned is None or not plain_rows:
        return conditioned

    def denoise(latents: Tensor, timesteps: Tensor, text: Text) -> Tensor:
        first_rows = range(0, len(latents), num_processes)  # guidance predicts all processes twice in one batch
        predicted = torch.empty_like(latents)
        for denoiser, rows in ((conditioned, conditioned_rows), (plain, plain_rows)):
            index = [first_row + row for first_row in first_rows for row in rows]
            predicted[index] = denoiser(latents[index], timesteps[index], text.rows(index))
        return predicted

    return denoise


def _replace_noise(
    base: Base,
    inverter: Denoiser,
    noise: Tensor,
    conditions: Sequence[Sequence[PinnedPicture]],
    latents: Sequence[Tensor],
    empty_text: Text,
    steps: int,
    shared: float,
    inverted: float,
) -> None:
    """Write the noise that conditions invert to, mixed with frames' own noise, into `noise`, in place."""
    pictures = torch.cat([part for part in latents if len(part)])
    inverted_to = torch.cat([
        invert(inverter, base.objective, part, empty_text.repeated(len(part)), num_steps=steps)
        for part in torch.split(pictures, _MOST_INVERTED_AT_ONCE)
    ])  # fmt: skip
    inverted_parts = iter(torch.split(inverted_to, [len(pinned) for pinned in conditions if pinned]))
    for row, pinned in enumerate(conditions):
        if pinned:
            noise[row] = shared_noise(pinned, next(inverted_parts), noise[row], shared, inverted)


def shares_of_noise(trained: float) -> tuple[float, float]:
    """How much noise the frames of a process have in common, and how much they share of what pinned pictures invert to.

    Frames have more noise in common than in training, since they then hardly flicker (docs/decisions/015).

    Args:
        trained: how much noise the frames were trained to share, 0 to 1.
    """
    common_share, pinned_share = _SHARES if trained else _SHARES_IF_UNTRAINED
    return max(common_share, trained), pinned_share


def share_of_inverted(trained: float, *, is_shown: bool) -> float:
    """How much of a given frame's noise is what its picture inverts to: all of it, as published, or less.

    Such noise holds the picture. A denoiser that gets the picture as well counts it twice, and paints it with too
    much contrast (docs/decisions/036).

    Args:
        trained: how much noise the frames were trained to share, 0 to 1. The lower share was measured only on painters
            whose frames share some.
        is_shown: whether the denoiser gets the picture.
    """
    return _INVERTED_SHARE_WITH_NETWORK if is_shown and trained else 1.0
