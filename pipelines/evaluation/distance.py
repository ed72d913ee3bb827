"""Distance of processes from real painters, in units of the distance between real painters."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pipelines.evaluation.agreement import (
    LEAST_OF_A_SET,
    Estimate,
    WeightedSet,
    differences_within,
    energy_distances,
    estimate,
    joint_weights,
)  # fmt: skip
from pipelines.evaluation.metrics import Description

DISTANCE_METRICS = (
    "distance profile", "progress violation", "coverage", "commit time", "locality", "order", "coarse to fine",
    "flicker", "revision",
)  # fmt: skip
"""The metrics that the mean is taken over. The list must not change: another list gives another figure, which could not
be compared with those that were measured before."""

MEAN = "mean"


def distance_to_painters(
    generated: Mapping[str, Description],
    real: Mapping[str, Description],
    rng: np.random.Generator,
    *,
    made_from_real: bool = False,
) -> dict[str, Estimate]:
    """Gap of a set by each of `DISTANCE_METRICS` in units of the mean difference among real processes, and their mean.

    It is 0 for another sample of the same painters (sometimes a little below), and 1 if the set is as far from them as
    they are from each other.

    Args:
        generated, real: descriptions of both sets, as `describe` returns them.
        rng: random numbers of the resamples of both sets.
        made_from_real: whether process n of `generated` was made from process n of `real`, so that it paints the same
            picture, whatever its description calls it.

    Returns:
        Name -> distance, `mean` first. Metrics by which the real processes do not differ are left out; empty if a set
        shows fewer than two pictures.
    """
    generated_set, real_set = generated[DISTANCE_METRICS[0]], real[DISTANCE_METRICS[0]]
    if min(generated_set.num_pictures, real_set.num_pictures) < LEAST_OF_A_SET:
        return {}
    generated_pictures = real_set.pictures if made_from_real else generated_set.pictures
    real_weights, generated_weights = joint_weights(real_set.pictures, generated_pictures, rng)
    distances: dict[str, NDArray[np.float64]] = {}
    for name in DISTANCE_METRICS:
        real_processes = real[name].weighted(real_weights)
        among = differences_within(real_processes)
        if among[0] > 0:
            generated_processes = WeightedSet(
                vectors=generated[name].vectors, pictures=generated_pictures, weights=generated_weights
            )
            gaps = energy_distances(generated_processes, real_processes)
            # In a resample whose real processes do not differ by this metric, the distance has no unit.
            distances[name] = np.divide(gaps, among, out=np.full_like(gaps, np.nan), where=among > 0)
    if not distances:
        return {}
    means = np.ma.masked_invalid(list(distances.values())).mean(axis=0).filled(np.nan)
    return {
        name: estimate(float(row[0]), row[1:], len(generated_set)) for name, row in {MEAN: means, **distances}.items()
    }
