"""Chains of points as quadratic splines: a few long pieces, that join with a continuous tangent.

A quadratic B-spline with control points P_0 ... P_m is m - 1 Bézier curves: the inner P_i are their control points,
the middles between neighbouring ones are where they join.
"""

import numpy as np
from numpy.typing import NDArray

from renderers.raster.jit import kernel, part
from renderers.raster.ribbon import Floats

SAG_PX = 1.8
"""How far the control polygon of a careful line may lie off its curve."""

_SMOOTH_PX = 1.6  # along the chain: a hand does not follow finer details
_LONGEST_PIECE_PX = 110.0
_CORNER_ARM_PX, _CORNER_TURN, _CORNER_PEAK = 5, 0.85, 1.5
_STIFFNESS = 1e-4  # pulls control points that the chain leaves undecided to the straight line between its ends


@part
def _smoothed(points: Floats, sigma: float) -> Floats:
    """(n, 2) points blurred along their chain; the two ends stay where they are."""
    count = points.shape[0]
    reach = min(count - 1, int(np.ceil(3 * sigma)))
    blurred = np.empty_like(points)
    for axis in range(2):
        first, last = points[0, axis], points[count - 1, axis]
        for i in range(count):
            total, weights = 0.0, 0.0
            for k in range(-reach, reach + 1):
                weight = np.exp(-0.5 * (k / sigma) ** 2)
                j = i + k
                if j < 0:
                    value = 2 * first - points[-j, axis]
                elif j >= count:
                    value = 2 * last - points[2 * (count - 1) - j, axis]
                else:
                    value = points[j, axis]
                total += weight * value
                weights += weight
            blurred[i, axis] = total / weights
    return blurred


@part
def _turn(points: Floats, i: int, arm: int) -> float:
    """Angle in radians, 0 to pi, by which a chain turns at point i, seen over `arm` points to both sides."""
    ax, ay = points[i, 0] - points[i - arm, 0], points[i, 1] - points[i - arm, 1]
    bx, by = points[i + arm, 0] - points[i, 0], points[i + arm, 1] - points[i, 1]
    angle: float = abs(np.arctan2(ax * by - ay * bx, ax * bx + ay * by))
    return angle


@kernel
def corners_of(points: Floats) -> NDArray[np.int64]:
    """Numbers of the points where a chain (n, 2), its points about a pixel apart, turns sharply, ascending."""
    count, arm = points.shape[0], _CORNER_ARM_PX
    corners = np.empty(max(1, count), np.int64)
    num_corners = 0
    if count >= 4 * arm:
        curve = _smoothed(points, 1.0)
        turns = np.zeros(count)
        for i in range(arm, count - arm):
            turns[i] = _turn(curve, i, arm)
        for i in range(2 * arm, count - 2 * arm):
            if turns[i] < _CORNER_TURN:
                continue
            mean, highest = 0.0, True
            for j in range(i - 2 * arm, i + 2 * arm + 1):
                mean += turns[j] / (4 * arm + 1)
                highest = highest and (turns[j] < turns[i] or (turns[j] == turns[i] and j >= i))
            if highest and turns[i] > _CORNER_PEAK * mean:
                corners[num_corners] = i
                num_corners += 1
    return corners[:num_corners].copy()


@kernel
def fit_spline(points: Floats, sag_px: float) -> Floats:
    """Control points (m + 1, 2), m >= 2, of the spline nearest to a chain (n, 2), n >= 2; more where it bends.

    Args:
        points: in pixels, about one apart.
        sag_px: the larger, the fewer and simpler the pieces.
    """
    count = points.shape[0]
    curve = _smoothed(points, _SMOOTH_PX)
    along = np.zeros(count)
    for i in range(1, count):
        length = max(1e-3, np.hypot(curve[i, 0] - curve[i - 1, 0], curve[i, 1] - curve[i - 1, 1]))
        bend, samples = 0.0, 0
        for j in range(max(2, i - 2), min(count - 2, i + 3)):
            bend += 0.5 * _turn(curve, j, 2)
            samples += 1
        curvature = bend / max(1, samples) / length
        along[i] = along[i - 1] + length * max(np.sqrt(curvature / (8 * sag_px)), 1 / _LONGEST_PIECE_PX)
    num_pieces = max(1, int(np.ceil(along[count - 1])))
    size = num_pieces + 2
    normal, pull = np.zeros((size, 3)), np.zeros((size, 2))  # the band on and right of the diagonal; right-hand sides
    share = np.empty(3)
    for i in range(count):
        place = along[i] / along[count - 1] * num_pieces
        piece = min(num_pieces - 1, int(place))
        t = place - piece
        start, end = (1 - t) ** 2, t * t
        share[0] = start if piece == 0 else 0.5 * start
        share[2] = end if piece == num_pieces - 1 else 0.5 * end
        share[1] = 1 - share[0] - share[2]
        for a in range(3):
            for b in range(a, 3):
                normal[piece + a, b - a] += share[a] * share[b]
            for axis in range(2):
                pull[piece + a, axis] += share[a] * curve[i, axis]
    for k in range(size):
        normal[k, 0] += _STIFFNESS
        for axis in range(2):
            straight = curve[0, axis] + k / (size - 1) * (curve[count - 1, axis] - curve[0, axis])
            pull[k, axis] += _STIFFNESS * straight
    for axis in range(2):  # the two ends are pinned
        for k in range(1, min(3, size)):
            pull[k, axis] -= normal[0, k] * curve[0, axis]
            pull[size - 1 - k, axis] -= normal[size - 1 - k, k] * curve[count - 1, axis]
        pull[0, axis], pull[size - 1, axis] = curve[0, axis], curve[count - 1, axis]
    for pinned in (0, size - 1):
        for k in range(3):
            normal[pinned, k] = 1.0 if k == 0 else 0.0
            if k > 0 and pinned >= k:
                normal[pinned - k, k] = 0.0
    return _solved(normal, pull)


@part
def _solved(band: NDArray[np.float64], right: NDArray[np.float64]) -> Floats:
    """Solution (n, 2) of a symmetric system with two bands (n, 3) beside its diagonal, by elimination."""
    size = band.shape[0]
    for k in range(size):
        for below in range(1, min(3, size - k)):
            factor = band[k, below] / band[k, 0]
            for j in range(below, 3):
                band[k + below, j - below] -= factor * band[k, j]
            for axis in range(2):
                right[k + below, axis] -= factor * right[k, axis]
    solution = np.empty((size, 2), np.float32)
    for k in range(size - 1, -1, -1):
        for axis in range(2):
            value = right[k, axis]
            for j in range(1, min(3, size - k)):
                value -= band[k, j] * solution[k + j, axis]
            solution[k, axis] = value / band[k, 0]
    return solution


def pieces_of(controls: Floats) -> Floats:
    """(m - 1, 3, 2) Bézier curves of a spline with (m + 1, 2) control points."""
    middles = np.float32(0.5) * (controls[1:-2] + controls[2:-1])
    knots = np.concatenate([controls[:1], middles, controls[-1:]])
    return np.stack([knots[:-1], controls[1:-1], knots[1:]], axis=1)
