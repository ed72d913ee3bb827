"""How far processes are from real painters, in units of how far real painters are from each other."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pipelines.evaluation.agreement import (
    LEAST_OF_A_SET,
    Estimate,
    differences_within,
    energy_distances,
    estimate,
    weights_of,
)  # fmt: skip
from pipelines.evaluation.metrics import Description

DISTANCE_METRICS = (
    "distance profile", "progress violation", "coverage", "commit time", "locality", "order", "coarse to fine",
    "flicker", "revision",
)  # fmt: skip
"""The metrics that the mean is taken over. The list belongs to the figure: with one more it would be another figure,
which could not be compared with those that were measured before."""

MEAN = "mean"


def distance_to_painters(
    generated: Mapping[str, Description],
    real: Mapping[str, Description],
    rng: np.random.Generator,
    *,
    made_from_real: bool = False,
) -> dict[str, Estimate]:
    """Gap of a set by each of `DISTANCE_METRICS` in units of the mean difference among the real ones, and their mean.

    0 for another sample of the same painters (now and then a little below), 1 when as far as they are from each other.

    Args:
        generated, real: what `describe` says of both sets.
        rng: of the resamples, which take both sets.
        made_from_real: process n of `generated` was made from process n of `real`, and is not compared with that one.

    Returns:
        Name -> distance, `mean` first; without the metrics by which the real ones do not differ; empty where a set has
        fewer than two processes.
    """
    one, other = generated[DISTANCE_METRICS[0]], real[DISTANCE_METRICS[0]]
    if min(len(one), len(other)) < LEAST_OF_A_SET:
        return {}
    real_weights = weights_of(other.pictures, rng)
    generated_weights = real_weights if made_from_real else weights_of(one.pictures, rng)
    distances: dict[str, NDArray[np.float64]] = {}
    for name in DISTANCE_METRICS:
        among = differences_within(real[name].vectors, real_weights)
        if among[0] > 0:
            gaps = energy_distances(
                generated[name].vectors,
                real[name].vectors,
                generated_weights,
                real_weights,
                made_from_reference=made_from_real,
            )
            # A resample may hold only real ones that do not differ by this metric: it has no unit.
            distances[name] = np.divide(gaps, among, out=np.full_like(gaps, np.nan), where=among > 0)
    if not distances:
        return {}
    means = np.nanmean(list(distances.values()), axis=0)
    return {
        name: estimate(float(row[0]), row[1:][np.isfinite(row[1:])], len(one))
        for name, row in {MEAN: means, **distances}.items()
    }
