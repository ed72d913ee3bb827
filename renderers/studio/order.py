"""Which object is painted when, and how many strokes each one gets."""

import numpy as np
from numpy.typing import NDArray

from renderers.region.order import named
from renderers.studio.config import StudioConfig
from renderers.things import Things
from renderers.things.spoken_order import is_spoken, spoken_order

_FEWEST = 8
_AREA_POWER = 0.75
_LEAST_DETAIL, _LEAST_SALIENCY = 0.5, 1.2


def objects_in_order(things: Things, config: StudioConfig, rng: np.random.Generator) -> tuple[int, ...]:
    """All labels, in painting order.

    Raises:
        ConfigError: if `user_order` names an object that is not there, or an `order` in words names none that is.
    """
    order = config.order
    if order == "mixed":
        order = "salient" if rng.random() < 0.5 else "back_to_front"
    if order == "back_to_front":
        return tuple(int(label) for label in np.argsort(things.depth_rank, kind="stable"))
    salient = tuple(int(label) for label in np.argsort(-things.saliency, kind="stable"))
    if order == "user":
        first = named(things.labels.astype(np.int32), config.user_order)
        return (*first, *(label for label in salient if label not in first))
    if is_spoken(order):
        first, last = spoken_order(order, things.names)
        return (*first, *(label for label in salient if label not in (*first, *last)), *last)
    return salient


def strokes_of_objects(things: Things, count: int) -> NDArray[np.int64]:
    """(K,) how `count` strokes are shared: by area, and more to what is detailed and what draws the eye."""
    weights = (
        things.areas_px.astype(np.float64) ** _AREA_POWER
        * (_LEAST_DETAIL + things.detail / max(1e-6, float(np.average(things.detail, weights=things.areas_px))))
        * (_LEAST_SALIENCY + things.saliency)
    )
    shares: NDArray[np.int64] = np.maximum(_FEWEST, np.rint(count * weights / weights.sum())).astype(np.int64)
    return shares
