"""Tests which metrics may be believed: those that rank every control below real processes, each left out once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.evaluation.agreement import Estimate, estimate, halves, mean_estimate, weights_of
from pipelines.evaluation.controls import CONTROLS, Control
from pipelines.evaluation.metrics import METRICS, Description, Metric, describe
from pipelines.evaluation.process import Process, picture

LEAST = 4
"""Number of pictures in the reference below which no conclusion is drawn."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The result of the trial for one metric.

    Attributes:
        value: mean value of the references; None if the metric can describe none.
        real: gap of the real processes: 0, with the interval of the gaps between the processes of random halves of
            their pictures; for a paired metric, the mean distance between references of the same picture.
        controls: gap of each control to the references; empty if there are too few references for a gap.
        doubt: why the metric is doubtful on these references; None if it passed.
    """

    value: Estimate | None
    real: Estimate | None
    controls: Mapping[str, Estimate]
    doubt: str | None


@dataclass(frozen=True, kw_only=True)
class Trial:
    """All metrics tried on a reference set.

    Attributes:
        references: name of a metric -> its description of the references.
        controls: name of a control -> name of a metric -> its description of that control.
        verdicts: name of a metric -> its verdict.
    """

    references: Mapping[str, Description]
    controls: Mapping[str, Mapping[str, Description]]
    verdicts: Mapping[str, Verdict]


def try_metrics(references: Sequence[Process], seed: np.random.SeedSequence) -> Trial:
    """Try every metric on the reference set.

    Every reference is a real candidate that is compared with those of other pictures, and the four controls are made
    from all references. A control's process is not compared with references of its picture either; it would be near to
    the one that it was made from. A control ranks below real processes if its gap is larger than theirs with 95 %
    confidence: the interval of the difference, over joint resamples of references and controls, excludes zero.

    Args:
        references: processes of the same length and size.
        seed: seed of the controls and the resamples.
    """
    ordered = sorted(references, key=lambda process: (picture(process), process.caption, process.name))
    control_seed, sample_seed = seed.spawn(2)
    described = describe(ordered, ordered)
    controls = {
        name: describe(_altered(make, ordered, each_seed), ordered, made_from=ordered)
        for (name, make), each_seed in zip(CONTROLS.items(), control_seed.spawn(len(CONTROLS)), strict=True)
    }
    verdicts = {
        metric.name: _judge(
            metric,
            described[metric.name],
            {name: descriptions[metric.name] for name, descriptions in controls.items()},
            np.random.default_rng(metric_seed),
        )
        for metric, metric_seed in zip(METRICS, sample_seed.spawn(len(METRICS)), strict=True)
    }
    return Trial(references=described, controls=controls, verdicts=verdicts)


def _altered(make: Control, references: Sequence[Process], seed: np.random.SeedSequence) -> list[Process]:
    return [
        reference.altered(make(reference.frames, np.random.default_rng(each_seed)))
        for reference, each_seed in zip(references, seed.spawn(len(references)), strict=True)
    ]


def _judge(metric: Metric, real: Description, controls: Mapping[str, Description], rng: np.random.Generator) -> Verdict:
    value = mean_estimate(real.values, real.pictures, rng) if len(real) else None
    if metric.too_small(real):
        lacks = None if len(real) else metric.lacks_in_trial
        reason = f"cannot be tried on controls: {lacks}" if lacks else _too_few(real.num_pictures)
        return Verdict(value=value, real=None, controls={}, doubt=reason)
    weights = weights_of(real.pictures, rng)
    real_gaps = metric.gaps(real, real, weights, weights)
    gaps = {name: metric.gaps(control, real, weights, weights) for name, control in controls.items()}
    not_below = [name for name, gap in gaps.items() if estimate(0.0, (gap - real_gaps)[1:], 0).low <= 0]
    doubt = f"does not rank {' and '.join(not_below)} below real processes" if not_below else None
    return Verdict(
        value=value,
        real=estimate(
            float(real_gaps[0]), real_gaps[1:] if metric.paired else _between_halves(metric, real, rng), len(real)
        ),
        controls={name: estimate(float(gap[0]), gap[1:], len(real)) for name, gap in gaps.items()},
        doubt=_too_few(real.num_pictures) if real.num_pictures < LEAST else doubt,
    )


def _between_halves(metric: Metric, real: Description, rng: np.random.Generator) -> NDArray[np.float64]:
    """(R,) gaps between random halves of the real processes; 0 if there are too few pictures for two sets."""
    if real.num_pictures < LEAST:
        return np.zeros(1)
    return metric.gaps(real, real, *halves(real.pictures, rng))


def _too_few(num_pictures: int) -> str:
    return f"the reference shows too few pictures to try it on controls: {num_pictures}, and {LEAST} are needed"
