"""The batch of a training step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from training.data.text import Text

Tokenise = Callable[[Sequence[str]], "torch.Tensor"]
"""(B,) captions -> (B, L) int64 token ids."""


@dataclass(frozen=True, kw_only=True)
class CachedLatents:
    """Latents and embeddings that `pipelines.encode` stored for a batch, instead of frames.

    Attributes:
        mean, logvar: (B, S, C, h, w) float32: the posterior of the codec, not scaled; S is T if the codec encodes each
            frame alone.
        text: float32 embeddings of the captions.
    """

    mean: "torch.Tensor"
    logvar: "torch.Tensor"
    text: "Text"

    def moved(self, move: "Callable[[torch.Tensor], torch.Tensor]") -> "CachedLatents":
        """The same with each tensor moved."""
        return CachedLatents(mean=move(self.mean), logvar=move(self.logvar), text=self.text.changed(move))


@dataclass(frozen=True, kw_only=True)
class SequenceBatch:
    """The samples of one rank in a step.

    Attributes:
        keys: (B,) `<folder name>/<sequence key>`.
        positions: (B,) int64 place of each sample in the endless global stream. All randomness of a sample is drawn
            from (seed, position).
        captions: (B,) captions, method phrase included.
        token_ids: (B, L) int64 token ids of the captions; None unless readers were given a tokeniser.
        frames: (B, T, 3, H, W) float32 in [-1, 1]; T is 1, the last frame, if a stage reads finished pictures only;
            None if latents are cached. On their way to a GPU (`as_bytes`) they are uint8.
        latents: cached latents; None if there are frames.
    """

    keys: tuple[str, ...]
    positions: "torch.Tensor"
    captions: tuple[str, ...]
    token_ids: "torch.Tensor | None" = None
    frames: "torch.Tensor | None" = None
    latents: CachedLatents | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def first(self, number: int) -> "SequenceBatch":
        """The first `number` samples."""
        part = self.moved(lambda tensor: tensor[:number])
        return replace(part, keys=self.keys[:number], captions=self.captions[:number])

    def to(self, device: "torch.device | str") -> "SequenceBatch":
        """The same on another device; keys and captions stay where they are."""
        return self.moved(lambda tensor: tensor.to(device))

    def tokenised(self, tokenise: Tokenise) -> "torch.Tensor":
        """(B, L) token ids of the captions: those of the readers, or computed here."""
        return tokenise(self.captions).to(self.positions.device) if self.token_ids is None else self.token_ids

    def moved(self, move: "Callable[[torch.Tensor], torch.Tensor]") -> "SequenceBatch":
        """The same with each tensor moved."""
        return replace(
            self,
            positions=move(self.positions),
            token_ids=None if self.token_ids is None else move(self.token_ids),
            frames=None if self.frames is None else move(self.frames),
            latents=None if self.latents is None else self.latents.moved(move),
        )
