"""Statements made wrong at first: an object begun in a colour that is painted over when its turn comes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from renderers.painting import Image

_LARGEST = 0.3  # share of the canvas: colours are not tried out on larger objects
_HUE_SHIFT = np.radians(30.0)
_MUTED = 0.75  # share of the chroma that is left
_KEY = (0.7, 1.3)  # a correction is too dark or too light


def chosen_for_correction(
    order: Sequence[int], covers: Sequence[NDArray[np.float32]], share: float, rng: np.random.Generator
) -> list[int]:
    """Labels of a share of the objects, chosen among those that are not too large and not painted first."""
    candidates = [label for label in order[1:] if covers[label].max() > 0.5 and covers[label].mean() <= _LARGEST]
    count = min(len(candidates), int(share * len(order) + rng.random()))
    chosen_places = set(rng.choice(len(candidates), count, replace=False).tolist()) if count else set()
    return [label for place, label in enumerate(candidates) if place in chosen_places]


def wrong_colours(goal: Image, rng: np.random.Generator) -> Image:
    """The picture (h, w, 3) in another key, somewhat muted and in neighbouring hues, as a first guess may be.

    Every colour is turned about the grey axis by the same angle: greys stay grey, and nothing gets its opposite hue.
    """
    guess = int(4.0 * rng.random())
    key, angle = _KEY[int(guess < 2)], (_HUE_SHIFT, -_HUE_SHIFT)[guess % 2]
    grey = goal.mean(-1, keepdims=True)
    chroma = goal - grey
    across = (np.roll(chroma, 1, axis=-1) - np.roll(chroma, -1, axis=-1)) / np.sqrt(3.0)
    turned = np.cos(angle) * chroma + np.sin(angle) * across
    wrong: Image = np.clip(key * (grey + _MUTED * turned), 0.0, 1.0).astype(np.float32)
    return wrong
