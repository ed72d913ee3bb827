"""What a run will make: which picture, renderer and seed becomes which sequence, in which shard. Pure and cheap.

The plan depends on the configuration and the source alone, never on how many workers there are or what has been done.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipelines.sources.source import SourceEntry
from training.data.layout import SPLITS, sequence_key, shard_name

_LEAST_SHARD, _MOST_SHARD, _SHARDS_WANTED = 4, 256, 32


@dataclass(frozen=True, kw_only=True)
class PlannedSequence:
    """One sequence to make: its index in the whole run, its key, its picture, and which of the run's renderers."""

    index: int
    key: str
    entry: SourceEntry
    renderer: int


@dataclass(frozen=True, kw_only=True)
class ShardPlan:
    """One shard to make."""

    name: str
    split: str
    first_index: int
    sequences: tuple[PlannedSequence, ...]


@dataclass(frozen=True)
class Plan:
    """All shards of a run.

    Attributes:
        entries: pictures of the source, in its order.
        pictures, renderers: (N,) for each sequence the number of its picture and of its renderer.
        shard_size: sequences a shard.
        val_fraction: share of pictures in the `val` split.
    """

    entries: Sequence[SourceEntry]
    pictures: NDArray[np.int64]
    renderers: NDArray[np.int64]
    shard_size: int
    val_fraction: float

    @property
    def num_sequences(self) -> int:
        """Sequences in all."""
        return len(self.pictures)

    @cached_property
    def split_indices(self) -> dict[str, NDArray[np.int64]]:
        """Indices of the sequences in each split. A picture is wholly in one, by its hash."""
        held_out = np.array([in_val(entry.sha256, self.val_fraction) for entry in self.entries], bool)
        mask = held_out[self.pictures]
        return {"train": np.flatnonzero(~mask), "val": np.flatnonzero(mask)}

    @cached_property
    def shard_names(self) -> tuple[str, ...]:
        """Names of all shards, in the order in which they are rendered."""
        return tuple(
            shard_name(split, number, count)
            for split in SPLITS
            for count in [self._num_shards(split)]
            for number in range(count)
        )

    def shards(self) -> Iterator[ShardPlan]:
        """The shards, in the order of `shard_names`."""
        for split in SPLITS:
            indices, count = self.split_indices[split], self._num_shards(split)
            for number in range(count):
                first = number * self.shard_size
                chosen = indices[first : first + self.shard_size]
                yield ShardPlan(
                    name=shard_name(split, number, count),
                    split=split,
                    first_index=first,
                    sequences=tuple(self._sequence(int(index)) for index in chosen),
                )

    def fingerprint(self) -> str:
        """Hash of all pictures, captions and licences: another source, another plan."""
        digest = hashlib.sha256()
        for entry in self.entries:
            depth = () if entry.depth_sha256 is None else (entry.depth_sha256,)
            digest.update(repr((entry.id, entry.sha256, entry.caption, entry.licence, *depth)).encode())
        return digest.hexdigest()

    def _num_shards(self, split: str) -> int:
        return -(-len(self.split_indices[split]) // self.shard_size)

    def _sequence(self, index: int) -> PlannedSequence:
        return PlannedSequence(
            index=index,
            key=sequence_key(index),
            entry=self.entries[self.pictures[index]],
            renderer=int(self.renderers[index]),
        )


def make_plan(
    entries: Sequence[SourceEntry],
    weights: Sequence[float],
    num_sequences: int | None,
    shard_size: int | None,
    val_fraction: float,
) -> Plan:
    """Deal pictures and renderers to sequences.

    Without a number, every picture is painted once by every renderer. With one, pictures are taken in order, again from
    the first when they run out, and renderers are dealt by weight.
    """
    if num_sequences is None:
        num_sequences = len(entries) * len(weights)
        pictures = np.arange(num_sequences) // len(weights)
        renderers = np.arange(num_sequences) % len(weights)
    else:
        rounds, pictures = np.divmod(np.arange(num_sequences), len(entries))
        # A picture's own turns are consecutive ones of the deal: however many pictures there are, one that comes again
        # meets the other renderers in their shares.
        turns = pictures + rounds
        renderers = deal(weights, int(turns.max()) + 1)[turns]
    size = shard_size or min(_MOST_SHARD, max(_LEAST_SHARD, -(-num_sequences // _SHARDS_WANTED)))
    return Plan(entries, pictures, renderers, size, val_fraction)


def deal(weights: Sequence[float], count: int) -> NDArray[np.int64]:
    """Deal `count` turns by weight, so that at any moment each share is met to within one turn.

    A turn goes to the one who must have it soonest, among those who are due one: earliest deadline first, which keeps
    this promise whatever the weights (proportionate fairness). To serve whoever is furthest behind does not: with many
    uneven weights somebody falls more than a turn behind.

    Args:
        weights: all above 0.
        count: how many turns.
    """
    share = np.asarray(weights, float) / np.sum(weights)
    if len(share) == 1:
        return np.zeros(count, np.int64)
    had, turns = np.zeros(len(share)), np.empty(count, np.int64)
    for turn in range(count):
        due = share * (turn + 1) > had
        turns[turn] = np.argmin(np.where(due, (had + 1) / share, np.inf))
        had[turns[turn]] += 1
    return turns


def in_val(sha256: str, val_fraction: float) -> bool:
    """Whether a picture of this hash is held out."""
    return int(sha256[:13], 16) / 16**13 < val_fraction
