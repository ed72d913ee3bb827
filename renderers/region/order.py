"""The order of regions: thing by thing, the most salient first, outward from there, the background last."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from conf.errors import ConfigError
from renderers.painting import Knowledge
from renderers.region.config import Place, RegionConfig
from renderers.things.graph import Labels
from renderers.things.naming import names_of
from renderers.things.spoken_order import is_spoken, spoken_order
from renderers.things.survey import Survey

_COHESION = 4.0


def painting_order(
    labels: Labels, things: NDArray[np.int64], region_survey: Survey, config: RegionConfig, known: Knowledge
) -> tuple[int, ...]:
    """All labels, in the order in which they are painted.

    Args:
        labels: (H, W) numbered without gaps.
        things: (R,) the thing that each region is a part of.
        known: its depth map, if there is one, drives `back_to_front`; without it, that is `salient` reversed.

    Raises:
        ConfigError: if `user_order` names a region that is not there, or an `order` in words names none that is.
    """
    if config.order == "area":
        return _sorted_by(-region_survey.areas)
    if config.order == "back_to_front" and known.depth is not None:
        pixels = np.bincount(labels.ravel())
        return _sorted_by(-np.bincount(labels.ravel(), known.depth.ravel()) / pixels)
    outward = outward_order(region_survey, things)
    if config.order == "back_to_front":
        return outward[::-1]
    if config.order == "user":
        first = named(labels, config.user_order)
        return (*first, *(label for label in outward if label not in first))
    if is_spoken(config.order):
        first, last = spoken_order(config.order, names_of(labels, region_survey, known))
        return (*first, *(label for label in outward if label not in (*first, *last)), *last)
    return outward


def outward_order(region_survey: Survey, things: NDArray[np.int64]) -> tuple[int, ...]:
    """All labels from the most salient region outward to the background, one thing after the other.

    The region with the highest score comes next; a score counts the more, the more of the region's border lies against
    painted regions. So the parts of an object follow one another, and then comes what surrounds it. A thing that is
    begun is finished before another one is begun.

    Args:
        region_survey: of R regions.
        things: (R,) the thing that each region is a part of.
    """
    count = len(region_survey.scores)
    background = int(np.argmax(region_survey.far)) if count > 1 else -1
    perimeters, painted_border = np.zeros(count), np.zeros(count)
    neighbours: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    for (a, b), length in zip(
        region_survey.touching.pairs.tolist(), region_survey.touching.lengths.tolist(), strict=True
    ):
        neighbours[a].append((b, length))
        neighbours[b].append((a, length))
        perimeters[[a, b]] += length
    is_unpainted = np.ones(count, bool)
    order: list[int] = []
    for _ in range(count):
        pull = region_survey.scores * (1.0 + _COHESION * painted_border / np.maximum(perimeters, 1))
        candidates = is_unpainted.copy()
        if background >= 0 and order and len(order) < count - 1:
            candidates[background] = False
        if order and (candidates & (things == things[order[-1]])).any():
            candidates &= things == things[order[-1]]
        chosen = int(np.argmax(np.where(candidates, pull, -1.0)))
        order.append(chosen)
        is_unpainted[chosen] = False
        for neighbour, length in neighbours[chosen]:
            painted_border[neighbour] += length
    return tuple(order)


def _sorted_by(keys: NDArray[np.float64]) -> tuple[int, ...]:
    return tuple(int(label) for label in np.argsort(keys, kind="stable"))


def named(labels: Labels, places: Sequence[Place]) -> tuple[int, ...]:
    """Labels of the regions that a user names; several points in one region count as one."""
    height, width = labels.shape
    count = int(labels.max()) + 1
    chosen: list[int] = []
    for place in places:
        if isinstance(place, int):
            if place >= count:
                raise ConfigError("user_order", place, f"labels 0 to {count - 1}, or points")
            label = place
        else:
            x, y = place
            label = int(labels[min(height - 1, int(y * height)), min(width - 1, int(x * width))])
        if label not in chosen:
            chosen.append(label)
    return tuple(chosen)
