"""Which moments of a painting become its frames."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from renderers.distance import canvas_distances
from renderers.painting import FrameSchedule, Image

_HAIR = 1e-9


def key_moments(canvases: Sequence[Image], schedule: FrameSchedule) -> tuple[tuple[int, ...], NDArray[np.float64]]:
    """Choose T of N canvases, the first and the last among them.

    The first canvas an artist shows stands for the blank one. Artists step back, too: canvases farther from the
    finished one than an earlier one are chosen only when T others cannot be had.

    Args:
        canvases: (H, W, 3) in [0, 1], earliest first, N at least T.
        schedule: T and how they are spaced.

    Returns:
        T ascending places, and (N,) distances of all canvases from the last.
    """
    distances = canvas_distances(list(canvases), canvases[0])
    places = schedule.steps(distances)
    if len(set(places)) < len(places):
        places = schedule.steps(np.minimum.accumulate(distances) - _HAIR * np.arange(len(distances)))
    return places, distances
