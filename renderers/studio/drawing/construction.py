"""Construction lines before contours: a horizon, axes of the subjects, and their silhouettes in a few straight lines.

All of it is drawn faintly, with a free arm: straight flicks that cross at the corners, loose ellipses about what is
round.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from renderers.raster.ribbon import Floats
from renderers.studio.drawing.contours import Contour
from renderers.studio.drawing.hand import FREE_ARM, draw_line
from renderers.studio.drawing.pencils import Pencil
from renderers.things import Things

_WEIGHT, _WOBBLE, _OVERSHOOT = 0.22, 0.7, 0.03
_LEAST_AREA, _GREATEST_AREA = 0.012, 0.6  # of things that are blocked in, as shares of the canvas
_LEAST_SALIENCY, _MOST_SUBJECTS = 0.25, 5
_STRAIGHTS = 0.035  # how far a silhouette may stray from its straights
_BORDER = 0.015  # a line that is nearer to the edge of the canvas is that edge
_ROUND = 0.9  # overlap with its ellipse from which a thing is round
_HORIZON_WIDTH, _HORIZON_SLOPE = 0.45, 0.12


def construct(
    things: Things, contours: list[Contour], pencil: Pencil, num_strokes: int, rng: np.random.Generator
) -> list[tuple[Floats, int]]:
    """Strokes (as in `hand.draw_line`) and thing of each construction line, at most `num_strokes`."""
    hand = pencil.hand._replace(wobble=_WOBBLE * pencil.hand.wobble, overshoot=_OVERSHOOT, taper=FREE_ARM)
    height, width = things.labels.shape
    extent = np.array([width, height]) / min(height, width)
    lines = [(controls, thing) for controls, thing in _horizon(contours, extent)]
    shares = things.areas_px / things.labels.size
    for thing in np.argsort(-things.saliency, kind="stable")[:_MOST_SUBJECTS].tolist():
        if things.saliency[thing] >= _LEAST_SALIENCY and _LEAST_AREA <= shares[thing] <= _GREATEST_AREA:
            lines += [(controls, thing) for controls in _blocked_in(things.labels == thing, extent)]
    strokes_and_things, left = [], num_strokes
    for controls, thing in lines:
        strokes = draw_line(controls, hand, _WEIGHT, rng)
        if len(strokes) <= left:
            left -= len(strokes)
            strokes_and_things.append((strokes, thing))
    return strokes_and_things


def _horizon(contours: list[Contour], extent: NDArray[np.float64]) -> list[tuple[Floats, int]]:
    """A level line across the canvas where a long and nearly level border between things runs, if one does."""
    for contour in contours:
        span = np.ptp(contour.points[:, 0])
        if (
            contour.silhouette
            and span > _HORIZON_WIDTH * extent[0]
            and np.ptp(contour.points[:, 1]) < _HORIZON_SLOPE * span
        ):
            level = float(np.median(contour.points[:, 1]))
            return [
                (_straight(np.array([0.04 * extent[0], level]), np.array([0.96 * extent[0], level])), contour.thing)
            ]
    return []


def _blocked_in(mask: NDArray[np.bool_], extent: NDArray[np.float64]) -> list[Floats]:
    """Control points of the lines that measure one thing: its axis, then an ellipse or the straights of its outline."""
    unit_px = float(np.min(mask.shape))
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(outlines, key=cv2.contourArea)
    inside = np.argwhere(mask)[:, ::-1]
    centre, spread = inside.mean(0), np.cov(inside.T) + np.eye(2)
    sizes, axes = np.linalg.eigh(spread)
    half = 2 * np.sqrt(sizes)  # of an ellipse with these moments
    angle = float(np.degrees(np.arctan2(axes[1, 1], axes[0, 1])))
    disc = np.zeros(mask.shape, np.uint8)
    cv2.ellipse(
        disc, tuple(np.rint(centre).astype(int).tolist()), (round(half[1]), round(half[0])), angle, 0, 360, 1, -1
    )
    overlap = float((mask & (disc > 0)).sum() / (mask | (disc > 0)).sum())
    axis, middle = 1.1 * half[1] * axes[:, 1] / unit_px, (centre + 0.5) / unit_px
    lines = [_straight(_inside(middle, -axis, extent), _inside(middle, axis, extent))]
    if overlap > _ROUND:
        return [*lines, _ellipse(middle, half / unit_px, axes)]
    corners = (cv2.approxPolyDP(outline, _STRAIGHTS * unit_px, True)[:, 0] + 0.5) / unit_px
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        halfway = 0.5 * (start + end)
        if np.minimum(halfway, extent - halfway).min() > _BORDER and np.hypot(*(end - start)) > 0.05:
            lines.append(_straight(start, end))
    return lines


def _inside(start: NDArray[np.float64], way: NDArray[np.float64], extent: NDArray[np.float64]) -> NDArray[np.float64]:
    """The end of a vector `way` from a place on the canvas, or where it leaves the canvas."""
    room = np.where(way > 0, extent - start, start) / np.maximum(np.abs(way), 1e-9)
    end: NDArray[np.float64] = start + way * min(1.0, float(room.min()))
    return end


def _straight(start: NDArray[np.float64], end: NDArray[np.float64]) -> Floats:
    return np.stack([start, 0.5 * (start + end), end]).astype(np.float32)


def _ellipse(centre: NDArray[np.float64], half: NDArray[np.float64], axes: NDArray[np.float64]) -> Floats:
    """Control points of a spline once around an ellipse and a little on."""
    turns = np.linspace(0.0, 2 * np.pi * 1.1, 10)
    out = 1 / np.cos(np.pi * 1.1 / 9)  # control points lie outside of their curve
    ring = out * (np.cos(turns)[:, None] * half[1] * axes[:, 1] + np.sin(turns)[:, None] * half[0] * axes[:, 0])
    controls: Floats = (centre + ring).astype(np.float32)
    return controls
