"""Pictures pinned to frames, as latents."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from training.models.conditions import Conditions

_BLOCKED_IN = 5.0  # cycles across the shorter side that are there halfway to the first picture


@dataclass(frozen=True, kw_only=True)
class PinnedPicture:
    """A picture that a frame of a process should be.

    Attributes:
        frame: its index; negative ones count from the end.
        picture: (3, H, W) in [0, 1], of the size of the frames.
        strength: 0 to 1, of the replication network's hold on it, of how much of its frame's noise is what it inverts
            to, and of how far its paint stays; at 0 a process is painted as if the picture were not there.
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
        The same of fewer pictures.
    """
    numbers_of_acting = [[number for number, one in enumerate(pinned) if one.strength] for pinned in conditions]
    pairs = [
        ([pinned[number] for number in numbers], encoded[numbers])
        for pinned, encoded, numbers in zip(conditions, latents, numbers_of_acting, strict=True)
    ]
    return [pinned for pinned, _ in pairs], [encoded for _, encoded in pairs]


def at_latents(
    pinned: Sequence[PinnedPicture], num_frames: int, slot_of: Callable[[int, int], int]
) -> list[PinnedPicture]:
    """The same pictures, each at the latent that shows its frame.

    Args:
        pinned: of a process.
        num_frames: T.
        slot_of: (frame, T) -> latent.

    Raises:
        ValueError: if a frame is out of range.
    """
    for one in pinned:
        if not -num_frames <= one.frame < num_frames:
            raise ValueError(f"frame {one.frame} of {num_frames}; allowed: {-num_frames} to {num_frames - 1}")
    return [replace(one, frame=slot_of(one.frame % num_frames, num_frames)) for one in pinned]


def pinned_conditions(
    conditions: Sequence[Sequence[PinnedPicture]], latents: Sequence[Tensor], num_frames: int
) -> Conditions:
    """The conditions of the processes that have some.

    Args:
        conditions: (N,) lists of K pictures each, at latents (`at_latents`), as in all that follows.
        latents: (N,) scaled latents of these, (K, C, h, w).
        num_frames: S, of latents.

    Raises:
        ValueError: if a frame is out of range or named twice, or a strength is out of range.
    """
    parts = [
        Conditions.pinned(encoded, [one.frame for one in pinned], num_frames, [one.strength for one in pinned])
        for pinned, encoded in zip(conditions, latents, strict=True)
        if pinned
    ]
    return Conditions(
        latents=torch.cat([part.latents for part in parts]), mask=torch.cat([part.mask for part in parts])
    )


def interpolated(pinned: Sequence[PinnedPicture], latents: Tensor, num_frames: int) -> Tensor:
    """(T, C, h, w) from (K, C, h, w) latents at some frames: linear in between, constant beyond.

    Raises:
        ValueError: if there are none.
    """
    if not pinned:
        raise ValueError("share below 1: a process without conditions has nothing to begin from")
    return torch.einsum("kt,kchw->tchw", _weights(pinned, num_frames).to(latents), latents)


def shared_noise(
    pinned: Sequence[PinnedPicture], inverted: Tensor, own: Tensor, share: float, share_of_inverted: float = 1.0
) -> Tensor:
    """The noise that a process begins from: at pinned frames what they invert to, at the others a mixture.

    What a frame begins from is a share of what pictures invert to, and of its own noise as much that the squares of
    both sum to 1: the two know nothing of each other, so the mixture is noise of variance 1 too. A picture's strength
    counts in that share, at other frames by the strengths beside them.

    Noise that a picture inverts to holds the picture. Where only the pinned frame begins from it, as published, the
    other frames agree on a composition of their own (docs/decisions/015). Frames before the first picture take over its
    coarse shapes first, then finer ones: so that they begin as a blank canvas, and block in before they draw. (Fresh
    noise above a frequency is FreeInit's, Wu et al. 2024.)

    Args:
        pinned: K pictures, at least one.
        inverted: (K, C, h, w) what they invert to.
        own: (T, C, h, w) noise of theirs.
        share: 0 to 1, of the variance's root that unpinned frames have in common with their neighbours; 0 leaves
            them their own noise.
        share_of_inverted: 0 to 1, of the variance's root that pinned frames take from what their pictures invert to.
    """
    order = sorted(range(len(pinned)), key=lambda number: pinned[number].frame % len(own))  # sums round by their order
    slots, strengths = ([getattr(pinned[number], key) for number in order] for key in ("frame", "strength"))
    slots = [slot % len(own) for slot in slots]
    weights = _weights(pinned, len(own)).to(own)[order] * torch.tensor(strengths).to(own)[:, None]
    common = torch.einsum("kt,kchw->tchw", weights / _root_of_variance(weights, inverted[order]), inverted[order])
    first = slots[0]
    shares = torch.full((len(own), 1, *own.shape[-2:]), share * share_of_inverted).to(own)
    shares *= torch.tensor(np.interp(np.arange(len(own)), slots, strengths)).to(own)[:, None, None, None]
    shares[:first] *= _coarse(first, *own.shape[-2:])[:, None].to(own)
    change = shares * torch.fft.fft2(common) + ((1 - shares.square()).sqrt() - 1) * torch.fft.fft2(own)
    begun: Tensor = own + torch.fft.ifft2(change).real  # exactly their own where nothing is shared
    taken = torch.tensor([one.strength * share_of_inverted for one in pinned]).to(own)[:, None, None, None]
    frames = [one.frame for one in pinned]
    begun[frames] = taken * inverted + (1 - taken.square()).sqrt() * own[frames]
    return begun


def _root_of_variance(weights: Tensor, noises: Tensor) -> Tensor:
    """(T,) of sums of K noises (K, C, h, w) of variance 1, weighed by (K, T); like pictures invert to like noise."""
    directions = functional.normalize(noises.flatten(1))
    alike = directions @ directions.T
    return torch.einsum("kt,kl,lt->t", weights, alike, weights).clamp_min(1e-24).sqrt()


def _coarse(first: int, height: int, width: int) -> Tensor:
    """(F, h, w) how much of each frequency the frames before the first picture have of it: a bell that gets wider."""
    side = min(height, width)
    down, across = (torch.fft.fftfreq(cells) * side for cells in (height, width))
    squared = down[:, None].square() + across[None].square()
    frames = torch.arange(first, dtype=torch.float32)
    widths = _BLOCKED_IN * frames / (first - frames)
    bells = torch.exp(-squared / (2 * widths.clamp_min(1e-6).square())[:, None, None])
    return bells * (frames > 0)[:, None, None]


def _weights(pinned: Sequence[PinnedPicture], num_frames: int) -> Tensor:
    """(K, T) how much each picture counts at each frame: linear between neighbours, constant beyond the outermost."""
    slots = [one.frame % num_frames for one in pinned]
    order = np.argsort(slots)
    rows = [np.interp(np.arange(num_frames), np.sort(slots), row[order]) for row in np.eye(len(slots))]
    return torch.tensor(np.array(rows))
