"""Which object is painted when, and how many strokes each one gets."""

import numpy as np
from numpy.typing import NDArray

from renderers.painting import NOTHING_KNOWN, Assets, Image
from renderers.region.order import named
from renderers.studio.config import StudioConfig
from renderers.things import Things, find_things
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


def refuse_order(image: Image, config: StudioConfig, assets: Assets) -> None:
    """Refuse what `objects_in_order` would refuse while an image is painted of which nothing is known.

    Args:
        image: (H, W, 3) in [0, 1].
        config: its `order`, and how objects are found.
        assets: the networks that find them.

    Raises:
        ConfigError: as `find_things` and `objects_in_order`.
    """
    if config.order == "user" or is_spoken(config.order):
        rng = np.random.Generator(np.random.PCG64(0))  # it does not change what objects there are
        objects_in_order(find_things(image, NOTHING_KNOWN, config.things, rng, assets), config, rng)


def strokes_of_objects(things: Things, count: int) -> NDArray[np.int64]:
    """(K,) how `count` strokes are shared: by area, and more to what is detailed and what draws the eye."""
    weights = (
        things.areas_px.astype(np.float64) ** _AREA_POWER
        * (_LEAST_DETAIL + things.detail / max(1e-6, float(np.average(things.detail, weights=things.areas_px))))
        * (_LEAST_SALIENCY + things.saliency)
    )
    shares: NDArray[np.int64] = np.maximum(_FEWEST, np.rint(count * weights / weights.sum())).astype(np.int64)
    return shares
