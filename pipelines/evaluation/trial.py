"""Which metrics may be believed: those that rank every control below real processes, on references held out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.evaluation.agreement import Estimate, estimate, mean_estimate, resampled
from pipelines.evaluation.controls import CONTROLS
from pipelines.evaluation.metrics import METRICS, Description, Metric, describe
from pipelines.evaluation.process import Process, picture

LEAST = 4
"""Processes in each half of the reference below which nothing can be told."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the trial found of one metric.

    Attributes:
        value: mean value of the held-out half of the reference.
        real: gap of the held-out half of the reference to the other half.
        controls: gap of each control, made from the held-out half, to that other half.
        reason: why the metric is dropped; None when it is not.
    """

    value: Estimate | None
    real: Estimate | None
    controls: dict[str, Estimate]
    reason: str | None


def halves(references: Sequence[Process]) -> tuple[list[Process], list[Process]]:
    """A set in two: paintings of one picture fall into both in turn, pictures painted once alternate."""
    ordered = sorted(references, key=lambda process: (picture(process), process.caption, process.name))
    return ordered[0::2], ordered[1::2]


def try_metrics(references: Sequence[Process], seed: np.random.SeedSequence) -> dict[str, Verdict]:
    """Try every metric on the reference set.

    Half of the set is the reference, the other half are the real candidates, and the four controls are made from these.
    A control ranks below when its gap is larger than that of the real ones with 95 % confidence: the interval of the
    difference, over the same resamples, excludes zero.

    Args:
        references: all of one length and size.
        seed: of the controls and the resamples.
    """
    known, held_out = halves(references)
    if len(known) < LEAST or len(held_out) < LEAST:
        reason = f"{len(references)} references are too few to try it on controls; {2 * LEAST} at least"
        return {metric.name: Verdict(value=None, real=None, controls={}, reason=reason) for metric in METRICS}
    control_seed, sample_seed = seed.spawn(2)
    theirs, real = describe(known, held_out), describe(held_out, known)
    controls = {
        name: describe(
            [process.altered(make(process.frames, rng)) for process, rng in zip(held_out, generators, strict=True)],
            known,
        )
        for (name, make), generators in zip(
            CONTROLS.items(),
            (
                [np.random.default_rng(s) for s in each.spawn(len(held_out))]
                for each in control_seed.spawn(len(CONTROLS))
            ),
            strict=True,
        )
    }
    return {
        metric.name: _judge(
            metric,
            theirs[metric.name],
            real[metric.name],
            {name: described[metric.name] for name, described in controls.items()},
            np.random.default_rng(one),
        )
        for metric, one in zip(METRICS, sample_seed.spawn(len(METRICS)), strict=True)
    }


def _judge(
    metric: Metric, theirs: Description, real: Description, controls: dict[str, Description], rng: np.random.Generator
) -> Verdict:
    if min(len(real), len(theirs)) < 2:
        return Verdict(
            value=None, real=None, controls={}, reason=f"cannot be tried on controls: {metric.lacks_in_trial}"
        )
    ours = np.vstack([np.ones((1, len(real))), resampled(real.pictures, rng, least=2)])
    others = np.vstack([np.ones((1, len(theirs))), resampled(theirs.pictures, rng, least=2)])
    base = metric.gaps(real.vectors, theirs.vectors, ours, others)
    gaps = {name: metric.gaps(one.vectors, theirs.vectors, ours, others) for name, one in controls.items()}
    alike = [name for name, gap in gaps.items() if estimate(0.0, (gap - base)[1:], 0).low <= 0]
    return Verdict(
        value=mean_estimate(real.values, real.pictures, rng),
        real=estimate(float(base[0]), base[1:], len(real)),
        controls={name: estimate(float(gap[0]), gap[1:], len(real)) for name, gap in gaps.items()},
        reason=f"does not rank {' and '.join(alike)} below real processes" if alike else None,
    )
