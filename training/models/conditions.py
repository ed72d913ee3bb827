"""Pictures pinned to frames, as latents: the input of a network that sees conditions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Pictures pinned to frames.

    Latents and mask are both multiplied by the strength. The network's first layer is linear in them, so the strength
    of a single condition interpolates linearly between no condition, at 0, and the full one, at 1.

    Attributes:
        latents: (B, T, C, h, w) scaled mean latents of the pictures, times strength; zeros at all other frames.
        mask: (B, T) strengths, 0 to 1.
    """

    latents: Tensor
    mask: Tensor

    @classmethod
    def among(cls, latents: Tensor, strengths: Tensor) -> Self:
        """Conditions that are frames of the sequences themselves, at their own places.

        Args:
            latents: (B, T, C, h, w) of whole sequences.
            strengths: (B, T), 0 for frames that are not conditions.
        """
        return cls(latents=latents * strengths[:, :, None, None, None], mask=strengths)

    @classmethod
    def pinned(
        cls, pictures: Tensor, frames: Sequence[int], num_frames: int, strengths: Sequence[float] | None = None
    ) -> Self:
        """Conditions for one sequence, given in any order.

        Args:
            pictures: (K, C, h, w) scaled latents.
            frames: (K,) frame of each; negative ones count from the end.
            num_frames: T.
            strengths: (K,) strength of each, 0 to 1; 1 by default.

        Raises:
            ValueError: if a frame is out of range or named twice, a strength is out of range, or counts differ.
        """
        strengths = [1.0] * len(frames) if strengths is None else strengths
        if not len(pictures) == len(frames) == len(strengths):
            raise ValueError(f"{len(pictures)} pictures, {len(frames)} frames, {len(strengths)} strengths")
        for frame, strength in zip(frames, strengths, strict=True):
            if not -num_frames <= frame < num_frames:
                raise ValueError(f"frame {frame} of {num_frames}; allowed: {-num_frames} to {num_frames - 1}")
            if not 0 <= strength <= 1:
                raise ValueError(f"strength {strength} of frame {frame}; allowed: 0 to 1")
        slots = [frame % num_frames for frame in frames]
        if len(set(slots)) < len(slots):
            raise ValueError(f"frames {list(frames)} of {num_frames}: one of them is named twice")
        latents = pictures.new_zeros(1, num_frames, *pictures.shape[1:])
        mask = pictures.new_zeros(1, num_frames)
        for slot, picture, strength in sorted(zip(slots, pictures, strengths, strict=True), key=lambda item: item[0]):
            latents[0, slot], mask[0, slot] = strength * picture, strength
        return cls(latents=latents, mask=mask)

    def carried(self) -> Tensor:
        """(B, T, 2C, h, w): at each frame the latest condition up to it, and the first one from it on.

        At a frame with a condition both are that one; if there is none on a side, that half is zeros.
        """
        before = _carried_on(self.latents, self.mask)
        after = _carried_on(self.latents.flip(1), self.mask.flip(1)).flip(1)
        return torch.cat([before, after], dim=2)

    def repeated(self, batch_size: int) -> "Conditions":
        """The conditions repeated for `batch_size` sequences: with guidance each sequence is predicted twice."""
        times = batch_size // len(self.mask)
        return Conditions(latents=self.latents.repeat(times, 1, 1, 1, 1), mask=self.mask.repeat(times, 1))


def _carried_on(latents: Tensor, mask: Tensor) -> Tensor:
    """Latents (B, T, C, h, w) at frames where the mask (B, T) is not 0, each repeated until the next such frame."""
    frames = torch.arange(mask.shape[1], device=mask.device).expand_as(mask)
    latest = frames.where(mask > 0, -1).cummax(dim=1).values
    carried = latents.take_along_dim(latest.clamp_min(0)[:, :, None, None, None], dim=1)
    return carried * (latest >= 0)[:, :, None, None, None]
