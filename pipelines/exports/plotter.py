"""SVG for pen plotters: centre lines in millimetres on a page, cut at the borders of the picture; nothing is filled."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import escape

from pipelines.exports.process import Process
from pipelines.exports.settings import Settings
from pipelines.exports.strokes import strokes_by_frame
from pipelines.exports.svg import NAMESPACES, layer_tag, rgb_hex

_SHORTEST_MM = 0.05

Curve = tuple[complex, complex, complex]


def write(process: Process, settings: Settings, path: Path) -> None:
    """Write one process."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in _lines(process, settings))


def _lines(process: Process, settings: Settings) -> Iterator[str]:
    program = process.program
    assert program is not None  # the registry refuses processes without strokes
    height, width = program.height_px, program.width_px
    page_width, page_height = settings.page_mm(wide=width > height)
    margin = settings.margin_mm + settings.pen_mm / 2
    mm = min((page_width - 2 * margin) / width, (page_height - 2 * margin) / height)
    corner = complex(page_width - mm * width, page_height - mm * height) / 2
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield (
        f'<svg {NAMESPACES} width="{page_width}mm" height="{page_height}mm" '
        f'viewBox="0 0 {page_width} {page_height}" fill="none" stroke-width="{settings.pen_mm}" '
        'stroke-linecap="round">'
    )
    yield f"<title>{escape(process.title)}</title>"
    yield f"<desc>{escape(process.credit)}</desc>"
    for number, strokes in strokes_by_frame(process):
        yield layer_tag(process, number)
        for stroke in strokes:
            colour = rgb_hex(stroke.stops[len(stroke.stops) // 2].rgb)
            for piece in inside(stroke.points, width, height):
                p0, p1, p2 = (corner + mm * point for point in piece)
                if abs(p1 - p0) + abs(p2 - p1) >= _SHORTEST_MM:
                    yield f'<path d="M{_xy(p0)}Q{_xy(p1)} {_xy(p2)}" stroke="{colour}"/>'
        yield "</g>"
    yield "</svg>"


def inside(curve: Curve, width: float, height: float) -> Iterator[Curve]:
    """The pieces of a quadratic Bézier curve that lie in the rectangle from (0, 0) to (width, height)."""
    p0, p1, p2 = curve
    cuts = {0.0, 1.0}
    for a, b, c, limits in (
        (p0.real, p1.real, p2.real, (0.0, width)),
        (p0.imag, p1.imag, p2.imag, (0.0, height)),
    ):
        for limit in limits:
            cuts.update(t for t in _roots(a - 2 * b + c, 2 * (b - a), a - limit) if 0 < t < 1)
    ordered = sorted(cuts)
    for start, end in pairwise(ordered):
        middle = _at(curve, (start + end) / 2)
        if 0 <= middle.real <= width and 0 <= middle.imag <= height:
            # The control point of a piece is where the tangents at its ends meet (de Casteljau with two parameters).
            between = (1 - start) * ((1 - end) * p0 + end * p1) + start * ((1 - end) * p1 + end * p2)
            yield _at(curve, start), between, _at(curve, end)


def _at(curve: Curve, t: float) -> complex:
    p0, p1, p2 = curve
    return (1 - t) ** 2 * p0 + 2 * t * (1 - t) * p1 + t**2 * p2


def _roots(a: float, b: float, c: float) -> tuple[float, ...]:
    """The real roots of a t^2 + b t + c."""
    if abs(a) < 1e-9:
        return () if abs(b) < 1e-9 else (-c / b,)
    square = b * b - 4 * a * c
    if square < 0:
        return ()
    return (-b + square**0.5) / (2 * a), (-b - square**0.5) / (2 * a)


def _xy(point: complex) -> str:
    return f"{point.real:.3f} {point.imag:.3f}"
