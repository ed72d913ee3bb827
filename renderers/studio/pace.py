"""Progress of a painting at each step, as the time that a painter would take; frames are spaced by it.

The distance to the finished canvas alone will not do. A drawing brings a canvas no nearer to it, and takes its time; so
do the last touches, after which nothing large is left to do. And real painters take longer over what they begin with:
after three quarters of their frames half the way is left.
"""

import numpy as np
from numpy.typing import NDArray

from renderers.pace import without_setbacks
from renderers.studio.phases import PHASES, Turns

_DRAWING, _ACCENTS = 0.2, 0.11  # shares of the time
_HASTE = 1.75  # of objects: progress = time ** haste
_STEADY = 0.25  # share of the time of objects that passes by strokes
_LEAST = 1e-9


def time_left(
    turns: Turns, distances: NDArray[np.float64], energies: NDArray[np.float64], *, steadily: bool = False
) -> NDArray[np.float64]:
    """(N + 1,) share of the time that is left after each step, from 1 falling to 0.

    It stands still at steps that are farther from the finished canvas than one before, so that no frame shows them,
    except where a drawing or a correction is made.

    Args:
        distances: (N + 1,) from the finished canvas.
        energies: (N + 1,) of the difference from the finished canvas: unlike a distance by octaves, they fall in
            proportion to the area that is painted.
        steadily: whether some of the time of objects passes by strokes: a painter who blocks everything in before
            finishing anything then has little energy left, but most of the strokes.
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
    progress = _progress(energies[first : last + 1]) ** (1.0 / _HASTE)
    if steadily:
        progress = (1.0 - _STEADY) * progress + _STEADY * np.linspace(0.0, 1.0, len(progress))
    left[first : last + 1] = 1.0 - shares[0] - shares[1] * progress
    left[last:] = shares[2] * (1.0 - _progress(energies[last:]))
    left[-1] = 0.0
    return without_setbacks(left, turns.receding, distances)


def _progress(energies: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) progress by energies (n,): 0 at the first, 1 at the last, and never falling."""
    nearest = np.minimum.accumulate(energies)
    progress: NDArray[np.float64] = (nearest[0] - nearest) / max(float(nearest[0] - nearest[-1]), _LEAST)
    progress[-1] = float(len(energies) > 1)
    return progress
