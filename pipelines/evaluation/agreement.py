"""Measures the distance of a set of processes from a reference set, with bootstrap intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

NUM_RESAMPLES = 1000
LEAST_OF_A_SET = 2
"""The fewest processes of a set that has a distribution."""

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


def mean_estimate(values: NDArray[np.float64], pictures: Sequence[str], rng: np.random.Generator) -> Estimate:
    """Mean of the (N,) values of paintings of (N,) pictures, with its percentile bootstrap (Efron 1979)."""
    weights = resampled(pictures, rng)
    return estimate(float(values.mean()), weights @ values / weights.sum(1), len(values))


def estimate(value: float, resamples: NDArray[np.float64], count: int) -> Estimate:
    """An estimate with the middle 95 % of its resamples."""
    low, high = np.percentile(resamples, _TAILS)
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


def halves(count: int, rng: np.random.Generator) -> tuple[Matrix, Matrix]:
    """(R, N) and (R, N): which of N processes are in the first and in the second half of R random divisions."""
    ranks = rng.permuted(np.tile(np.arange(count), (NUM_RESAMPLES, 1)), axis=1)
    first_half: Matrix = (ranks < count // 2).astype(np.float64)
    return first_half, 1.0 - first_half


def energy_distances(
    generated: Matrix,
    reference: Matrix,
    generated_weights: Matrix,
    reference_weights: Matrix,
    *,
    made_from_reference: bool = False,
) -> NDArray[np.float64]:
    """Energy distance (Székely & Rizzo 2013) of two sets of vectors under mean absolute difference, for many weights.

        2 E|x - y| - E|x - x'| - E|y - y'|

    The means are over pairs of different members, so that the estimate is unbiased: 0 on average for two samples of one
    population, and sometimes a little below.

    Args:
        generated: (N, D), N at least 2. reference: (M, D), M at least 2.
        generated_weights: (R, N) at least 0, at least two above. reference_weights: (R, M) likewise.
        made_from_reference: whether row n of `generated` was made from row n of `reference`. The two are then not
            compared, because a process made from another is near to it.

    Returns:
        (R,).
    """
    across = _mean_differences(generated, reference)
    pairs = generated_weights.sum(1) * reference_weights.sum(1)
    if made_from_reference:
        np.fill_diagonal(across, 0.0)
        pairs = pairs - (generated_weights * reference_weights).sum(1)
    between = np.einsum("rn,nm,rm->r", generated_weights, across, reference_weights, optimize=True) / pairs
    distances: NDArray[np.float64] = (
        2 * between
        - differences_within(generated, generated_weights)
        - differences_within(reference, reference_weights)
    )
    return distances


def differences_within(vectors: Matrix, weights: Matrix) -> NDArray[np.float64]:
    """(R,) mean absolute difference between different vectors (N, D) of a set, for weights (R, N)."""
    pairs = weights.sum(1) ** 2 - (weights**2).sum(1)
    among = _mean_differences(vectors, vectors)
    within: NDArray[np.float64] = np.einsum("rn,nm,rm->r", weights, among, weights, optimize=True) / pairs
    return within


def _mean_differences(one: Matrix, two: Matrix) -> Matrix:
    """(N, M) mean absolute differences of vectors."""
    differences: Matrix = np.stack([np.abs(two - vector).mean(-1) for vector in one])
    return differences
