"""An even pace: the times at which to sample a process so that all its steps are about equally long.

The number of a piece's frames depends on the distance between its keys. But between keys equally far apart, the painted
path of one piece may be twice as long as that of another, which can be measured only after painting.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipelines.inference.longer.blend import Picture
from renderers.distance import step_distances

_ROUNDS = 4  # distances do not add up, so the steps are measured again at the new times
_TINY = 1e-9


def even_times(show: Callable[[NDArray[np.float64]], Picture], fixed: Sequence[int]) -> NDArray[np.float64]:
    """Times at which to sample a process, one for each frame.

    Args:
        show: (S,) times, counted in frames -> (S, H, W, 3) states of the process at these times, in [0, 1].
        fixed: frames that keep their times, ascending; the first and the last frame of the process are among them.

    Returns:
        (N,) times, ascending, from the first fixed frame to the last.
    """
    times = np.arange(fixed[0], fixed[-1] + 1, dtype=np.float64)
    for _ in range(_ROUNDS):
        pictures = list(show(times))
        travelled = np.concatenate([[0.0], np.cumsum(step_distances(pictures, pictures[0], pictures[-1]) + _TINY)])
        for left, right in pairwise(np.asarray(fixed) - fixed[0]):
            span = slice(left, right + 1)
            even = np.linspace(travelled[left], travelled[right], right - left + 1)
            times[span] = np.interp(even, travelled[span], times[span])
    return times
