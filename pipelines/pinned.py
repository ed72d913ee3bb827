"""Pictures pinned to frames, as latents."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.models.replication import Conditions


@dataclass(frozen=True, kw_only=True)
class PinnedPicture:
    """A picture that a frame of a process should be.

    Attributes:
        frame: its index; negative ones count from the end.
        picture: (3, H, W) in [0, 1], of the size of the frames.
        strength: 0 to 1, of the replication network's hold on it, and of how far its paint stays.
    """

    frame: int
    picture: Tensor
    strength: float = 1.0


def pinned_conditions(
    conditions: Sequence[Sequence[PinnedPicture]], latents: Sequence[Tensor], num_frames: int
) -> Conditions:
    """The conditions of the processes that have some.

    Args:
        conditions: (N,) lists of K pictures each.
        latents: (N,) scaled latents of these, (K, C, h, w).
        num_frames: T.

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


def shared_noise(pinned: Sequence[PinnedPicture], inverted: Tensor, own: Tensor, share: float) -> Tensor:
    """The noise that a process begins from: at pinned frames what they invert to, at the others a mixture.

    Noise that a picture inverts to holds its composition. Where only the pinned frame begins from it, as published, the
    other frames agree on a composition of their own (docs/decisions/015).

    Args:
        pinned: K pictures, at least one.
        inverted: (K, C, h, w) what they invert to.
        own: (T, C, h, w) noise of theirs.
        share: 0 to 1, of the variance's root that unpinned frames have in common with their neighbours; 0 leaves
            them their own noise.
    """
    order = sorted(range(len(pinned)), key=lambda number: pinned[number].frame % len(own))  # sums round by their order
    weights = _weights(pinned, len(own)).to(own)[order]
    common = torch.einsum("kt,kchw->tchw", weights / weights.norm(dim=0), inverted[order])
    shares = torch.full((len(own), 1, 1, 1), share).to(own)
    shares[[one.frame for one in pinned]] = 1
    return shares * common + (1 - shares.square()).sqrt() * own


def _weights(pinned: Sequence[PinnedPicture], num_frames: int) -> Tensor:
    """(K, T) how much each picture counts at each frame: linear between neighbours, constant beyond the outermost."""
    slots = [one.frame % num_frames for one in pinned]
    order = np.argsort(slots)
    rows = [np.interp(np.arange(num_frames), np.sort(slots), row[order]) for row in np.eye(len(slots))]
    return torch.tensor(np.array(rows))
