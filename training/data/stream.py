"""The endless stream of batches that training reads from shards."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Self

from training.data.batch import SequenceBatch


@dataclass(frozen=True, kw_only=True)
class DataMixture:
    """One data set of a mixture: its folder or fsspec URL, and its share of the stream in relation to the others."""

    path: str
    weight: float = 1.0


class SequenceStream:
    """Sequences of one or several data sets in an order that is a pure function of (seed, position)."""

    num_frames: int  # of what it yields: 1 with frames="last"
    size_px: tuple[int, int]  # (height, width) of the frames, or of the frames that were encoded
    encoded: bool  # latents instead of frames

    @classmethod
    def open(
        cls,
        data: Sequence[DataMixture],
        *,
        split: Literal["train", "val"] = "train",
        frames: Literal["all", "last"] = "all",
        num_frames: int | None = None,
        size_px: tuple[int, int] | None = None,
        captions_required: bool = True,
        base_fingerprint: str | None = None,
    ) -> Self:
        """Check everything that can be checked without reading the shards.

        Raises:
            UserError: in one line.
        """
        raise NotImplementedError

    def __len__(self) -> int:
        """Samples an epoch: the sequences of all data sets."""
        raise NotImplementedError

    @property
    def manifest_hashes(self) -> dict[str, str]:
        """Folder name -> hash of the data set's manifests, for run.json."""
        raise NotImplementedError

    def batches(
        self,
        *,
        seed: int,
        batch_size: int,
        start: int = 0,
        rank: int = 0,
        world_size: int = 1,
        num_workers: int = 0,
    ) -> "Batches":
        """Endless batches from global position `start` on.

        Raises:
            UserError: if there are fewer sequences than a step takes.
        """
        raise NotImplementedError


class Batches(Iterator[SequenceBatch]):
    """An iterator that can be closed, also by `with`; closing it ends its workers. UserError on damage."""

    def close(self) -> None:
        """End the workers."""
