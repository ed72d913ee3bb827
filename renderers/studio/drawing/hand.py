"""A hand draws a curve: it wavers, presses and lifts, and shoots past corners."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from renderers.raster.jit import kernel
from renderers.raster.ribbon import A0, A2, R0, R2, X0, X2, Y0, Floats

_WAVER_LEAST, _WAVER_BY_WAY, _LONGEST_WAY = 0.4, 6.0, 0.2
_OVERLAP = 0.5  # radii by which pieces of a line end before their joint, as their ends are round
_BREATH = 0.15
NUM_LINE_COLUMNS = A2 + 1
FREE_ARM = 10.0
"""Taper of a line that is one flick."""

Doubles = NDArray[np.float64]


class Hand(NamedTuple):
    """How a tool is held; lengths in units of the canvas's shorter side.

    Attributes:
        radius: of a line at full pressure.
        thinning: how much thinner it is at no pressure, 0 to 1.
        opacity: of a line at full pressure, 0 to 1.
        fading: how much paler it is at no pressure, 0 to 1.
        wobble: how far the hand strays.
        overshoot: how far a line goes on beyond its ends.
        taper: over which length it begins and ends.
    """

    radius: float
    thinning: float
    opacity: float
    fading: float
    wobble: float
    overshoot: float
    taper: float


def draw_line(controls: Floats, hand: Hand, weight: float, rng: np.random.Generator) -> Floats:
    """Strokes of one line that is drawn in one go: (n, NUM_LINE_COLUMNS), the columns of a ribbon up to its opacities.

    Args:
        controls: (m + 1, 2) control points of its spline, m >= 2, in units of the canvas's shorter side.
        weight: how firmly it is drawn, 0 to about 1.3.
    """
    return _drawn(controls, hand, weight, rng.standard_normal((len(controls) + 2, 3)), rng.random(4))


@kernel
def _drawn(controls: Floats, hand: Hand, weight: float, normals: Doubles, chances: Doubles) -> Floats:
    """As `draw_line`, with given random numbers: (m + 3, 3) normal ones and (4,) uniform ones."""
    last = controls.shape[0] - 1
    shaken = np.empty((last + 1, 2))
    for k in range(last + 1):
        way = _LONGEST_WAY
        if k > 0:
            way = min(way, np.hypot(controls[k, 0] - controls[k - 1, 0], controls[k, 1] - controls[k - 1, 1]))
        if k < last:
            way = min(way, np.hypot(controls[k, 0] - controls[k + 1, 0], controls[k, 1] - controls[k + 1, 1]))
        for axis in range(2):
            shaken[k, axis] = controls[k, axis] + normals[k, axis] * hand.wobble * (_WAVER_LEAST + _WAVER_BY_WAY * way)
    length = 0.0
    for k in range(last):
        length += np.hypot(shaken[k + 1, 0] - shaken[k, 0], shaken[k + 1, 1] - shaken[k, 1])
    for side in range(2):
        end, inner = (0, 1) if side == 0 else (last, last - 1)
        out_x, out_y = shaken[end, 0] - shaken[inner, 0], shaken[end, 1] - shaken[inner, 1]
        by = min(2 * chances[side] * hand.overshoot, 0.15 * length) / max(1e-6, np.hypot(out_x, out_y))
        shaken[end, 0] += by * out_x
        shaken[end, 1] += by * out_y
    # Bézier pieces, the outer ones cut in two where the line has begun and where it begins to end.
    pieces = np.empty((last + 1, 3, 2))
    count = 0
    for k in range(1, last):
        for axis in range(2):
            pieces[count, 0, axis] = shaken[0, axis] if k == 1 else 0.5 * (shaken[k - 1, axis] + shaken[k, axis])
            pieces[count, 1, axis] = shaken[k, axis]
            pieces[count, 2, axis] = (
                shaken[last, axis] if k == last - 1 else 0.5 * (shaken[k, axis] + shaken[k + 1, axis])
            )
        count += 1
    for side in range(2):
        which = 0 if side == 0 else count - 1
        chord = np.hypot(pieces[which, 2, 0] - pieces[which, 0, 0], pieces[which, 2, 1] - pieces[which, 0, 1])
        if chord > 1.5 * hand.taper:
            cut = hand.taper / chord if side == 0 else 1 - hand.taper / chord
        else:
            continue
        for k in range(count, which, -1):
            for point in range(3):  # not a row at once, which takes numba seconds to compile
                pieces[k, point, 0], pieces[k, point, 1] = pieces[k - 1, point, 0], pieces[k - 1, point, 1]
        for axis in range(2):
            a, b, c = pieces[which, 0, axis], pieces[which, 1, axis], pieces[which, 2, axis]
            ab, bc = a + cut * (b - a), b + cut * (c - b)
            middle = ab + cut * (bc - ab)
            pieces[which, 1, axis], pieces[which, 2, axis] = ab, middle
            pieces[which + 1, 0, axis], pieces[which + 1, 1, axis] = middle, bc
        count += 1
    along = np.zeros(count + 1)
    for k in range(count):
        along[k + 1] = along[k] + np.hypot(pieces[k, 2, 0] - pieces[k, 0, 0], pieces[k, 2, 1] - pieces[k, 0, 1])
    reach = min(hand.taper, 0.4 * along[count]) + 1e-6
    begins, ends = 0.15 + 0.45 * chances[2], 0.35 * chances[3]
    radii, opacities = np.empty(count + 1), np.empty(count + 1)
    for k in range(count + 1):
        rise = begins + (1 - begins) * min(1.0, along[k] / reach)
        fall = ends + (1 - ends) * min(1.0, (along[count] - along[k]) / reach)
        if count == 1:  # a flick
            rise, fall = 1.0, 1.0 - k * (1 - ends)
        breath = min(1.25, max(0.7, 1 + _BREATH * normals[k, 2]))
        pressure = weight * rise * fall * breath
        radii[k] = hand.radius * (1 - hand.thinning * (1 - pressure))
        opacities[k] = min(1.0, max(0.0, hand.opacity * (1 - hand.fading * (1 - pressure))))
    strokes = np.empty((count, NUM_LINE_COLUMNS), np.float32)
    for k in range(count):
        for point in range(3):
            for axis in range(2):
                strokes[k, X0 + 2 * point + axis] = pieces[k, point, axis]
        for side in range(2):  # shortened at inner joints, so that round ends do not overlap
            end = 0 if side == 0 else 2
            if (side == 0 and k > 0) or (side == 1 and k < count - 1):
                in_x, in_y = pieces[k, 1, 0] - pieces[k, end, 0], pieces[k, 1, 1] - pieces[k, end, 1]
                by = min(0.25, _OVERLAP * radii[k + side] / max(1e-6, np.hypot(in_x, in_y)))
                strokes[k, X0 if side == 0 else X2] += by * in_x
                strokes[k, Y0 if side == 0 else Y0 + 4] += by * in_y
        strokes[k, R0], strokes[k, R2] = radii[k], radii[k + 1]
        strokes[k, A0], strokes[k, A2] = opacities[k], opacities[k + 1]
    return strokes
