"""The results of an evaluation. `tables` and `pipelines.pages.evaluation` show them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from pipelines.evaluation.agreement import LEAST_OF_A_SET, Estimate, estimate, joint_weights, mean_estimate
from pipelines.evaluation.distance import distance_to_painters
from pipelines.evaluation.endpoint import EndpointRow, endpoint_rows
from pipelines.evaluation.metrics import METRICS, Description, Metric, describe
from pipelines.evaluation.perceptual import Networks
from pipelines.evaluation.process import Process, mates
from pipelines.evaluation.trial import Trial, Verdict, try_metrics

GENERATED = "generated"
"""Name of the generated set among the sets whose distance to real painters is reported."""


@dataclass(frozen=True, kw_only=True)
class ProcessRow:
    """One process metric of the generated set.

    Attributes:
        value, reference: its mean over generated processes, and over the reference.
        gap: distance of the generated set to the reference by this metric; smaller is better.
        real, controls: gap of other real processes, and of each control; see `trial.Verdict`.
        doubt: why the metric is doubtful on this reference; None if it passed the trial.
        reason: why there is no gap; None if there is one.
    """

    name: str
    unit: str
    direction: str
    value: Estimate | None
    reference: Estimate | None
    gap: Estimate | None
    real: Estimate | None
    controls: Mapping[str, Estimate]
    doubt: str | None
    reason: str | None

    @property
    def believed(self) -> bool:
        """Whether there is a gap, by a metric that passed the trial."""
        return self.gap is not None and self.doubt is None

    @property
    def beaten(self) -> int:
        """Number of controls that are farther from the reference than the generated set."""
        return sum(self.gap is not None and self.gap.value < control.value for control in self.controls.values())


@dataclass(frozen=True, kw_only=True)
class Report:
    """An evaluation.

    Attributes:
        settings: settings of the evaluation.
        counts: numbers of generated and reference sequences, of pairs among them, and of refused ones.
        refused: name and reason of each sequence that could not be read.
        distance: name of a set (the generated one or a control) -> metric -> its distance to the painters of the
            reference, the mean first; see `distance_to_painters`. Sets that are too small for it are left out.
        profiles: mean distance profiles (T,) of the generated and the reference set, for the plot.
    """

    settings: Mapping[str, Any]
    counts: Mapping[str, int]
    refused: Sequence[tuple[str, str]]
    endpoint: Sequence[EndpointRow]
    process: Sequence[ProcessRow]
    distance: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)
    profiles: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def measured(self) -> bool:
        """Whether any measure has a value."""
        return any(end.value is not None for end in self.endpoint) or any(row.gap is not None for row in self.process)

    def to_plain(self) -> dict[str, Any]:
        """The report as plain containers, with figures rounded to six significant digits."""
        rounded: dict[str, Any] = _rounded(asdict(self))
        return rounded


def evaluate(
    generated: Sequence[Process],
    references: Sequence[Process],
    networks: Networks,
    seed: np.random.SeedSequence,
    *,
    settings: Mapping[str, Any],
    refused: Sequence[tuple[str, str]] = (),
) -> Report:
    """Measure a generated set against a reference set.

    Args:
        generated, references: processes of the same length and size, at least one of each.
        networks: networks of the endpoint measures that need weights.
        seed: seed of the controls and of all bootstraps.
    """
    trial_seed, gap_seed, end_seed, distance_seed = seed.spawn(4)
    pairs = [(process, same_picture) for process in generated if (same_picture := mates(process, references))]
    trial = try_metrics(references, trial_seed)
    generated_descriptions, reference_descriptions = describe(generated, references), trial.references
    return Report(
        settings=settings,
        counts={
            "generated": len(generated), "reference": len(references), "paired": len(pairs), "refused": len(refused),
        },
        refused=refused,
        endpoint=endpoint_rows(generated, references, pairs, networks, np.random.default_rng(end_seed)),
        process=[
            _process(
                metric, trial.verdicts[metric.name], generated_descriptions[metric.name],
                reference_descriptions[metric.name], metric_seed,
            )
            for metric, metric_seed in zip(METRICS, gap_seed.spawn(len(METRICS)), strict=True)
        ],
        distance=_distances(generated_descriptions, trial, distance_seed),
        profiles={
            name: described["distance profile"].vectors.mean(0).tolist()
            for name, described in ((GENERATED, generated_descriptions), ("reference", reference_descriptions))
        },
    )  # fmt: skip


def _process(
    metric: Metric, verdict: Verdict, generated: Description, reference: Description, seed: np.random.SeedSequence
) -> ProcessRow:
    rng = np.random.default_rng(seed)
    reason = _missing_gap_reason(metric, generated, reference)
    gap = None
    if reason is None:
        gaps = metric.gaps(generated, reference, *joint_weights(generated.pictures, reference.pictures, rng))
        gap = estimate(float(gaps[0]), gaps[1:], len(generated))
    return ProcessRow(
        name=metric.name,
        unit=metric.unit,
        direction=metric.direction,
        value=mean_estimate(generated.values, generated.pictures, rng) if len(generated) else None,
        reference=verdict.value,
        gap=gap,
        real=verdict.real,
        controls=verdict.controls,
        doubt=verdict.doubt,
        reason=reason,
    )


def _missing_gap_reason(metric: Metric, generated: Description, reference: Description) -> str | None:
    """Why a gap cannot be computed; None if it can."""
    for name, described in ((GENERATED, generated), ("reference", reference)):
        if metric.paired and name == "reference":
            continue  # the vectors of the generated set hold the paired distances already
        if not len(described) and metric.lacks:
            return f"{name}: {metric.lacks}"
        if metric.too_small(described):
            needed = "sequences" if metric.paired else "pictures"
            return f"{name}: {LEAST_OF_A_SET} {needed} that it can describe are needed at least"
    return None


def _distances(
    generated: Mapping[str, Description], trial: Trial, seed: np.random.SeedSequence
) -> dict[str, dict[str, Estimate]]:
    sets = {GENERATED: generated, **trial.controls}
    distances = {
        name: distance_to_painters(
            described, trial.references, np.random.default_rng(set_seed), made_from_real=name != GENERATED
        )
        for (name, described), set_seed in zip(sets.items(), seed.spawn(len(sets)), strict=True)
    }
    return {name: row for name, row in distances.items() if row}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {str(key): _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value
