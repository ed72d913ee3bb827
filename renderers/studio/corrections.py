"""Statements made wrong at first: an object begun in a colour that is painted over when its turn comes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from renderers.painting import Image

_LARGEST = 0.3  # share of the canvas: colours are not tried out on larger objects
_TOWARDS_OPPOSITE = 0.45
_KEY = (0.7, 1.3)  # a correction is too dark or too light


def chosen_for_correction(
    order: Sequence[int], covers: Sequence[NDArray[np.float32]], share: float, rng: np.random.Generator
) -> list[int]:
    """Labels of a share of the objects, chosen among those that are not too large and not painted first."""
    candidates = [label for label in order[1:] if covers[label].max() > 0.5 and covers[label].mean() <= _LARGEST]
    count = min(len(candidates), int(share * len(order) + rng.random()))
    chosen_places = set(rng.choice(len(candidates), count, replace=False).tolist()) if count else set()
    return [label for place, label in enumerate(candidates) if place in chosen_places]


def wrong_colours(goal: Image, own: NDArray[np.float32], rng: np.random.Generator) -> Image:
    """The picture (h, w, 3) in a key and in hues that the object does not have."""
    mean = goal[own > 0.5].mean(0)
    opposite = 2.0 * mean.mean() - mean
    key = _KEY[int(rng.random() < 0.5)]
    wrong: Image = np.clip(key * (goal + _TOWARDS_OPPOSITE * (opposite - mean)), 0.0, 1.0).astype(np.float32)
    return wrong
