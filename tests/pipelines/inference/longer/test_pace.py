"""An even pace."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.inference.longer.blend import Picture
from pipelines.inference.longer.pace import even_times
from renderers.distance import step_distances

SIDE = 16
FINISHED = np.random.default_rng(0).random((SIDE, SIDE, 3)).astype(np.float32)


def hurried(times: NDArray[np.float64]) -> Picture:
    """A painting that grows line by line from white, and is nearly finished after a third of 31 steps."""
    done = np.clip(SIDE * (1 - np.exp(-times / 5))[:, None] - np.arange(SIDE), 0, 1).astype(np.float32)
    share = done[:, :, None, None]
    shown: Picture = (1 - share) + share * FINISHED
    return shown


def steps_at(times: NDArray[np.float64]) -> NDArray[np.float64]:
    pictures = list(hurried(times))
    return step_distances(pictures, pictures[0], pictures[-1])


def test_steps_become_about_equally_long() -> None:
    before, times = steps_at(np.arange(32.0)), even_times(hurried, [0, 31])
    after = steps_at(times)
    assert before.max() > 3 * np.median(before)
    assert after.max() < 1.5 * np.median(after)
    assert (np.diff(times) > 0).all() and times[0] == 0 and times[-1] == 31


@pytest.mark.parametrize("fixed", [[0, 7, 31], [0, 3, 4, 20, 31]])
def test_frames_that_are_fixed_stay(fixed: list[int]) -> None:
    times = even_times(hurried, fixed)
    assert times[fixed].tolist() == fixed
    assert (np.diff(times) > 0).all()
