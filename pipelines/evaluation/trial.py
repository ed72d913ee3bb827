"""Which metrics may be believed: those that rank every control below real processes, each left out once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.evaluation.agreement import LEAST_OF_A_SET, Estimate, estimate, halves, mean_estimate, weights_of
from pipelines.evaluation.controls import CONTROLS, Control
from pipelines.evaluation.metrics import METRICS, Description, Metric, describe
from pipelines.evaluation.process import Process, picture

LEAST = 4
"""Number of references below which no conclusion is drawn."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The result of the trial for one metric.

    Attributes:
        value: mean value of the references; None where it can describe none.
        real: gap of the real ones: 0, with the interval of the gaps between random halves of them; of a paired metric
            the mean distance between references of one picture.
        controls: gap to the references of each control; empty where there are too few references for a gap.
        doubt: why the metric is not to be believed here; None when it passed.
    """

    value: Estimate | None
    real: Estimate | None
    controls: Mapping[str, Estimate]
    doubt: str | None


@dataclass(frozen=True, kw_only=True)
class Trial:
    """All metrics tried on a reference set.

    Attributes:
        references: what each metric says of it.
        controls: what each metric says of each control made from it, by the control's name.
        verdicts: by the metric's name.
    """

    references: Mapping[str, Description]
    controls: Mapping[str, Mapping[str, Description]]
    verdicts: Mapping[str, Verdict]


def try_metrics(references: Sequence[Process], seed: np.random.SeedSequence) -> Trial:
    """Try every metric on the reference set.

    Every reference is a real candidate, judged by all the others, and the four controls are made from all of them; what
    is made from a reference is judged by the others, too, or it would be near to the set by birth. A control ranks
    below when its gap is larger than that of the real ones with 95 % confidence: the interval of the difference, over
    resamples of the references with all that is made from them, excludes zero.

    Args:
        references: all of one length and size.
        seed: of the controls and the resamples.
    """
    ordered = sorted(references, key=lambda process: (picture(process), process.caption, process.name))
    control_seed, sample_seed = seed.spawn(2)
    described = describe(ordered, ordered)
    controls = {
        name: describe(_altered(make, ordered, one), ordered, made_from=ordered)
        for (name, make), one in zip(CONTROLS.items(), control_seed.spawn(len(CONTROLS)), strict=True)
    }
    verdicts = {
        metric.name: _judge(
            metric,
            described[metric.name],
            {name: of_control[metric.name] for name, of_control in controls.items()},
            np.random.default_rng(one),
        )
        for metric, one in zip(METRICS, sample_seed.spawn(len(METRICS)), strict=True)
    }
    return Trial(references=described, controls=controls, verdicts=verdicts)


def _altered(make: Control, references: Sequence[Process], seed: np.random.SeedSequence) -> list[Process]:
    return [
        reference.altered(make(reference.frames, np.random.default_rng(one)))
        for reference, one in zip(references, seed.spawn(len(references)), strict=True)
    ]


def _judge(metric: Metric, real: Description, controls: Mapping[str, Description], rng: np.random.Generator) -> Verdict:
    value = mean_estimate(real.values, real.pictures, rng) if len(real) else None
    if len(real) < LEAST_OF_A_SET:
        lack = f"cannot be tried on controls: {metric.lacks_in_trial}" if metric.lacks else _too_few(len(real))
        return Verdict(value=value, real=None, controls={}, doubt=lack)
    weights = weights_of(real.pictures, rng)
    real_gaps = metric.gaps(real.vectors, real.vectors, weights, weights, made_from_reference=True)
    gaps = {
        name: metric.gaps(one.vectors, real.vectors, weights, weights, made_from_reference=True)
        for name, one in controls.items()
    }
    alike = [name for name, gap in gaps.items() if estimate(0.0, (gap - real_gaps)[1:], 0).low <= 0]
    doubt = f"does not rank {' and '.join(alike)} below real processes" if alike else None
    return Verdict(
        value=value,
        real=estimate(
            float(real_gaps[0]), real_gaps[1:] if metric.paired else _between_halves(metric, real, rng), len(real)
        ),
        controls={name: estimate(float(gap[0]), gap[1:], len(real)) for name, gap in gaps.items()},
        doubt=_too_few(len(real)) if len(real) < LEAST else doubt,
    )


def _between_halves(metric: Metric, real: Description, rng: np.random.Generator) -> NDArray[np.float64]:
    """(R,) gaps between random halves of the real ones; 0 where there are too few for two sets."""
    if len(real) < LEAST:
        return np.zeros(1)
    return metric.gaps(real.vectors, real.vectors, *halves(len(real), rng))


def _too_few(count: int) -> str:
    return f"{count} references are too few to try it on controls; {LEAST} at least"
