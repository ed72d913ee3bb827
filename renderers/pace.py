"""Progress of a painting at each step, by which frames are placed: a painter's time instead of the distance."""

import numpy as np
from numpy.typing import NDArray

from renderers.time_line import TimeLine

BLOCK_IN = 0.2
"""Share of the strokes that count as the first step of time, where a painter first blocks everything in."""


def by_logarithm(distances: NDArray[np.float64], block_in: float = 0.0) -> NDArray[np.float64]:
    """(N + 1,) share of the time that is left, if time passes as the logarithm of the number of strokes.

    Equal times are equal steps of log(1 + strokes), because the first of many strokes are broad and well considered.
    After three quarters of their frames, real painters have half of the way left, where equal steps of distance leave a
    tenth.

    Args:
        distances: (N + 1,) from the finished canvas.
        block_in: share of the strokes that make up the first such step; 0 for the first stroke alone.
    """
    steps = np.arange(len(distances)) / max(1.0, block_in * (len(distances) - 1))
    left = 1.0 - np.log1p(steps) / max(np.log1p(steps[-1]), 1e-9)
    left[-1] = 0.0
    return without_setbacks(left, np.zeros(len(distances) - 1, bool), distances)


def by_strokes(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N + 1,) share of the time that is left, if every stroke takes the same time.

    This is for paintings that finish one thing after another. Finishing a thing hardly reduces the distance, so frames
    at equal steps of distance would show one state many times, and then skip the beginning of the next thing.

    Args:
        distances: (N + 1,) from the finished canvas.
    """
    left = np.linspace(1.0, 0.0, len(distances))
    return without_setbacks(left, np.zeros(len(distances) - 1, bool), distances)


def pace_along(time_line: TimeLine, distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N + 1,) share of the time that is left where strokes follow a painter, thing by thing or not."""
    return by_strokes(distances) if time_line.thing_by_thing else by_logarithm(distances, BLOCK_IN)


def without_setbacks(
    left: NDArray[np.float64], receding: NDArray[np.bool_], distances: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The time that is left, kept constant at steps that are farther from the finished canvas than one before.

    So no frame shows such a step, unless it is one of the receding steps, which need not bring the canvas nearer.

    Args:
        left, distances: (N + 1,), beginning with the canvas before any step; `left` is changed.
        receding: (N,) which steps need not bring the canvas nearer.
    """
    nearest = distances[0]
    for step in range(1, len(left)):
        if receding[step - 1]:
            nearest = distances[step]
        elif distances[step] > nearest and step < len(left) - 1:
            left[step] = left[step - 1]
        else:
            nearest = distances[step]
    return left
