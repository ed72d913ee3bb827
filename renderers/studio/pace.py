"""Progress of a painting at each step, as the time that a painter would take; frames are spaced by it.

The distance to the finished canvas alone will not do. A drawing brings a canvas no nearer to it, and takes its time.
And real painters take longer over what they begin with: after three quarters of their frames half the way is left.
"""

import numpy as np
from numpy.typing import NDArray

from renderers.pace import without_setbacks
from renderers.studio.phases import PHASES, Turns

_DRAWING = 0.2
_HASTE = 1.5  # way gone = time gone ** haste, once there is paint
_BY_STROKES = 0.3  # how much strokes count beside the area that they bring nearer to the end


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
    begun = np.isin(turns.phases, [PHASES.index("ground"), PHASES.index("drawing")])
    first = int(np.argmin(begun)) if not begun.all() else count
    drawing = _DRAWING if 0 < first < count else float(first == count)
    left = np.empty(count + 1)
    left[: first + 1] = 1.0 - drawing * np.linspace(0.0, 1.0, first + 1)
    if first < count:
        nearest = np.minimum.accumulate(energies[first:])
        gone = 1.0 - nearest / max(float(nearest[0]), 1e-9)
        work = gone + _BY_STROKES * (np.linspace(0.0, 1.0, len(gone)) - gone)
        left[first:] = (1.0 - drawing) * (1.0 - work ** (1.0 / _HASTE))
    left[-1] = 0.0
    return without_setbacks(left, turns.receding, distances)
