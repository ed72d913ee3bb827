"""How far along a painting is at each step, by which frames are placed: a painter's time instead of the distance."""

import numpy as np
from numpy.typing import NDArray

from renderers.time_line import TimeLine

BLOCK_IN = 0.2
"""Share of the strokes of a painting that are as if laid at once, where a painter blocks all in from the beginning."""


def by_logarithm(distances: NDArray[np.float64], block_in: float = 0.0) -> NDArray[np.float64]:
    """(N + 1,) share of the time that is left where each stroke takes as long as all before it grow by a share.

    Equal steps of log(1 + strokes), because the first of many strokes are broad and well considered: real painters
    have half of the way left after three quarters of their frames, where equal steps of distance leave a tenth.

    Args:
        distances: (N + 1,) from the finished canvas.
        block_in: share of the strokes that make the first such step; 0 for the first stroke alone.
    """
    steps = np.arange(len(distances)) / max(1.0, block_in * (len(distances) - 1))
    left = 1.0 - np.log1p(steps) / max(np.log1p(steps[-1]), 1e-9)
    left[-1] = 0.0
    return without_setbacks(left, np.zeros(len(distances) - 1, bool), distances)


def by_strokes(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N + 1,) share of the time that is left where each stroke takes as long as any other.

    For paintings that finish one thing after another: to finish one hardly lessens the distance, so that frames at even
    steps of it show one state many times over, and then skip the beginning of the next thing.

    Args:
        distances: (N + 1,) from the finished canvas.
    """
    left = np.linspace(1.0, 0.0, len(distances))
    return without_setbacks(left, np.zeros(len(distances) - 1, bool), distances)


def pace_along(time_line: TimeLine, distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N + 1,) share of the time that is left where strokes follow a painter, who blocks in all, or thing by thing."""
    return by_strokes(distances) if time_line.thing_by_thing else by_logarithm(distances, BLOCK_IN)


def without_setbacks(
    left: NDArray[np.float64], receding: NDArray[np.bool_], distances: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The time that is left, standing still where a step is no nearer to the end than one before it.

    So no frame shows such a step, unless it is one of those that need not bring the canvas nearer.

    Args:
        left, distances: (N + 1,), the canvas before any step first; `left` is changed.
        receding: (N,) which steps need not.
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
