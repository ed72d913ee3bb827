"""What a run will make: which picture, renderer and seed becomes which sequence, in which shard. Pure and cheap.

The plan depends on the configuration and the source alone, never on the number of workers or on what is done already.
Sequences are computed when their shard is asked for, so memory holds only one bit per picture (whether it is in the
`val` split) and, if renderers are dealt by weight, two bytes per turn.
"""

import hashlib
import math
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from conf.errors import UserError
from pipelines.sources.source import ComputedPictures, SourceEntry
from training.data.layout import MOST_SEQUENCES, SPLITS, sequence_key, shard_names
from training.data.order import summable

_LEAST_SHARD, _MOST_SHARD, _SHARDS_WANTED = 4, 256, 32
_BLOCK = 1 << 16  # sequences that are computed together
_MOST_READ = 100_000
"""The most computed pictures whose entries are hashed one by one in a fingerprint; above, their formula is hashed."""


@dataclass(frozen=True, kw_only=True)
class PlannedSequence:
    """One sequence to make: its index in the run, its key, its picture, and the number of its renderer in the run."""

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


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All shards of a run.

    Attributes:
        entries: pictures of the source, in its order.
        num_sequences: number of sequences in all shards.
        num_renderers: number of renderers of the run.
        turns: renderer of each dealt turn (see `deal`); None if every picture is painted once by every renderer.
        shard_size: sequences per shard.
        val_fraction: share of pictures in the `val` split.
    """

    entries: Sequence[SourceEntry]
    num_sequences: int
    num_renderers: int
    turns: NDArray[np.uint16] | None
    shard_size: int
    val_fraction: float

    @cached_property
    def shard_names(self) -> tuple[str, ...]:
        """Names of all shards, in the order in which they are rendered."""
        counts = {split: sum(map(len, self._indices(split))) for split in SPLITS}
        return tuple(shard_names({split: -(-count // self.shard_size) for split, count in counts.items()}))

    def shards(self, made: Container[str] = ()) -> Iterator[ShardPlan]:
        """The shards in the order of `shard_names`, without those in `made`."""
        names = iter(self.shard_names)
        for split in SPLITS:
            for number, indices in enumerate(_in_shards(self._indices(split), self.shard_size)):
                if (name := next(names)) not in made:
                    yield ShardPlan(
                        name=name,
                        split=split,
                        first_index=number * self.shard_size,
                        sequences=tuple(self._sequences(indices)),
                    )

    def fingerprint(self) -> str:
        """Hash of all pictures, captions and licences, which tells whether two plans have the same source."""
        digest = hashlib.sha256()
        if isinstance(self.entries, ComputedPictures) and len(self.entries) > _MOST_READ:
            digest.update(f"{len(self.entries)} of {self.entries.formula}".encode())
            return digest.hexdigest()
        for entry in self.entries:
            optional = (value for value in (entry.depth_sha256, entry.fault) if value is not None)
            digest.update(repr((entry.id, entry.sha256, entry.caption, entry.licence, *optional)).encode())
        return digest.hexdigest()

    def _indices(self, split: str) -> Iterator[NDArray[np.int64]]:
        """Indices of the sequences of a split, ascending, in blocks. All sequences of a picture are in one split."""
        for first in range(0, self.num_sequences, _BLOCK):
            indices = np.arange(first, min(first + _BLOCK, self.num_sequences))
            pictures, _ = self._pictures_and_renderers(indices)
            held_out = (self._held_out[pictures >> 3] << (pictures & 7).astype(np.uint8)) & 128 > 0
            yield indices[held_out == (split == "val")]

    @cached_property
    def _held_out(self) -> NDArray[np.uint8]:
        """Packed bits: whether each picture is in the `val` split."""
        if not self.val_fraction:
            return np.zeros(len(self.entries) // 8 + 1, np.uint8)
        entries = self.entries
        hashes = entries.hashes() if isinstance(entries, ComputedPictures) else (entry.sha256 for entry in entries)
        drawn = (in_val(sha256, self.val_fraction) for sha256 in hashes)
        return np.concatenate([np.packbits(block) for block in iter(lambda: list(islice(drawn, _BLOCK)), [])])

    def _pictures_and_renderers(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.integer]]:
        """(n,) picture and renderer of each of (n,) sequences."""
        if self.turns is None:
            return indices // self.num_renderers, indices % self.num_renderers
        rounds, pictures = np.divmod(indices, len(self.entries))
        # The turns of one picture are consecutive turns of the deal. So a picture that is painted several times meets
        # the renderers in their shares, whatever the number of pictures.
        return pictures, self.turns[pictures + rounds]

    def _sequences(self, indices: NDArray[np.int64]) -> Iterator[PlannedSequence]:
        for index, picture, renderer in zip(
            indices.tolist(), *map(np.ndarray.tolist, self._pictures_and_renderers(indices)), strict=True
        ):
            yield PlannedSequence(index=index, key=sequence_key(index), entry=self.entries[picture], renderer=renderer)


def _in_shards(blocks: Iterable[NDArray[np.int64]], size: int) -> Iterator[NDArray[np.int64]]:
    """The same indices in arrays of `size`; the last may be shorter."""
    remaining = np.empty(0, np.int64)
    for block in blocks:
        remaining = np.concatenate([remaining, block])
        whole = len(remaining) // size * size
        yield from remaining[:whole].reshape(-1, size)
        remaining = remaining[whole:]
    if len(remaining):
        yield remaining


def make_plan(
    entries: Sequence[SourceEntry],
    weights: Sequence[float],
    num_sequences: int | None,
    shard_size: int | None,
    val_fraction: float,
) -> Plan:
    """Deal pictures and renderers to sequences.

    If `num_sequences` is None, every picture is painted once by every renderer. Otherwise pictures are taken in order,
    again from the first when they run out, and renderers are dealt by weight.

    Raises:
        UserError: if every picture by every renderer is more than a data set can hold.
    """
    turns = None
    if num_sequences is None:
        num_sequences = len(entries) * len(weights)
        if num_sequences > MOST_SEQUENCES:
            raise UserError(
                f"num_sequences=null: {len(entries)} pictures, each by {len(weights)} renderers, are {num_sequences} "
                f"sequences; allowed: at most {MOST_SEQUENCES}"
            )
    else:
        rounds, last = divmod(num_sequences - 1, len(entries))
        turns = deal(weights, rounds + (len(entries) if rounds else last + 1))
    return Plan(
        entries=entries,
        num_sequences=num_sequences,
        num_renderers=len(weights),
        turns=turns,
        shard_size=shard_size or min(_MOST_SHARD, max(_LEAST_SHARD, -(-num_sequences // _SHARDS_WANTED))),
        val_fraction=val_fraction,
    )


def deal(weights: Sequence[float], count: int) -> NDArray[np.uint16]:
    """Deal `count` turns by weight, so that after every turn each renderer has its share to within one turn.

    Among the renderers that are due a turn, the one with the earliest deadline gets it, which keeps this promise for
    all weights (proportionate fairness). Serving the renderer that is furthest behind does not: with many uneven
    weights some renderer falls more than a turn behind.

    Args:
        weights: all above 0.
        count: how many turns.
    """
    turns = np.zeros(count, np.uint16)
    if len(weights) == 1:
        return turns
    relative = summable(weights)
    shares: list[float] = (relative / np.sum(relative)).tolist()
    counts = [0] * len(shares)
    for turn in range(count):
        chosen, soonest = 0, math.inf
        for number, share in enumerate(shares):  # Python's floats, as NumPy is slower on such short arrays
            if share * (turn + 1) > counts[number] and (deadline := (counts[number] + 1) / share) < soonest:
                chosen, soonest = number, deadline
        turns[turn] = chosen
        counts[chosen] += 1
    return turns


def in_val(sha256: str, val_fraction: float) -> bool:
    """Whether the picture with this hash is in the `val` split."""
    return int(sha256[:13], 16) / 16**13 < val_fraction
