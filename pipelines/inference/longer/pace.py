"""An even pace: the times at which to sample a process so that all its steps are about equally long.

Pieces get their frames by how far apart their keys are; the way that a piece then takes may be twice as long as that of
another with keys as far apart. Only the painted frames show it.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipelines.inference.longer.blend import Picture
from renderers.distance import step_distances

_ROUNDS = 4  # distances do not add up: steps are measured again where they will be
_NOTHING = 1e-9


def even_times(show: Callable[[NDArray[np.float64]], Picture], fixed: Sequence[int]) -> NDArray[np.float64]:
    """Times at which to sample a process, one for each frame.

    Args:
        show: (S,) times, counted in frames -> (S, H, W, 3) how the process stands then, in [0, 1].
        fixed: frames that stay as they are, ascending, the first and the last of the process among them.

    Returns:
        (N,) times, ascending, from the first fixed frame to the last.
    """
    times = np.arange(fixed[0], fixed[-1] + 1, dtype=np.float64)
    for _ in range(_ROUNDS):
        pictures = list(show(times))
        way = np.concatenate([[0.0], np.cumsum(step_distances(pictures, pictures[0], pictures[-1]) + _NOTHING)])
        for left, right in pairwise(np.asarray(fixed) - fixed[0]):
            span = slice(left, right + 1)
            times[span] = np.interp(np.linspace(way[left], way[right], right - left + 1), way[span], times[span])
    return times
