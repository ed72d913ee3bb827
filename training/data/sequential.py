"""The order for storage that answers slowly: whole shards one after the other, and a little mixing behind them.

Every training process and reader (a lane) has shards of its own, dealt anew in every epoch; of these it takes the
sequences in turn, through a shuffle buffer of fixed size, as `webdataset` does with `split_by_node`, `split_by_worker`
and `shuffle`. Unlike there it is computed and not lived through: which sequence stands at a position is a pure function
of seed, position, and how many processes and readers there are. So a run goes on exactly where it was, and fetches only
those shards again of which something is still to come.
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
    """What one lane reads of a data set in one epoch.

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
    """The order of one data set, or of several mixed, as `StreamOrder` is another.

    Attributes:
        seed: of all shuffling.
        shard_sizes: of each data set, sequences in each of its shards.
        shares: turns of each data set in every `ROUND` samples of a lane.
        batch_size, world_size, num_readers: of one process; how many processes; readers of each.
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
        """The data set and the sequence in it."""
        dataset, epoch, place = self._place(position)
        return dataset, int(epoch.indices[place])

    def soon(self, position: int, count: int) -> list[tuple[int, int]]:
        """The next `count` (data set, shard) that the lane of a position comes to after it, in this epoch."""
        dataset, epoch, place = self._place(position)
        following = bisect_right(epoch.needed_at, place)
        return [(dataset, shard) for shard in epoch.shards[following : following + count]]

    def _place(self, position: int) -> tuple[int, _LaneEpoch, int]:
        """Of a position: the data set, what its lane reads of that in this epoch, and the place in it."""
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
        """Shards that a lane reads in an epoch: every so many of all, shuffled; of few, lanes have them in turn."""
        shuffled = Stream.SHARDS.generator(self.seed, dataset, epoch).permutation(len(self.shard_sizes[dataset]))
        num_lanes = self.world_size * self.num_readers
        return shuffled[(lane + epoch) % num_lanes :: num_lanes]

    def _epoch(self, dataset: int, lane: int, epoch: int) -> _LaneEpoch:
        key = (dataset, lane, epoch)
        if key not in self._epochs:
            if len(self._epochs) >= 4 * len(self.shares):  # a batch may span two epochs
                self._epochs.clear()
            self._epochs[key] = self._computed(dataset, lane, epoch)
        return self._epochs[key]

    def _computed(self, dataset: int, lane: int, epoch: int) -> _LaneEpoch:
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

    A number leaves it at most `size` places early, and how late is a matter of chance.
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
