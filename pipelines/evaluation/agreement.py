"""Measures the distance of a set of processes from a reference set, with bootstrap intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Matrix = NDArray[np.float64]

NUM_RESAMPLES = 1000
LEAST_OF_A_SET = 2
"""The fewest members of a set that has a distribution: pictures, because paintings of one picture are not compared."""

_TAILS = (2.5, 97.5)  # percent


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure of `count` sequences, without an interval."""

    value: float
    count: int


@dataclass(frozen=True, kw_only=True)
class Estimate(Figure):
    """A figure of a set of sequences, with its 95 % bootstrap interval over pictures."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class WeightedSet:
    """A set of processes, under R different weightings.

    Attributes:
        vectors: (N, D) description of each process.
        pictures: (N,) identifier of the picture that each process paints.
        weights: (R, N) at least 0.
    """

    vectors: Matrix
    pictures: Sequence[str]
    weights: Matrix


def mean_estimate(values: NDArray[np.float64], pictures: Sequence[str], rng: np.random.Generator) -> Estimate:
    """Mean of the (N,) values of paintings of (N,) pictures, with its percentile bootstrap (Efron 1979)."""
    weights = resampled(pictures, rng)
    return estimate(float(values.mean()), weights @ values / weights.sum(1), len(values))


def estimate(value: float, resamples: NDArray[np.float64], count: int) -> Estimate:
    """An estimate with the middle 95 % of its resamples; those that have no value (NaN) do not count."""
    low, high = np.nanpercentile(resamples, _TAILS)
    return Estimate(value=value, low=float(low), high=float(high), count=count)


def resampled(pictures: Sequence[str], rng: np.random.Generator, *, least: int = 1) -> Matrix:
    """(R, N) how often each of N paintings is drawn in each of R resamples.

    Pictures are drawn, with all their paintings, because paintings of one picture are not independent. If there are
    fewer than `least` pictures, paintings are drawn one by one. Each resample holds at least `least` different ones; if
    there are fewer paintings than that, they are not resampled.
    """
    if len(pictures) < least:
        return np.ones((NUM_RESAMPLES, len(pictures)))
    names, labels = np.unique(np.array(pictures), return_inverse=True)
    if len(names) < least:
        names = labels = np.arange(len(pictures))
    count = len(names)
    draws = rng.multinomial(count, np.full(count, 1.0 / count), size=NUM_RESAMPLES)
    while (too_few := np.count_nonzero(draws, axis=1) < least).any():
        draws[too_few] = rng.multinomial(count, np.full(count, 1.0 / count), size=int(too_few.sum()))
    weights: Matrix = draws[:, labels].astype(np.float64)
    return weights


def weights_of(pictures: Sequence[str], rng: np.random.Generator) -> Matrix:
    """(1 + R, N) weights: 1 for every painting, then those of R resamples, each large enough to be a set."""
    return np.vstack([np.ones((1, len(pictures))), resampled(pictures, rng, least=LEAST_OF_A_SET)])


def joint_weights(one: Sequence[str], two: Sequence[str], rng: np.random.Generator) -> tuple[Matrix, Matrix]:
    """Weights of two sets, as `weights_of`, in which a picture that both show is drawn as often for both.

    What a picture adds to both sets cancels in their distance. Drawn apart, it would make the interval many times wider
    than the distance varies. The second set may then hold too few pictures in a resample, which has no distance.
    """
    one_weights, two_weights = weights_of(one, rng), weights_of(two, rng)
    place_of = {name: place for place, name in enumerate(one)}
    for place, name in enumerate(two):
        if name in place_of:
            two_weights[:, place] = one_weights[:, place_of[name]]
    return one_weights, two_weights


def halves(pictures: Sequence[str], rng: np.random.Generator) -> tuple[Matrix, Matrix]:
    """(R, N) and (R, N): which of N paintings are in the first and in the second half of R random divisions.

    Pictures are divided, with all their paintings.
    """
    names, labels = np.unique(np.array(pictures), return_inverse=True)
    ranks = rng.permuted(np.tile(np.arange(len(names)), (NUM_RESAMPLES, 1)), axis=1)
    first_half: Matrix = (ranks < len(names) // 2).astype(np.float64)[:, labels]
    return first_half, 1.0 - first_half


def energy_distances(generated: WeightedSet, reference: WeightedSet) -> NDArray[np.float64]:
    """Energy distance (Székely & Rizzo 2013) of two sets under mean absolute difference, for many weights.

        2 E|x - y| - E|x - x'| - E|y - y'|

    All three means are over pairs of different pictures. Paintings of one picture are nearer to each other than to
    others, whoever painted them, so they would make a set that repeats pictures look far from other pictures, and near
    to another painter of the same ones. Without them the estimate is unbiased: 0 on average for two samples of one
    population, and sometimes a little below.

    Returns:
        (R,); NaN for weights under which a set holds fewer than two pictures.
    """
    return 2 * mean_differences(generated, reference) - differences_within(generated) - differences_within(reference)


def differences_within(one: WeightedSet) -> NDArray[np.float64]:
    """(R,) mean absolute difference between members of a set that paint different pictures; NaN if there are none."""
    return mean_differences(one, one)


def mean_differences(one: WeightedSet, two: WeightedSet) -> NDArray[np.float64]:
    """(R,) mean absolute difference between members of two sets that paint different pictures; NaN if there are none.

    Args:
        one, two: sets with vectors of one length, under the same number of weights.
    """
    names, labels = np.unique(np.array([*one.pictures, *two.pictures]), return_inverse=True)
    one_labels, two_labels = np.split(labels, [len(one.pictures)])
    differences = np.stack([np.abs(two.vectors - vector).mean(-1) for vector in one.vectors])
    differences[one_labels[:, None] == two_labels] = 0.0
    total = np.einsum("rn,nm,rm->r", one.weights, differences, two.weights, optimize=True)
    same_picture = _by_picture(one.weights, one_labels, len(names)) * _by_picture(two.weights, two_labels, len(names))
    pairs = one.weights.sum(1) * two.weights.sum(1) - same_picture.sum(1)
    means: NDArray[np.float64] = np.divide(total, pairs, out=np.full_like(total, np.nan), where=pairs > 0)
    return means


def _by_picture(weights: Matrix, labels: NDArray[np.int64], num_pictures: int) -> Matrix:
    """(R, P) sums of (R, N) weights over the paintings of each picture."""
    shape = (len(labels), num_pictures)
    sums: Matrix = weights @ csr_array((np.ones(len(labels)), (np.arange(len(labels)), labels)), shape=shape)
    return sums
