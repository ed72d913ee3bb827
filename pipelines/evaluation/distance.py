"""How far processes are from real painters, in units of how far real painters are from each other."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.evaluation.agreement import Matrix, energy_distances, spread
from pipelines.evaluation.metrics import Description

DISTANCE_METRICS = (
    "distance profile", "progress violation", "coverage", "commit time", "locality", "order", "coarse to fine",
    "flicker", "revision",
)  # fmt: skip
"""The metrics that the mean is taken over: those that describe a process without another one. The list is part of the
figure: one more metric would make it another one, which could not be compared with those measured before."""


def relative_gaps(
    ours: Mapping[str, Description], real: Mapping[str, Description], *, made_from_real: bool = False
) -> dict[str, float]:
    """Gap by each of `DISTANCE_METRICS`: energy distance over the mean difference among the real ones.

    0 for another sample of the same painters (now and then a little below), 1 when as far as they are from each other;
    nan where the real ones do not differ at all.

    Args:
        ours, real: what `describe` says of both sets, at least two processes each.
        made_from_real: process n of `ours` was made from process n of `real`, and is not compared with that one.
    """
    return {
        name: _relative(ours[name].vectors, real[name].vectors, made_from_real=made_from_real)
        for name in DISTANCE_METRICS
    }


def mean_gap(gaps: Mapping[str, float]) -> float:
    """Mean over the metrics that have a value; nan without any."""
    finite: Sequence[float] = [gap for gap in gaps.values() if np.isfinite(gap)]
    return float(np.mean(finite)) if finite else float("nan")


def _relative(ours: Matrix, real: Matrix, *, made_from_real: bool) -> float:
    unit = spread(real)
    once: list[NDArray[np.float64]] = [np.ones((1, len(each))) for each in (ours, real)]
    (gap,) = energy_distances(ours, real, *once, made_from_theirs=made_from_real)
    return float(gap) / unit if unit > 0 else float("nan")
