"""The order for slow storage: whole shards one after another, with a shuffle buffer behind them.

Every training process and reader (a lane) has shards of its own, dealt anew in every epoch; of these it takes the
sequences in turn, through a shuffle buffer of fixed size, as `webdataset` does with `split_by_node`, `split_by_worker`
and `shuffle`. Unlike there, the order is computed and not simulated: which sequence is at a position is a pure function
of the seed, the position, and the numbers of processes and readers. So a run resumes exactly where it was, and fetches
again only those shards of which something is still to come.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data.order import ROUND, turns_of_round
from training.random.streams import Stream

BUFFER = 512
"""Sequences among which the next one is drawn."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _LaneEpoch:
    """The sequences that one lane reads of a data set in one epoch.

    Attributes:
        indices: (n,) sequences, in their order.
        shards: numbers of the shards that they are in, in the order in which they are first needed.
        needed_at: place in `indices` at which each of these is first needed.
    """

    indices: NDArray[np.int64]
    shards: tuple[int, ...]
    needed_at: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class SequentialOrder:
    """The order of one data set, or of several mixed; an alternative to `StreamOrder`.

    Attributes:
        seed: seed of all shuffling.
        shard_sizes: for each data set, the number of sequences in each of its shards.
        shares: turns of each data set in every `ROUND` samples of a lane.
        batch_size: samples per step of one process.
        world_size: number of processes.
        num_readers: readers of each process.
    """

    seed: int
    shard_sizes: tuple[NDArray[np.int64], ...]
    shares: tuple[int, ...]
    batch_size: int
    world_size: int
    num_readers: int
    _epochs: dict[tuple[int, int, int], _LaneEpoch] = field(default_factory=dict, repr=False)
    _ends: dict[tuple[int, int], list[int]] = field(default_factory=dict, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_epochs": {}, "_ends": {}}

    def at(self, position: int) -> tuple[int, int]:
        """The data set at a position, and the sequence in it."""
        dataset, epoch, place = self._place(position)
        return dataset, int(epoch.indices[place])

    def soon(self, position: int, count: int) -> list[tuple[int, int]]:
        """The next `count` pairs (data set, shard) that the lane of a position reads after it in this epoch."""
        dataset, epoch, place = self._place(position)
        following = bisect_right(epoch.needed_at, place)
        return [(dataset, shard) for shard in epoch.shards[following : following + count]]

    def _place(self, position: int) -> tuple[int, _LaneEpoch, int]:
        """The data set at a position, what the position's lane reads of it in this epoch, and the place in that."""
        step, within = divmod(position, self.batch_size * self.world_size)
        rank, row = divmod(within, self.batch_size)
        lane = rank * self.num_readers + step % self.num_readers
        number, turn = divmod(step // self.num_readers * self.batch_size + row, ROUND)
        turns, earlier = turns_of_round(self.seed, number, self.shares)
        dataset = int(turns[turn])
        place = number * self.shares[dataset] + int(earlier[turn])
        ends = self._ends.setdefault((dataset, lane), [])
        while not ends or ends[-1] <= place:
            count = sum(self.shard_sizes[dataset][self._shards(dataset, lane, len(ends))])
            ends.append((ends[-1] if ends else 0) + int(count))
        epoch = bisect_right(ends, place)
        return dataset, self._epoch(dataset, lane, epoch), place - (ends[epoch - 1] if epoch else 0)

    def _shards(self, dataset: int, lane: int, epoch: int) -> NDArray[np.int64]:
        """Shards that a lane reads in an epoch: every `num_lanes`-th of all, shuffled.

        If there are fewer shards than lanes, another lane has them in the next epoch.
        """
        shuffled = Stream.SHARDS.generator(self.seed, dataset, epoch).permutation(len(self.shard_sizes[dataset]))
        num_lanes = self.world_size * self.num_readers
        return shuffled[(lane + epoch) % num_lanes :: num_lanes]

    def _epoch(self, dataset: int, lane: int, epoch: int) -> _LaneEpoch:
        key = (dataset, lane, epoch)
        if key not in self._epochs:
            if len(self._epochs) >= 4 * len(self.shares):  # a batch may span two epochs
                self._epochs.clear()
            self._epochs[key] = self._compute_epoch(dataset, lane, epoch)
        return self._epochs[key]

    def _compute_epoch(self, dataset: int, lane: int, epoch: int) -> _LaneEpoch:
        sizes, shards = self.shard_sizes[dataset], self._shards(dataset, lane, epoch)
        firsts = np.cumsum(sizes) - sizes
        indices = np.concatenate([np.arange(firsts[shard], firsts[shard] + sizes[shard]) for shard in shards])
        owners = np.repeat(shards, sizes[shards])
        mixed = through_buffer(len(indices), BUFFER, Stream.BUFFER.generator(self.seed, dataset, epoch, lane))
        _, needed_at = np.unique(owners[mixed], return_index=True)
        needed_at.sort()
        return _LaneEpoch(
            indices=indices[mixed],
            shards=tuple(owners[mixed][needed_at].tolist()),
            needed_at=tuple(needed_at.tolist()),
        )


def through_buffer(count: int, size: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """(count,) the order in which numbers 0, 1, ... leave a shuffle buffer that holds `size` of them.

    A number leaves it at most `size` places early; how late is random.
    """
    buffer = list(range(min(size, count)))
    draws = generator.integers(0, max(1, len(buffer)), count)
    mixed = np.empty(count, np.int64)
    for place, number in enumerate(range(len(buffer), count)):
        mixed[place], buffer[draws[place]] = buffer[draws[place]], number
    mixed[count - len(buffer) :] = generator.permutation(buffer)
    return mixed


def shard_sizes(shard_of: NDArray[np.int32], shards: Sequence[str]) -> NDArray[np.int64]:
    """Sequences in each of the shards of a split."""
    return np.bincount(shard_of, minlength=len(shards))
