"""Measurements of the regions of a picture: their saliency, and how far away they look."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from renderers.things.graph import Borders, Labels, borders

# Found by a random search over 600 scenes (series 77 to 79), which the benchmark does not use.
_SALIENCY_POWER, _AREA_POWER = 0.4, 0.5
_LEAST_SALIENCY = 0.02
_LARGE = 0.2  # share of the canvas beyond which a larger region is not more salient
_BORDER_SHARE = 0.025  # of the canvas's border: a region that has so much of it counts half
_MIDDLE, _REACH = (0.5, 0.55), 0.6  # where a subject mostly is, and how far it may be from there


@dataclass(frozen=True, kw_only=True)
class Survey:
    """Measurements of R regions; each array is (R,) unless stated otherwise.

    Attributes:
        areas: shares of the canvas.
        scores: how much each region draws the eye, the most salient being 1.
        far: how much each one looks like background: its share of the canvas's border, the upper part counting more,
            as what is far away is high up, times the root of its area.
        touching: borders between them.
    """

    areas: NDArray[np.float64]
    scores: NDArray[np.float64]
    far: NDArray[np.float64]
    touching: Borders


def survey(labels: Labels, saliency: NDArray[np.float32], colours: NDArray[np.float32]) -> Survey:
    """Measure regions.

    A region draws the eye by the saliency of its pixels, by its size, by being near the middle, and by not running
    along the border of the canvas.

    Args:
        labels: (H, W) numbered without gaps.
        saliency: (H, W) in [0, 1].
        colours: (H, W, 3) Lab.
    """
    height, width = labels.shape
    flat, count = labels.ravel(), int(labels.max()) + 1
    pixels = np.bincount(flat, minlength=count)
    mean_saliency = np.bincount(flat, saliency.ravel(), count) / pixels
    areas = pixels / flat.size
    rows, columns = np.arange(height) + 0.5, np.arange(width) + 0.5
    y = np.bincount(flat, np.repeat(rows / height, width), count) / pixels
    x = np.bincount(flat, np.tile(columns / width, height), count) / pixels
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    nearness = np.concatenate([np.ones(width), np.zeros(width), 1 - rows / height, 1 - rows / height])
    on_border = np.bincount(edge, minlength=count) / len(edge)
    scores = (
        (mean_saliency + _LEAST_SALIENCY) ** _SALIENCY_POWER
        * np.minimum(areas, _LARGE) ** _AREA_POWER
        * np.exp(-((x - _MIDDLE[0]) ** 2 + (y - _MIDDLE[1]) ** 2) / _REACH**2)
        / (1.0 + (on_border / _BORDER_SHARE) ** 2)
    )
    far = np.bincount(edge, nearness, count) / nearness.sum() * np.sqrt(areas)
    return Survey(areas=areas, scores=scores / scores.max(), far=far, touching=borders(labels, colours))
