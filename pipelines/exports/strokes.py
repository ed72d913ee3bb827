"""Strokes of a program in the form that vector programs can draw: a curve, two radii, and colours along it.

A smooth stroke (`bezier`) is represented exactly. For a textured stroke, the mark of its brush becomes its mean opacity
from one end to the other; ink, which adds to what is below, becomes a colour that is multiplied.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.exports.process import Process
from renderers.brush.stroke import FAR_RED, MARK, NUM_BRUSH_COLUMNS
from renderers.painting import StrokeProgram
from renderers.raster.ribbon import A0, A2, NUM_COLUMNS, R0, R2, RED, X0, X1, X2, Y0, Y1, Y2

_SAMPLES = np.array([0.0, 0.125, 0.25, 0.5, 0.75, 0.875, 1.0])
_MARK_BINS = 8


class Stop(NamedTuple):
    """Colour and opacity at one place of a stroke's centre line."""

    at: complex
    rgb: tuple[float, float, float]
    opacity: float


@dataclass(frozen=True, kw_only=True)
class Stroke:
    """One stroke, in px; points are complex numbers, x + iy.

    Attributes:
        points: the control points of its centre line, a quadratic Bézier curve.
        radii: radii at both ends; linear in between.
        stops: colours along it.
    """

    points: tuple[complex, complex, complex]
    radii: tuple[float, float]
    stops: tuple[Stop, ...]


def multiplies(program: StrokeProgram) -> bool:
    """Whether strokes darken what is below instead of covering it."""
    return _density(program) > 0 and "merges" not in program.arrays


def strokes_by_frame(process: Process) -> Iterator[tuple[int, list[Stroke]]]:
    """(number of a frame, the strokes that it adds); frames that add none are left out.

    Raises:
        ValueError: if there is no program, or it is damaged.
    """
    if process.program is None:
        raise ValueError("no strokes are known")
    strokes = strokes_of(process.program)
    steps = [frame.step or 0 for frame in process.frames]
    for number, (start, end) in enumerate(pairwise([0, *steps])):
        if end > start:
            yield number, list(islice(strokes, end - start))


def strokes_of(program: StrokeProgram) -> Iterator[Stroke]:
    """The strokes of a program of the families `bezier`, `brush` or `studio`, in painting order.

    Raises:
        ValueError: if the program is damaged.
    """
    columns = NUM_COLUMNS if program.family == "bezier" else NUM_BRUSH_COLUMNS
    rows = program.rows(columns, lengths=slice(X0, R2 + 1), radii=slice(R0, R2 + 1)).astype(np.float64)
    unit = min(program.height_px, program.width_px)
    covers = None if program.family == "bezier" else _covers(program)
    for row in rows:
        points = tuple(complex(row[x], row[y]) * unit for x, y in ((X0, Y0), (X1, Y1), (X2, Y2)))
        first, middle, last = points
        along = _SAMPLES
        opacities = row[A0] + along * (row[A2] - row[A0])
        colours = np.repeat(row[None, RED : RED + 3], len(along), 0)
        if covers is not None:
            # The mark extends over the whole stroke, including its round ends (`renderers.brush.stroke`).
            length = abs(last - first) / unit
            place = (row[R0] + along * length) / max(row[R0] + length + row[R2], 1e-6)
            cover = covers[int(row[MARK]) % len(covers)]
            opacities = opacities * np.interp(place * (_MARK_BINS - 1), np.arange(_MARK_BINS), cover)
            colours = np.clip(colours + place[:, None] * (row[FAR_RED : FAR_RED + 3] - colours), 0.0, 1.0)
        rgbs, opacities = _displayed(program, colours, opacities)
        places = (1 - along) ** 2 * first + 2 * along * (1 - along) * middle + along**2 * last
        stops = tuple(
            Stop(complex(at), (float(rgb[0]), float(rgb[1]), float(rgb[2])), float(opacity))
            for at, rgb, opacity in zip(places, rgbs, opacities, strict=True)
        )
        yield Stroke(points=(first, middle, last), radii=(row[R0] * unit, row[R2] * unit), stops=stops)


def _displayed(
    program: StrokeProgram, colours: NDArray[np.float64], opacities: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n, 3) RGB and (n,) opacities as displayed; for ink, `colours` are the amounts that it leaves in each channel."""
    density = _density(program)
    if density == 0:
        return colours, opacities
    if multiplies(program):
        return np.exp(-density * colours * opacities[:, None]), np.ones_like(opacities)
    return np.asarray(program.canvas) * np.exp(-density * colours), opacities


def _density(program: StrokeProgram) -> float:
    """The density of full ink (`renderers.brush.canvas`); 0 for paint that covers."""
    stored = program.arrays.get("density", np.zeros(()))
    if stored.shape != ():
        raise ValueError("the program's density is no number")
    return float(stored)


def _covers(program: StrokeProgram) -> NDArray[np.float64]:
    """(K, 8) mean coverage of each of K marks, from its beginning to its end."""
    marks = program.arrays.get("brush_cover")
    if marks is None or marks.ndim != 3 or marks.shape[2] < _MARK_BINS:
        raise ValueError("the program's brush marks are missing")
    across = marks.mean(axis=1) / 255
    return np.stack([part.mean(axis=1) for part in np.array_split(across, _MARK_BINS, axis=1)], axis=1)
