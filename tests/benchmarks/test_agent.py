"""The random search that the learned agent is compared with is a fair one."""

import numpy as np

from benchmarks.agent import RandomSearch
from renderers.painting import Image


def picture() -> Image:
    """A light disc on a dark ground."""
    rows, columns = np.mgrid[:32, :32]
    disc = (rows - 12) ** 2 + (columns - 18) ** 2 < 64
    return np.where(disc[..., None], [0.9, 0.6, 0.2], [0.1, 0.2, 0.4]).astype(np.float32)


def errors(num_candidates: int) -> list[float]:
    painter = RandomSearch(num_candidates, finer=False, size_px=32)
    return [float(((canvas - picture()) ** 2).mean()) for canvas in painter(picture())]


def test_no_stroke_makes_it_worse() -> None:
    history = errors(3)
    assert len(history) == 3
    assert history == sorted(history, reverse=True)


def test_more_candidates_paint_better() -> None:
    assert errors(30)[-1] < 0.7 * errors(1)[-1]


def test_each_candidate_has_its_best_colour() -> None:
    search, target = RandomSearch(1, finer=False, size_px=32), picture().reshape(-1, 3)
    stroke = np.array([[0.4, 0.6, 0.5, 0.5, 0.4, 0.6, 0.5, 0.5, 1, 1, 0, 0, 0]], np.float32)
    painted = search._best(stroke, np.zeros((1024, 3), np.float32), target)
    least = ((painted - target) ** 2).mean()
    for factor in (0.97, 1.03):  # on black, another colour is the same paint brighter or darker
        assert ((factor * painted - target) ** 2).mean() > least
