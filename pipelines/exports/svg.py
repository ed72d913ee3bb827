"""SVG: every stroke is a filled outline, in painting order, in a group for each frame; browsers can play it (SMIL).

Groups have the names that Inkscape shows as layers.
"""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from pipelines.exports.outline import outline
from pipelines.exports.process import Process
from pipelines.exports.settings import Settings
from pipelines.exports.strokes import Stop, Stroke, multiplies, strokes_by_frame
from renderers.begun import begun_png
from renderers.painting import StrokeProgram

_TOLERANCE = 1.5 / 255  # colours and opacities that differ by less count as equal
NAMESPACES = 'xmlns="http://www.w3.org/2000/svg" xmlns:inkscape="http://www.inkscape.org/namespaces/inkscape"'


def write(process: Process, settings: Settings, path: Path) -> None:
    """Write one process."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in _lines(process, settings))


def _lines(process: Process, settings: Settings) -> Iterator[str]:
    program = process.program
    assert program is not None  # the registry refuses processes without strokes
    height, width = process.size_px
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield (
        f'<svg {NAMESPACES} width="{width}" height="{height}" viewBox="0 0 {program.width_px} {program.height_px}" '
        'fill-rule="nonzero">'
    )
    yield f"<title>{escape(process.title)}</title>"
    yield f"<desc>{escape(process.credit)}</desc>"
    if settings.animated:
        yield _clock(settings)
    yield _canvas(program)
    style = ' style="mix-blend-mode:multiply"' if multiplies(program) else ""
    times = _times(process, len(program.strokes), settings.seconds) if settings.animated else ()
    indices = count()
    for number, strokes in strokes_by_frame(process):
        yield layer_tag(process, number)
        for stroke, index in zip(strokes, indices, strict=False):
            appears = f"{_hidden_until(times[index])}</path>" if settings.animated else ""
            yield _path(stroke, index, style, appears)
        yield "</g>"
    yield "</svg>"


def _canvas(program: StrokeProgram) -> str:
    """The canvas below the strokes: a colour, or the picture that the painting began with."""
    if (png := begun_png(program)) is None:
        return f'<rect id="canvas" width="100%" height="100%" fill="{rgb_hex(program.canvas)}"/>'
    return (
        '<image id="canvas" width="100%" height="100%" preserveAspectRatio="none" '
        f'href="data:image/png;base64,{b64encode(png).decode()}"/>'
    )


def layer_tag(process: Process, number: int) -> str:
    """The opening tag of the group of a frame, which Inkscape shows as a layer."""
    label = quoteattr(process.label(number))
    return f'<g id="frame-{number:03d}" inkscape:groupmode="layer" inkscape:label={label}>'


def _path(stroke: Stroke, index: int, style: str, inside: str) -> str:
    gradient, fill = _fill(stroke, index)
    close = f">{inside}" if inside else "/>"
    return f'{gradient}<path d="{outline(stroke)}" {fill}{style}{close}'


def _fill(stroke: Stroke, index: int) -> tuple[str, str]:
    """A gradient along the stroke if it needs one, and the attributes of its fill."""
    values = np.array([(*stop.rgb, stop.opacity) for stop in stroke.stops])
    start, axis = stroke.stops[0].at, stroke.stops[-1].at - stroke.stops[0].at
    if abs(axis) < 1 or float(np.ptp(values, axis=0).max()) < _TOLERANCE:
        red, green, blue, opacity = values.mean(0)
        return "", f'fill="{rgb_hex((red, green, blue))}"' + _opacity("fill-opacity", opacity)
    end = start + axis
    stops = "".join(
        f'<stop offset="{offset:.3f}" stop-color="{rgb_hex(stop.rgb)}"{_opacity("stop-opacity", stop.opacity)}/>'
        for offset, stop in _along(stroke.stops, start, axis)
    )
    return (
        f'<linearGradient id="s{index}" gradientUnits="userSpaceOnUse" x1="{start.real:.2f}" y1="{start.imag:.2f}" '
        f'x2="{end.real:.2f}" y2="{end.imag:.2f}">{stops}</linearGradient>',
        f'fill="url(#s{index})"',
    )


def _along(stops: Sequence[Stop], start: complex, axis: complex) -> Iterator[tuple[float, Stop]]:
    """Stops with their offsets along the axis; stops at which the stroke turns back along the axis are left out."""
    reached = -1.0
    for stop in stops:
        offset = ((stop.at - start) * axis.conjugate()).real / abs(axis) ** 2
        if reached < offset <= 1 and offset >= 0:
            reached = offset
            yield offset, stop


def _opacity(name: str, opacity: float) -> str:
    return "" if opacity > 1 - _TOLERANCE / 2 else f' {name}="{max(0.0, opacity):.3f}"'


def _clock(settings: Settings) -> str:
    """An invisible animation that repeats forever; the times of all strokes are relative to it."""
    length = settings.seconds + settings.hold
    return (
        '<rect width="0" height="0"><set id="again" attributeName="x" to="0" '
        f'begin="0s;again.end" dur="{length:.2f}s"/></rect>'
    )


def _hidden_until(second: float) -> str:
    """An animation that hides a stroke until a time; programs that play no animations show the finished painting."""
    return f'<set attributeName="display" to="none" begin="again.begin" dur="{max(second, 0.01):.2f}s"/>'


def _times(process: Process, num_strokes: int, seconds: float) -> Sequence[float]:
    """Second at which each stroke appears: frames are equally spaced in time, and so are strokes between two frames."""
    steps = [frame.step or 0 for frame in process.frames]
    ends = np.linspace(0.0, seconds, len(steps))
    return [float(time) for time in np.interp(np.arange(1, num_strokes + 1), steps, ends)]


def rgb_hex(rgb: Sequence[float]) -> str:
    """`#rrggbb` of a colour in [0, 1]."""
    return "#" + "".join(f"{round(255 * min(1.0, max(0.0, float(value)))):02x}" for value in rgb)
