"""What an evaluation finds, told as JSON and as tables; `page` makes a page of it."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from pipelines.evaluation.agreement import Estimate, estimate, mean_estimate, resampled
from pipelines.evaluation.controls import CONTROLS
from pipelines.evaluation.endpoint import EndpointRow, endpoint_rows
from pipelines.evaluation.metrics import METRICS, Description, Metric, describe
from pipelines.evaluation.perceptual import Networks
from pipelines.evaluation.process import Process, mates
from pipelines.evaluation.trial import Verdict, try_metrics

_LEAST = 2  # processes of a set, below which it has no distribution
_WIDTH = 118  # columns of the table


@dataclass(frozen=True, kw_only=True)
class ProcessRow:
    """One process metric of the generated set.

    Attributes:
        value, reference: its mean over generated processes, and over those of the held-out half of the reference.
        gap: distance of the generated set to the reference by it; the smaller the better.
        real, controls: the same of the held-out half and of each control; see `trial.Verdict`.
        reason: why the metric is dropped; then value and gap are None.
    """

    name: str
    unit: str
    direction: str
    value: Estimate | None
    reference: Estimate | None
    gap: Estimate | None
    real: Estimate | None
    controls: Mapping[str, Estimate]
    reason: str | None

    @property
    def beaten(self) -> int:
        """How many of the controls are farther from the reference than the generated set."""
        return sum(self.gap is not None and self.gap.value < control.value for control in self.controls.values())


@dataclass(frozen=True, kw_only=True)
class Report:
    """An evaluation.

    Attributes:
        settings: what was asked for.
        counts: generated and reference sequences, pairs among them, and refused ones.
        refused: name and reason of sequences that could not be read.
        profiles: mean distance profiles (T,) of the generated and the reference set, for the plot.
    """

    settings: Mapping[str, Any]
    counts: Mapping[str, int]
    refused: Sequence[tuple[str, str]]
    endpoint: Sequence[EndpointRow]
    process: Sequence[ProcessRow]
    profiles: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def measured(self) -> bool:
        """Whether any measure has a value."""
        return any(end.value is not None for end in self.endpoint) or any(row.gap is not None for row in self.process)

    def to_plain(self) -> dict[str, Any]:
        """Plain containers, figures at six significant digits."""
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
        generated, references: all of one length and size, at least one of each.
        networks: of the endpoint measures that need weights.
        seed: of the controls and of all bootstraps.
    """
    trial_seed, gap_seed, end_seed = seed.spawn(3)
    pairs = [(process, found) for process in generated if (found := mates(process, references))]
    verdicts = try_metrics(references, trial_seed)
    ours, theirs = describe(generated, references), describe(references, generated)
    return Report(
        settings=settings,
        counts={
            "generated": len(generated), "reference": len(references), "paired": len(pairs), "refused": len(refused),
        },
        refused=refused,
        endpoint=endpoint_rows(generated, references, pairs, networks, np.random.default_rng(end_seed)),
        process=[
            _process(metric, verdicts[metric.name], ours[metric.name], theirs[metric.name], np.random.default_rng(one))
            for metric, one in zip(METRICS, gap_seed.spawn(len(METRICS)), strict=True)
        ],
        profiles={
            name: described["distance profile"].vectors.mean(0).tolist()
            for name, described in (("generated", ours), ("reference", theirs))
        },
    )  # fmt: skip


def _process(
    metric: Metric, verdict: Verdict, ours: Description, theirs: Description, rng: np.random.Generator
) -> ProcessRow:
    reason = verdict.reason
    if reason is None and len(ours) < _LEAST:
        few = f"{_LEAST} generated sequences that it can describe are needed at least"
        reason = few if len(ours) or not metric.lacks else f"generated: {metric.lacks}"
    value = gap = None
    if reason is None:
        our_weights = np.vstack([np.ones((1, len(ours))), resampled(ours.pictures, rng, least=_LEAST)])
        their_weights = np.vstack([np.ones((1, len(theirs))), resampled(theirs.pictures, rng, least=_LEAST)])
        gaps = metric.gaps(ours.vectors, theirs.vectors, our_weights, their_weights)
        gap = estimate(float(gaps[0]), gaps[1:], len(ours))
        value = mean_estimate(ours.values, ours.pictures, rng)
    return ProcessRow(
        name=metric.name,
        unit=metric.unit,
        direction=metric.direction,
        value=value,
        reference=verdict.value,
        gap=gap,
        real=verdict.real,
        controls=verdict.controls,
        reason=reason,
    )


def tables(report: Report) -> list[str]:
    """The report as lines for a terminal."""
    from rich.console import Console
    from rich.table import Table

    def table(*head: str, whole: tuple[str, ...]) -> Table:
        made = Table(box=None, padding=(0, 1, 0, 0))
        for name in head:
            made.add_column(name, no_wrap=name in whole)
        return made

    endpoint = table("endpoint", "better", "value", "95 %", "n", whole=("endpoint", "95 %"))
    for end in report.endpoint:
        if end.value is not None:
            told = end.value
            endpoint.add_row(end.name, end.direction, figure(told.value), interval(told), str(told.count))
    head = ("process", "ours", "reference", "gap", "95 %", "real", *CONTROLS, "beats")
    process = table(*head, whole=("process", "95 %"))
    for row in report.process:
        if row.gap is not None and row.value is not None and row.real is not None and row.reference is not None:
            controls = [figure(row.controls[name].value) for name in CONTROLS]
            process.add_row(
                row.name, figure(row.value.value), figure(row.reference.value), figure(row.gap.value),
                interval(row.gap), figure(row.real.value), *controls, f"{row.beaten}/{len(CONTROLS)}",
            )  # fmt: skip
    text = io.StringIO()
    console = Console(file=text, width=_WIDTH, highlight=False, color_system=None)
    for each in (endpoint, process):
        if each.row_count:
            console.print(each)
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    lines += [f"missing: {end.name}: {end.reason}" for end in report.endpoint if end.reason is not None]
    lines += [f"dropped: {row.name}: {row.reason}" for row in report.process if row.reason is not None]
    return lines


def figure(value: float) -> str:
    """Three or four digits that matter."""
    return f"{value:.4f}" if abs(value) < 0.1 else f"{value:.3f}" if abs(value) < 10 else f"{value:.2f}"


def interval(one: Estimate) -> str:
    """The interval of an estimate."""
    return f"{figure(one.low)} to {figure(one.high)}"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {str(key): _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value
