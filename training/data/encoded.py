"""Sequences as a base model sees them: latents instead of frames, embeddings instead of words.

A data set of these is like any other: a sequence keeps its key, caption and facts, and has `latents.safetensors` in
place of its frames. Embeddings are in a split of their own, `text`, one for each distinct caption: its sequences are
captions, whose keys are their hashes, in ascending order.
"""

import itertools
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from conf.compose import typed
from conf.errors import UserError
from training.data.dataset import DatasetCard
from training.data.sequence import StoredSequence
from training.data.split import StoredSplit, caption_digest

if TYPE_CHECKING:
    from torch import Tensor

LatentType = Literal["bf16", "fp32"]

LATENTS_MEMBER = "latents.safetensors"
TEXT_MEMBER = "text.safetensors"


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """What an encoded data set was made from, and with which base: `encoding` in the recipe of its card.

    Attributes:
        base: fingerprint of the base model.
        dtype: type of the stored numbers.
        size_px: (height, width) of the frames.
        source: configuration hash of the data set of frames.
        manifests: split -> hash of its manifests in that data set.
        num_latents: S of a sequence's latents; None if there is one for each frame.
    """

    base: str
    dtype: LatentType
    size_px: tuple[int, int]
    source: str
    manifests: dict[str, str]
    num_latents: int | None = None

    def recipe(self) -> dict[str, Any]:
        """The recipe of the encoded data set."""
        return {"encoding": {key: value for key, value in asdict(self).items() if value is not None}}


def encoding_of(card: DatasetCard) -> Encoding | None:
    """How a data set was encoded; None if it holds frames."""
    return typed(Encoding, card.recipe["encoding"], "encoding") if "encoding" in card.recipe else None


def caption_key(caption: str) -> str:
    """Key of a caption in the split of embeddings: half of its SHA-256, in hex."""
    return caption_digest(caption).hex()


def pack(tensors: "dict[str, Tensor]", dtype: LatentType) -> bytes:
    """Tensors as the bytes of a safetensors file."""
    import torch
    from safetensors.torch import save

    kind = {"bf16": torch.bfloat16, "fp32": torch.float32}[dtype]
    return save({name: tensor.to("cpu", kind).contiguous() for name, tensor in tensors.items()})


def latents_of(sequence: StoredSequence) -> "tuple[Tensor, Tensor]":
    """Mean and logarithm of the variance (S, C, h, w), as stored.

    Raises:
        ValueError: if the sequence holds none.
    """
    tensors = _unpack(sequence, LATENTS_MEMBER)
    if set(tensors) != {"mean", "logvar"}:
        raise ValueError(f"sequence {sequence.key}: {LATENTS_MEMBER} holds {', '.join(tensors)}, not mean, logvar")
    return tensors["mean"], tensors["logvar"]


def embedding_of(sequence: StoredSequence) -> "dict[str, Tensor]":
    """The embedding of a caption, as stored: tensors by name, such as `text` (L, D).

    Raises:
        ValueError: if it holds none.
    """
    return _unpack(sequence, TEXT_MEMBER)


def caption_indices(texts: StoredSplit, split: StoredSplit) -> NDArray[np.int64]:
    """(N,) number of each sequence's caption in the split of embeddings.

    Raises:
        UserError: if one has no embedding.
    """
    digests, caption_of = np.unique(split.captions, return_inverse=True)
    keys = np.array([digest.ljust(16, b"\0").hex() for digest in digests.tolist()], np.bytes_)  # numpy strips zeros
    indices = np.minimum(np.searchsorted(texts.keys, keys), len(texts) - 1)
    is_missing = (texts.keys[indices] != keys)[caption_of]
    if is_missing.any():
        caption = next(itertools.compress(split.records(), is_missing))["caption"] or ""
        raise UserError(f"{texts.url}: {is_missing.sum()} captions have no embedding, first '{caption}'")
    return np.asarray(indices[caption_of], np.int64)


def _unpack(sequence: StoredSequence, member: str) -> "dict[str, Tensor]":
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(sequence.members.get(member, b""))
    except SafetensorError as error:
        raise ValueError(f"sequence {sequence.key}: {member} is missing or damaged") from error
    if not tensors:
        raise ValueError(f"sequence {sequence.key}: {member} holds nothing")
    return tensors
