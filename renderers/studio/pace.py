"""Progress of a painting at each step, as the time that a painter would take; frames are spaced by it.

The distance to the finished canvas alone will not do. A drawing brings a canvas no nearer to it, and takes its time; so
do the last touches, after which nothing large is left to do. And real painters take longer over what they begin with:
after three quarters of their frames half the way is left.

Strokes that bring the canvas hardly nearer take time as well: modelling does, after everything has been blocked in. And
no single stroke takes long, however far it brings the canvas: otherwise frames that show strokes one by one would stand
beside others between which half of the canvas changes.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from renderers.pace import without_setbacks
from renderers.studio.phases import PHASES, Turns

_DRAWING, _ACCENTS = 0.2, 0.11  # shares of the time
_HASTE = 1.75  # of objects: progress = time ** haste
_STEADY = 0.25  # share of the time of objects that passes by strokes
_LONGEST = 0.01  # share of the time that a single stroke takes at most
_HALF_WAY = 0.5 ** (1.0 / _HASTE)  # share of the time of objects after which half of the way is gone
_MOST_BENT = 0.5  # how much more slowly time passes at most, so that it is
_LEAST = 1e-9


def time_left(turns: Turns, distances: NDArray[np.float64], energies: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N + 1,) share of the time that is left after each step, from 1 falling to 0.

    It stands still at steps that are farther from the finished canvas than one before, so that no frame shows them,
    except where a drawing or a correction is made.

    Args:
        distances: (N + 1,) from the finished canvas.
        energies: (N + 1,) of the difference from the finished canvas: unlike a distance by octaves, they fall in
            proportion to the area that is painted.
    """
    count = len(turns.phases)
    is_preparation = np.isin(turns.phases, [PHASES.index("ground"), PHASES.index("drawing")])
    first = int(np.argmin(is_preparation)) if not is_preparation.all() else count
    last = count - int((turns.phases == PHASES.index("accents")).sum())
    shares = np.array([_DRAWING * (first > 0), 0.0, _ACCENTS * (count > last)])
    shares[1] = (1.0 - shares.sum()) * (last > first)
    shares /= max(float(shares.sum()), _LEAST)
    left = np.empty(count + 1)
    left[: first + 1] = 1.0 - shares[0] * np.linspace(0.0, 1.0, first + 1)
    way = _progress(energies[first : last + 1])
    progress = (1.0 - _STEADY) * way ** (1.0 / _HASTE) + _STEADY * np.linspace(0.0, 1.0, len(way))
    left[first : last + 1] = 1.0 - shares[0] - shares[1] * progress
    left[last:] = shares[2] * (1.0 - _progress(energies[last:]))
    left[-1] = 0.0
    times = -np.diff(without_setbacks(left, turns.receding, distances))
    for start, end in pairwise((0, first, last, count)):
        times[start:end] = _lasting(np.minimum(times[start:end], _LONGEST), times[start:end].sum())
    times[first:last] = _bent(times[first:last], way)
    return np.append(np.cumsum(times[::-1])[::-1], 0.0)  # equal where no time passes, to the last bit


def _lasting(times: NDArray[np.float64], total: float) -> NDArray[np.float64]:
    """Times (n,) in the same proportions that last `total` together, unless all are 0."""
    lasting: NDArray[np.float64] = times * (total / max(float(times.sum()), _LEAST))
    return lasting


def _bent(times: NDArray[np.float64], way: NDArray[np.float64]) -> NDArray[np.float64]:
    """Times (n,) of strokes, longer at first or at last, so that half of the way is gone when a painter has it behind.

    Where a step that went far no longer takes long, half of the way would lie too early.

    Args:
        way: (n + 1,) the way gone before the first stroke and after each.
    """
    if not len(times):
        return times
    passed = np.cumsum(times) / max(float(times.sum()), _LEAST)
    half = float(np.clip(passed[max(0, int(np.argmax(way >= 0.5)) - 1)], 0.02, 0.98))
    bend = np.clip((_HALF_WAY / half - 1.0) / (1.0 - half), -_MOST_BENT, _MOST_BENT)
    return _lasting(times * (1.0 + bend * (1.0 - 2.0 * passed)), float(times.sum()))


def _progress(energies: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) progress by energies (n,): 0 at the first, 1 at the last, and never falling."""
    nearest = np.minimum.accumulate(energies)
    progress: NDArray[np.float64] = (nearest[0] - nearest) / max(float(nearest[0] - nearest[-1]), _LEAST)
    progress[-1] = float(len(energies) > 1)
    return progress
