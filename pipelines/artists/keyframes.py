"""Chooses the moments of a painting that become its frames."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from renderers.distance import canvas_distances
from renderers.painting import FrameSchedule, Image

_TINY = 1e-9


def key_moments(canvases: Sequence[Image], schedule: FrameSchedule) -> tuple[tuple[int, ...], NDArray[np.float64]]:
    """Choose T of N canvases, the first and the last among them.

    The first canvas that an artist shows stands for the blank one. As artists sometimes undo work, a canvas may be
    farther from the finished one than an earlier canvas; it is chosen only if there are not T others.

    Args:
        canvases: (H, W, 3) in [0, 1], earliest first, N at least T.
        schedule: T and the spacing of frames.

    Returns:
        T ascending indices, and (N,) distances of all canvases from the last.
    """
    distances = canvas_distances(list(canvases), canvases[0])
    places = schedule.steps(distances)
    if len(set(places)) < len(places):
        places = schedule.steps(np.minimum.accumulate(distances) - _TINY * np.arange(len(distances)))
    return places, distances
