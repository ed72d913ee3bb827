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
        strength: 0 to 1, of the replication network's hold on it.
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
    slots = [one.frame % num_frames for one in pinned]
    order = np.argsort(slots)
    weights = [np.interp(np.arange(num_frames), np.sort(slots), row[order]) for row in np.eye(len(slots))]
    return torch.einsum("kt,kchw->tchw", torch.tensor(np.array(weights)).to(latents), latents)
