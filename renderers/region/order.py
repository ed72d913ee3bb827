"""Which region is painted when: the most salient first, outward from there, the background last."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from conf.errors import ConfigError
from renderers.painting import Knowledge
from renderers.region.config import Place, RegionConfig
from renderers.region.graph import Borders, Labels, borders

# Found by a random search over 600 scenes (series 77 to 79), which the benchmark does not use.
_SALIENCY_POWER, _AREA_POWER = 0.4, 0.5
_LEAST_SALIENCY = 0.02
_LARGE = 0.2  # share of the canvas beyond which size speaks no more for a region
_BORDER_SHARE = 0.025  # of the canvas's border: a region along which so much runs counts half
_MIDDLE, _REACH = (0.5, 0.55), 0.6  # where a subject mostly is, and how far it may be from there
_COHESION = 4.0


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What is measured of R regions; each array is (R,) unless it says otherwise.

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


def painting_order(labels: Labels, found: Survey, config: RegionConfig, known: Knowledge) -> tuple[int, ...]:
    """All labels, in the order in which they are painted.

    Args:
        labels: (H, W) numbered without gaps.
        known: its depth map, if there is one, drives `back_to_front`; without, that is `salient` backwards.

    Raises:
        ConfigError: if `user_order` names a region that is not there, or one twice.
    """
    if config.order == "area":
        return _by(-found.areas)
    if config.order == "back_to_front" and known.depth is not None:
        pixels = np.bincount(labels.ravel())
        return _by(-np.bincount(labels.ravel(), known.depth.ravel()) / pixels)
    outward = outward_order(found)
    if config.order == "back_to_front":
        return outward[::-1]
    if config.order == "user":
        named = _named(labels, config.user_order)
        return (*named, *(label for label in outward if label not in named))
    return outward


def outward_order(found: Survey) -> tuple[int, ...]:
    """From the most salient region outward to the background.

    At each step a region's turn comes by its score, and the sooner the more of its own border lies against what is
    painted: so the parts of an object follow one another, then comes what surrounds it.
    """
    count = len(found.scores)
    background = int(np.argmax(found.far)) if count > 1 else -1
    perimeters, painted_border = np.zeros(count), np.zeros(count)
    neighbours: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    for (a, b), length in zip(found.touching.pairs.tolist(), found.touching.lengths.tolist(), strict=True):
        neighbours[a].append((b, length))
        neighbours[b].append((a, length))
        perimeters[[a, b]] += length
    left = np.ones(count, bool)
    order: list[int] = []
    for _ in range(count):
        pull = found.scores * (1.0 + _COHESION * painted_border / np.maximum(perimeters, 1))
        candidates = left.copy()
        if background >= 0 and order and len(order) < count - 1:
            candidates[background] = False
        chosen = int(np.argmax(np.where(candidates, pull, -1.0)))
        order.append(chosen)
        left[chosen] = False
        for other, length in neighbours[chosen]:
            painted_border[other] += length
    return tuple(order)


def _by(keys: NDArray[np.float64]) -> tuple[int, ...]:
    return tuple(int(label) for label in np.argsort(keys, kind="stable"))


def _named(labels: Labels, places: Sequence[Place]) -> tuple[int, ...]:
    """Labels of the regions that a user names; several points in one region are one."""
    height, width = labels.shape
    count = int(labels.max()) + 1
    named: list[int] = []
    for place in places:
        if isinstance(place, int):
            if place >= count:
                raise ConfigError("user_order", place, f"labels 0 to {count - 1} (see regions.png), or points")
            label = place
        else:
            x, y = place
            label = int(labels[min(height - 1, int(y * height)), min(width - 1, int(x * width))])
        if label not in named:
            named.append(label)
    return tuple(named)
