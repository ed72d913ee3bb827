"""One data set of a stream, checked before any work is done."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from conf.errors import UserError
from training.data.encoded import caption_indices, embedding_of, encoding_of, latents_of
from training.data.layout import TEXT_SPLIT
from training.data.sequence import StoredSequence
from training.data.split import StoredSplit, caption_digest, open_split

if TYPE_CHECKING:
    from torch import Tensor

    from training.data.shard_cache import OpenShards

FramePick = Literal["all", "last"]
"""Whole sequences, or one picture of each: the finished one, unless `SequenceStream.unfinished` says otherwise."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StreamSource:
    """Sequences of frames, or of latents with the embeddings of their captions.

    Attributes:
        split: the sequences.
        num_frames, size_px: T and (height, width) of all sequences.
        latent_shape, text_shapes: if encoded, (S, C, h, w), and the shape of each tensor of an embedding.
        texts, text_of: if encoded, the embeddings, and (N,) the number of each sequence's embedding.
    """

    split: StoredSplit
    num_frames: int
    size_px: tuple[int, int]
    latent_shape: tuple[int, ...] | None = None
    text_shapes: Mapping[str, tuple[int, ...]] | None = None
    texts: StoredSplit | None = None
    text_of: NDArray[np.int64] | None = None

    @property
    def shapes(self) -> dict[str, Any]:
        """Values, by name, that must be equal in all data sets of a mixture."""
        return {
            "frames a sequence": self.num_frames,
            "size (height, width)": self.size_px,
            "latents": self.latent_shape,
            "text embeddings": self.text_shapes,
        }

    def decode(self, sequence: StoredSequence, frames: slice, out: "Tensor") -> None:
        """Write some of the T frames into (S, 3, H, W) uint8.

        Raises:
            UserError: if they are damaged, or of another count or size than the rest of the data set.
        """
        with self._naming_damage():
            if sequence.num_frames != self.num_frames:
                raise ValueError(f"sequence {sequence.key}: {sequence.num_frames} frames, not {self.num_frames}")
            for place, number in enumerate(range(self.num_frames)[frames]):
                frame = sequence.frame(number)
                if frame.shape[:2] != self.size_px:
                    raise ValueError(f"sequence {sequence.key}: frames of {frame.shape[:2]} px, not {self.size_px}")
                cv2.split(frame, list(out[place].numpy()))

    def latents(
        self,
        sequences: Sequence[StoredSequence],
        indices: Sequence[int],
        frames: Sequence[slice],
        whole: "OpenShards | None" = None,
    ) -> "list[tuple[Tensor, Tensor, dict[str, Tensor]]]":
        """Mean, logarithm of variance, and embedding of each sequence; each distinct embedding is read once.

        Args:
            sequences, indices: sequences that were read, and their numbers in the split.
            frames: which latents of each are taken.
            whole: shards that are fetched whole, to read embeddings from.

        Raises:
            UserError: if they are damaged, or the storage fails.
        """
        assert self.texts is not None and self.text_of is not None
        text_indices = [int(self.text_of[index]) for index in indices]
        distinct = sorted(set(text_indices))
        texts = dict(zip(distinct, self.texts.read(distinct, whole), strict=True))
        samples = []
        with self._naming_damage():
            for sequence, text, taken in zip(sequences, text_indices, frames, strict=True):
                mean, logvar = latents_of(sequence)
                embedding = embedding_of(texts[text])
                if mean.shape != self.latent_shape or _shapes(embedding) != self.text_shapes:
                    raise ValueError(f"sequence {sequence.key}: latents of another shape than the others'")
                samples.append((mean[taken], logvar[taken], embedding))
        return samples

    @contextmanager
    def _naming_damage(self) -> Iterator[None]:
        with naming_damage(self.split.url):
            yield


@contextmanager
def naming_damage(url: str) -> Iterator[None]:
    """Turn damage of a sequence into one line that names the data set.

    Raises:
        UserError: in place of a ValueError.
    """
    try:
        yield
    except ValueError as error:
        raise UserError(f"{url}: {error}") from error


def open_source(url: str, split: str, *, captions_required: bool, base_fingerprint: str | None) -> StreamSource:
    """Open a data set, and check its manifests and its first sequence.

    Raises:
        UserError: as `open_split`; if captions are missing, frame counts differ, or it was encoded with another base.
    """
    stored_split = open_split(url, split)
    uncaptioned = np.flatnonzero(stored_split.captions == caption_digest(""))
    if captions_required and len(uncaptioned):
        first_key = stored_split.key(uncaptioned[0])
        raise UserError(
            f"{url}: {len(uncaptioned)} of {len(stored_split)} sequences have no caption, first {first_key}"
        )
    (first,) = stored_split.read([0])
    with naming_damage(url):
        num_frames = first.num_frames
    for index in np.flatnonzero(stored_split.num_frames != num_frames)[:1]:
        count = stored_split.num_frames[index]
        raise UserError(f"{url}: sequence {stored_split.key(index)} has {count} frames, others {num_frames}")
    with naming_damage(url):
        height_px, width_px = first.facts["size_px"]
    size_px = (int(height_px), int(width_px))
    encoding = encoding_of(stored_split.card)
    if encoding is None:
        return StreamSource(split=stored_split, num_frames=num_frames, size_px=size_px)
    if base_fingerprint not in (None, encoding.base):
        raise UserError(f"{url}: encoded with another base model than this run's; run pipelines.encode with that one")
    texts = open_split(url, TEXT_SPLIT)
    with naming_damage(url):
        mean, _ = latents_of(first)
        embedding = embedding_of(texts.read([0])[0])
    return StreamSource(
        split=stored_split,
        num_frames=num_frames,
        size_px=size_px,
        latent_shape=(encoding.num_latents or num_frames, *mean.shape[1:]),
        text_shapes=_shapes(embedding),
        texts=texts,
        text_of=caption_indices(texts, stored_split),
    )


def _shapes(tensors: "Mapping[str, Tensor]") -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}
