"""Pictures pinned to frames, as latents."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from training.models.conditions import Conditions

_HALFWAY_CYCLES = 5.0  # cycles across the shorter side that frames halfway to the first picture have of it


@dataclass(frozen=True, kw_only=True)
class PinnedPicture:
    """A picture that a frame of a process should be.

    Attributes:
        frame: its index; negative ones count from the end.
        picture: (3, H, W) in [0, 1], of the size of the frames.
        strength: 0 to 1: how strongly the replication network acts, how much of the frame's noise is what the picture
            inverts to, and how far its paint is kept. At 0 a process is painted as if the picture were not given.
    """

    frame: int
    picture: Tensor
    strength: float = 1.0


def acting(
    conditions: Sequence[Sequence[PinnedPicture]], latents: Sequence[Tensor]
) -> tuple[list[list[PinnedPicture]], list[Tensor]]:
    """The conditions without pictures of strength 0.

    Args:
        conditions: (N,) lists of K pictures each.
        latents: (N,) scaled latents of these, (K, C, h, w).

    Returns:
        The conditions and their latents, of fewer pictures.
    """
    acting_indices = [[index for index, condition in enumerate(pinned) if condition.strength] for pinned in conditions]
    pairs = [
        ([pinned[index] for index in indices], encoded[indices])
        for pinned, encoded, indices in zip(conditions, latents, acting_indices, strict=True)
    ]
    return [pinned for pinned, _ in pairs], [encoded for _, encoded in pairs]


def at_latents(pinned: Sequence[PinnedPicture], slots: Sequence[int]) -> list[PinnedPicture]:
    """The same pictures, each pinned to the latent that shows its frame.

    Args:
        pinned: the conditions of one process.
        slots: (T,) index of the latent that shows each frame.

    Raises:
        ValueError: if a frame is out of range.
    """
    num_frames = len(slots)
    for condition in pinned:
        if not -num_frames <= condition.frame < num_frames:
            raise ValueError(f"frame {condition.frame} of {num_frames}; allowed: {-num_frames} to {num_frames - 1}")
    return [replace(condition, frame=slots[condition.frame]) for condition in pinned]


def pinned_conditions(
    conditions: Sequence[Sequence[PinnedPicture]], latents: Sequence[Tensor], num_frames: int
) -> Conditions:
    """The conditions of the processes that have some.

    Args:
        conditions: (N,) lists of K pictures each, pinned to latents (`at_latents`); so in all functions below.
        latents: (N,) scaled latents of these, (K, C, h, w).
        num_frames: S, the number of latents.

    Raises:
        ValueError: if a frame is out of range or named twice, or a strength is out of range.
    """
    parts = [
        Conditions.pinned(encoded, [each.frame for each in pinned], num_frames, [each.strength for each in pinned])
        for pinned, encoded in zip(conditions, latents, strict=True)
        if pinned
    ]
    return Conditions(
        latents=torch.cat([part.latents for part in parts]), mask=torch.cat([part.mask for part in parts])
    )


def interpolated(pinned: Sequence[PinnedPicture], latents: Tensor, num_frames: int) -> Tensor:
    """(T, C, h, w) from (K, C, h, w) latents at some frames: linear in between, constant beyond.

    Raises:
        ValueError: if there are no latents.
    """
    if not pinned:
        raise ValueError("share below 1: a process without conditions has nothing to begin from")
    return torch.einsum("kt,kchw->tchw", _weights(pinned, num_frames).to(latents), latents)


def shared_noise(
    pinned: Sequence[PinnedPicture], inverted: Tensor, own: Tensor, share: float, share_of_inverted: float = 1.0
) -> Tensor:
    """The noise that a process begins from: at pinned frames the noise that they invert to, at the others a mixture.

    Each frame begins from inverted noise with a weight, the share, and from its own noise with the weight
    sqrt(1 - share²). The two are independent, so the mixture has variance 1 too. The share is multiplied by a picture's
    strength; at frames without a picture, by the strengths interpolated between the pictures beside them.

    Noise that a picture inverts to holds the picture. Where only the pinned frame begins from it, as published, the
    other frames agree on a composition of their own (docs/decisions/015). Frames before the first picture take over its
    coarse shapes first, then finer ones, so that they begin as a blank canvas, and block in before they draw. (Fresh
    noise above a frequency is FreeInit's, Wu et al. 2024.)

    Args:
        pinned: K pictures, at least one.
        inverted: (K, C, h, w) the noise that they invert to.
        own: (T, C, h, w) the frames' own noise.
        share: 0 to 1, weight at unpinned frames of the noise that the pictures beside them invert to; 0 leaves these
            frames their own noise.
        share_of_inverted: 0 to 1, weight of the inverted noise at pinned frames; it also scales `share`.
    """
    # Sorted, since the rounding of sums depends on their order.
    order = sorted(range(len(pinned)), key=lambda index: pinned[index].frame % len(own))
    slots, strengths = ([getattr(pinned[index], key) for index in order] for key in ("frame", "strength"))
    slots = [slot % len(own) for slot in slots]
    weights = _weights(pinned, len(own)).to(own)[order] * torch.tensor(strengths).to(own)[:, None]
    common = torch.einsum("kt,kchw->tchw", weights / _standard_deviations(weights, inverted[order]), inverted[order])
    first = slots[0]
    shares = torch.full((len(own), 1, *own.shape[-2:]), share * share_of_inverted).to(own)
    shares *= torch.tensor(np.interp(np.arange(len(own)), slots, strengths)).to(own)[:, None, None, None]
    shares[:first] *= _low_frequencies(first, *own.shape[-2:])[:, None].to(own)
    change = shares * torch.fft.fft2(common) + ((1 - shares.square()).sqrt() - 1) * torch.fft.fft2(own)
    mixed: Tensor = own + torch.fft.ifft2(change).real  # exactly their own noise where nothing is shared
    weight = torch.tensor([condition.strength * share_of_inverted for condition in pinned]).to(own)[:, None, None, None]
    frames = [condition.frame for condition in pinned]
    mixed[frames] = weight * inverted + (1 - weight.square()).sqrt() * own[frames]
    return mixed


def _standard_deviations(weights: Tensor, noises: Tensor) -> Tensor:
    """(T,) standard deviations of sums of K noises (K, C, h, w) of variance 1, weighted by (K, T).

    The noises may be correlated, as similar pictures invert to similar noise.
    """
    directions = functional.normalize(noises.flatten(1))
    correlations = directions @ directions.T
    return torch.einsum("kt,kl,lt->t", weights, correlations, weights).clamp_min(1e-24).sqrt()


def _low_frequencies(first: int, height: int, width: int) -> Tensor:
    """(F, h, w) how much of each frequency of the first picture the F frames before it have: a bell that gets wider."""
    side = min(height, width)
    down, across = (torch.fft.fftfreq(cells) * side for cells in (height, width))
    squared = down[:, None].square() + across[None].square()
    frames = torch.arange(first, dtype=torch.float32)
    widths = _HALFWAY_CYCLES * frames / (first - frames)
    bells = torch.exp(-squared / (2 * widths.clamp_min(1e-6).square())[:, None, None])
    return bells * (frames > 0)[:, None, None]


def _weights(pinned: Sequence[PinnedPicture], num_frames: int) -> Tensor:
    """(K, T) weight of each picture at each frame: linear between neighbours, constant beyond the outermost."""
    slots = [condition.frame % num_frames for condition in pinned]
    order = np.argsort(slots)
    rows = [np.interp(np.arange(num_frames), np.sort(slots), row[order]) for row in np.eye(len(slots))]
    return torch.tensor(np.array(rows))
