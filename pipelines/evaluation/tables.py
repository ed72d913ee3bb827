"""An evaluation as lines for a terminal."""

import io
from typing import TYPE_CHECKING

from pipelines.evaluation.agreement import Estimate, Figure
from pipelines.evaluation.controls import CONTROLS
from pipelines.evaluation.distance import DISTANCE_METRICS, MEAN
from pipelines.evaluation.report import Report

if TYPE_CHECKING:
    from rich.table import Table

NO_FIGURE = "-"
PASSED, DOUBTFUL = "passed", "in doubt"

_WIDTH = 120  # columns


def tables(report: Report) -> list[str]:
    """The report as lines: finished pictures, processes, distance to real painters, missing and doubtful metrics."""
    from rich.console import Console

    text = io.StringIO()
    console = Console(file=text, width=_WIDTH, highlight=False, color_system=None)
    for each in (_endpoint(report), _process(report), _distance(report)):
        if each.row_count:
            console.print(each)
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    lines += [f"missing: {end.name}: {end.reason}" for end in report.endpoint if end.reason is not None]
    lines += [f"no gap: {row.name}: {row.reason}" for row in report.process if row.reason is not None]
    lines += [
        f"{DOUBTFUL}: {row.name}: {row.doubt}"
        for row in report.process
        if row.doubt is not None and row.gap is not None
    ]
    return lines


def figure(value: float) -> str:
    """A figure with three or four significant digits."""
    return f"{value:.4f}" if abs(value) < 0.1 else f"{value:.3f}" if abs(value) < 10 else f"{value:.2f}"


def figure_of(one: Figure | None) -> str:
    """The value of a figure as text; a dash without one."""
    return figure(one.value) if one is not None else NO_FIGURE


def interval(one: Figure) -> str:
    """The interval of a figure as text; a dash without one."""
    return f"{figure(one.low)} to {figure(one.high)}" if isinstance(one, Estimate) else NO_FIGURE


def _endpoint(report: Report) -> "Table":
    table = _table("endpoint", "better", "value", "95 %", "n", unwrapped=("endpoint", "95 %"))
    for end in report.endpoint:
        if end.value is not None:
            value = end.value
            table.add_row(end.name, end.direction, figure(value.value), interval(value), str(value.count))
    return table


def _process(report: Report) -> "Table":
    head = ("process", "ours", "reference", "gap", "95 %", "real", *CONTROLS, "trial")
    table = _table(*head, unwrapped=("process", "95 %", "cross-fade", "trial"))
    for row in report.process:
        if row.gap is not None:
            table.add_row(
                row.name, figure_of(row.value), figure_of(row.reference), figure(row.gap.value), interval(row.gap),
                figure_of(row.real), *(figure_of(row.controls.get(name)) for name in CONTROLS),
                PASSED if row.believed else DOUBTFUL,
            )  # fmt: skip
    return table


def _distance(report: Report) -> "Table":
    """A row for each metric and a column for each set; the generated set's interval is in the last column."""
    table = _table(
        "distance to real painters", *report.distance, "95 % of ours", unwrapped=("distance to real painters",)
    )
    for metric in (MEAN, *DISTANCE_METRICS):
        estimates = [distances.get(metric) for distances in report.distance.values()]
        if estimates and estimates[0] is not None:
            table.add_row(metric, *map(figure_of, estimates), interval(estimates[0]))
    return table


def _table(*head: str, unwrapped: tuple[str, ...]) -> "Table":
    from rich.table import Table

    table = Table(box=None, padding=(0, 1, 0, 0))
    for name in head:
        table.add_column(name, no_wrap=name in unwrapped)
    return table
