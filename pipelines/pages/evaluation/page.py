"""An evaluation as one HTML page with plots and without scripts, which opens from the disk without a network.

Names are untrusted: all text is escaped, and the content security policy allows only the style of the page.
"""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files

import numpy as np

from pipelines.evaluation.controls import CONTROLS
from pipelines.evaluation.distance import DISTANCE_METRICS, MEAN
from pipelines.evaluation.report import GENERATED, ProcessRow, Report
from pipelines.evaluation.tables import DOUBTFUL, NO_FIGURE, PASSED, figure, figure_of, interval

_LEFT, _RIGHT, _ROW = 170, 760, 34  # px; ends of the lines, and height of a row, in the plot of gaps
_CURVE_WIDTH, _CURVE_HEIGHT = 730, 200
_MARKS = ("M-5 -5L5 5M-5 5L5 -5", "M-5 -5H5V5H-5Z", "M0 -6L6 5H-6Z", "M0 -6L6 0L0 6L-6 0Z")  # one for each control


def render_page(report: Report) -> bytes:
    """The page as UTF-8; the same report gives the same bytes."""
    style = files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    body = [
        *_opening(report),
        *_endpoint(report),
        *_process(report.process),
        *_distance(report),
        *_profiles(report),
        *_left_out(report),
    ]
    head = (
        f"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'\">"
    )
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{head}\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>Evaluation</title>\n'
        f"<style>{style}</style>\n</head>\n<body>\n<main>\n" + "\n".join(body) + "\n</main>\n</body>\n</html>\n"
    ).encode()


def _opening(report: Report) -> list[str]:
    counts, settings = report.counts, report.settings
    return [
        '<p class="kind">Painting processes</p>',
        "<h1>Evaluation</h1>",
        f'<p class="lead">{counts["generated"]} processes of {escape(str(settings["generated"]))} beside '
        f"{counts['reference']} of {escape(str(settings['reference']))}; {counts['paired']} show a picture that is "
        "painted in both.</p>",
        f'<p class="hint">All at {settings["num_frames"]} frames of {settings["size"]} px, seed {settings["seed"]}. '
        "Intervals are 95 %, by bootstrap.</p>",
    ]


def _endpoint(report: Report) -> list[str]:
    rows = [
        (end.name, end.direction, figure(end.value.value), interval(end.value), str(end.value.count))
        for end in report.endpoint
        if end.value is not None
    ]
    if not rows:
        return []
    return ["<h2>The finished picture</h2>", _table(("measure", "better", "mean", "95 %", "sequences"), rows)]


def _process(measured: Sequence[ProcessRow]) -> list[str]:
    rows = [
        (
            row.name,
            row.unit,
            row.direction,
            figure_of(row.value),
            figure_of(row.reference),
            figure(row.gap.value),
            interval(row.gap),
            str(row.gap.count),
            f"{row.beaten} of {len(row.controls)}" if row.controls else NO_FIGURE,
            PASSED if row.believed else DOUBTFUL,
        )
        for row in measured
        if row.gap
    ]
    if not rows:
        return []
    head = ("metric", "value in", "better", "generated", "reference", "gap", "95 %", "sequences", "beats", "trial")
    believed = [row for row in measured if row.believed]
    return [
        "<h2>The way there</h2>",
        '<p class="hint">The gap is how far the set is from the reference by a metric, the smaller the better. Other '
        "processes of the same painters are at the black dot; the controls reach the right picture in a wrong way. A "
        "metric that cannot tell real processes from all controls is in doubt, and is not plotted.</p>",
        *([_gaps(believed)] if believed else []),
        _table(head, rows),
    ]


def _distance(report: Report) -> list[str]:
    if GENERATED not in report.distance:
        return []
    rows = [
        (
            name,
            figure(distances[MEAN].value),
            interval(distances[MEAN]),
            *(figure_of(distances.get(metric)) for metric in DISTANCE_METRICS),
        )
        for name, distances in report.distance.items()
    ]
    return [
        "<h2>Distance to real painters</h2>",
        '<p class="hint">Gaps in units of how far the real processes are from each other: 0 is another set of the same '
        "painters, 1 as far as they are apart. The controls are made from real ones, each judged by the others.</p>",
        _table(("", MEAN, "95 %", *DISTANCE_METRICS), rows),
    ]


def _gaps(rows: Sequence[ProcessRow]) -> str:
    """A line for each metric, from real processes (0) to the farthest control (1)."""
    parts = []
    for at, (name, mark) in enumerate(zip(CONTROLS, _MARKS, strict=True)):
        x = _LEFT + 190 + 130 * at
        parts.append(f'<path class="control" d="{mark}" transform="translate({x} 12)"/>')
        parts.append(f'<text class="quiet" x="{x + 12}" y="16">{escape(name)}</text>')
    for at, (name, kind) in enumerate((("real", "real"), ("generated", "ours"))):
        x = _LEFT + 90 * at
        parts.append(f'<circle class="{kind}" cx="{x}" cy="12" r="5"/>')
        parts.append(f'<text class="quiet" x="{x + 12}" y="16">{name}</text>')
    for number, row in enumerate(rows):
        parts += _gap_line(row, 48 + number * _ROW)
    height = 40 + len(rows) * _ROW
    title = "<title>Gap of generated processes and of controls to the reference, metric by metric</title>"
    return f'<div class="wide"><svg viewBox="0 0 800 {height}" role="img">{title}{"".join(parts)}</svg></div>'


def _gap_line(row: ProcessRow, y: int) -> Iterable[str]:
    if row.gap is None or row.real is None:
        return
    nearest, farthest = row.real.value, max(control.value for control in row.controls.values())

    def x(value: float) -> float:
        share = (value - nearest) / (farthest - nearest)
        return round(_LEFT + (_RIGHT - _LEFT) * float(np.clip(share, -0.02, 1.04)), 1)

    yield f'<text x="0" y="{y + 4}">{escape(row.name)}</text>'
    yield f'<path class="axis" d="M{_LEFT} {y}H{_RIGHT}"/>'
    for (name, control), mark in zip(row.controls.items(), _MARKS, strict=True):
        hint = f"<title>{escape(name)}: {figure(control.value)}</title>"
        yield f'<path class="control" d="{mark}" transform="translate({x(control.value)} {y})">{hint}</path>'
    yield f'<circle class="real" cx="{x(nearest)}" cy="{y}" r="5"><title>real: {figure(nearest)}</title></circle>'
    yield f'<path class="range" d="M{x(row.gap.low)} {y}H{x(row.gap.high)}"/>'
    hint = f"<title>generated: {figure(row.gap.value)}</title>"
    yield f'<circle class="ours" cx="{x(row.gap.value)}" cy="{y}" r="5">{hint}</circle>'


def _profiles(report: Report) -> list[str]:
    curves = []
    for (name, profile), kind in zip(report.profiles.items(), ("ours", "real"), strict=True):
        last = len(profile) - 1
        points = "L".join(
            f"{30 + _CURVE_WIDTH * at / last:.1f} {10 + _CURVE_HEIGHT * (1 - value):.1f}"
            for at, value in enumerate(profile)
        )
        curves.append(f'<path class="curve {kind}" d="M{points}"><title>{name}</title></path>')
    floor = 10 + _CURVE_HEIGHT
    axes = f'<path class="axis" d="M30 10V{floor}H{30 + _CURVE_WIDTH}"/>'
    labels = (
        f'<text class="quiet" x="22" y="16" text-anchor="end">1</text><text class="quiet" x="22" y="{floor}" '
        f'text-anchor="end">0</text><text class="quiet" x="30" y="{floor + 18}">first frame</text>'
        f'<text class="quiet" x="{30 + _CURVE_WIDTH}" y="{floor + 18}" text-anchor="end">last frame</text>'
    )
    return [
        "<h2>Distance to the finished picture</h2>",
        '<p class="hint">Mean profiles: generated in colour, reference in black.</p>',
        f'<div class="wide"><svg viewBox="0 0 {60 + _CURVE_WIDTH} {floor + 24}" role="img"><title>Mean distance '
        f"profiles of both sets</title>{axes}{labels}{''.join(curves)}</svg></div>",
    ]


def _left_out(report: Report) -> list[str]:
    rows = [
        *((DOUBTFUL, row.name, row.doubt) for row in report.process if row.gap and row.doubt is not None),
        *(("no gap", row.name, row.reason) for row in report.process if row.reason is not None),
        *(("missing", end.name, end.reason) for end in report.endpoint if end.reason is not None),
        *(("not read", name, reason) for name, reason in report.refused),
    ]
    if not rows:
        return []
    return ["<h2>What is in doubt, or not here</h2>", _table(("", "what", "why"), rows, kind="text")]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "figures") -> str:
    lines = ["<tr>" + "".join(f'<th scope="col">{escape(name)}</th>' for name in head) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows]
    return f'<div class="wide"><table class="{kind}">' + "\n".join(lines) + "</table></div>"
