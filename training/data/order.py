"""Which sequence is at which position of the endless stream: a pure function of (seed, position).

A step of W ranks with B samples each takes W * B positions in a row, rank r the r-th B of them. So nothing depends on
how many ranks, shards or workers there are, every rank has equal work, and a position is all that resuming needs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from training.random.streams import Stream

ROUND = 1000
"""Positions in which every data set of a mixture has exactly its share of turns, in thousandths."""


@dataclass(frozen=True, kw_only=True)
class StreamOrder:
    """The order of one data set, or of several mixed.

    Each data set goes through its own sequences in an order shuffled anew every time it begins again, so each of its
    sequences comes once in its own epoch. With one data set that is: position p shows place p % N of epoch p // N.

    Attributes:
        seed: seed of the shuffling.
        sizes: number of sequences of each data set, at least 1.
        shares: turns of each data set in every `ROUND` positions; they sum to `ROUND`.
    """

    seed: int
    sizes: tuple[int, ...]
    shares: tuple[int, ...]

    def at(self, position: int) -> tuple[int, int]:
        """The data set at a position, and the sequence in it."""
        number, place = divmod(position, ROUND)
        turns, earlier = turns_of_round(self.seed, number, self.shares)
        dataset = int(turns[place])
        epoch, place = divmod(number * self.shares[dataset] + int(earlier[place]), self.sizes[dataset])
        return dataset, int(_permutation(self.seed, dataset, epoch, self.sizes[dataset])[place])


def rank_positions(start: int, step: int, *, batch_size: int, rank: int, world_size: int) -> range:
    """Positions that a rank takes in the `step`-th step from position `start` on."""
    first = start + (step * world_size + rank) * batch_size
    return range(first, first + batch_size)


def summable(weights: Sequence[float]) -> NDArray[np.float64]:
    """The same relative weights, each less than 1, so that neither their sum nor a multiple of it is infinite.

    They are divided by a power of two, which rounds nothing, so that the order is the same as with the given weights.

    Args:
        weights: (n,) finite, the largest above 0.
    """
    unscaled = np.asarray(weights, float)
    scaled: NDArray[np.float64] = np.ldexp(unscaled, -np.frexp(unscaled.max())[1])
    return scaled


def shares_of(weights: Sequence[float]) -> tuple[int, ...]:
    """Weights in whole thousandths that sum to `ROUND`, by largest remainder.

    A weight that rounds to no turn at all gives 0; the caller decides whether that is an error.

    Args:
        weights: finite, the largest above 0.
    """
    relative = summable(weights)
    exact = ROUND * relative / np.sum(relative)
    shares = np.floor(exact).astype(int)
    largest = np.argsort(shares - exact, kind="stable")[: ROUND - shares.sum()]
    shares[largest] += 1
    return tuple(int(share) for share in shares)


# An epoch of a million sequences takes 8 MB and 20 ms; a batch may span the end of one and the beginning of another.
@lru_cache(maxsize=8)
def _permutation(seed: int, dataset: int, epoch: int, size: int) -> NDArray[np.int64]:
    return Stream.ORDER.generator(seed, dataset, epoch).permutation(size)


@lru_cache(maxsize=8)
def turns_of_round(seed: int, number: int, shares: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(ROUND,) data set of each turn, and (ROUND,) how many turns it has had before in this round."""
    turns = np.repeat(np.arange(len(shares)), shares)
    if len(shares) > 1:
        turns = Stream.TURNS.generator(seed, number).permutation(turns)
    earlier = np.empty(ROUND, np.int64)
    for dataset, share in enumerate(shares):
        earlier[turns == dataset] = np.arange(share)
    return turns, earlier
