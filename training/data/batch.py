"""What a step of training gets to see."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class CachedLatents:
    """What `pipelines.encode` stored of a batch, instead of frames.

    Attributes:
        mean, logvar: (B, T, C, h, w) float32: the posterior of the VAE for every frame, not scaled.
        text: (B, L, D) float32 embeddings of the captions.
    """

    mean: "torch.Tensor"
    logvar: "torch.Tensor"
    text: "torch.Tensor"

    def to(self, device: "torch.device | str") -> "CachedLatents":
        """The same on another device."""
        return CachedLatents(mean=self.mean.to(device), logvar=self.logvar.to(device), text=self.text.to(device))


@dataclass(frozen=True, kw_only=True)
class SequenceBatch:
    """One rank's share of a step.

    Attributes:
        keys: (B,) `<folder name>/<sequence key>`.
        positions: (B,) int64 place of each sample in the endless global stream. All randomness of a sample is drawn
            from (seed, position).
        captions: (B,) captions, method phrase included.
        frames: (B, T, 3, H, W) float32 in [-1, 1]; T is 1, the last frame, where a stage reads finished pictures only;
            None when latents are cached.
        latents: None when frames are given.
    """

    keys: tuple[str, ...]
    positions: "torch.Tensor"
    captions: tuple[str, ...]
    frames: "torch.Tensor | None" = None
    latents: CachedLatents | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def to(self, device: "torch.device | str") -> "SequenceBatch":
        """The same on another device; keys and captions stay where they are."""
        return replace(
            self,
            positions=self.positions.to(device),
            frames=None if self.frames is None else self.frames.to(device),
            latents=None if self.latents is None else self.latents.to(device),
        )
