"""The sizes that a painter knows, and which of them suits a picture."""

from collections.abc import Mapping, Sequence
from math import log
from typing import Any

from conf.errors import ConfigError
from conf.value import parse_size
from pipelines.sources.framing import Fit, Framing


def known_sizes(card: Mapping[str, Any]) -> list[tuple[int, int]]:
    """(height, width) that a painter paints well, by its card: the one it was trained at, then its others."""
    sizes = [card["size_px"], *card.get("sizes_px", [])]
    return list(dict.fromkeys((int(height), int(width)) for height, width in sizes))


def framing_for(size: object, fit: Fit, card: Mapping[str, Any], cell_px: int, shape: Sequence[int] | None) -> Framing:
    """How a picture is framed for a painter.

    Args:
        size: as the user said it; None for the known size whose shape is nearest to the picture's.
        fit: what is done with the difference.
        card: the painter's.
        cell_px: sides of frames are multiples of it.
        shape: (height, width) of the picture; None without one, for which the trained size is taken.

    Raises:
        ConfigError: if the size will not do.
    """
    if size is not None:
        width, height = parse_size(size)
    else:
        known = known_sizes(card)
        height, width = known[0] if shape is None else min(known, key=lambda one: _unlikeness(one, shape))
    if height % cell_px or width % cell_px:
        raise ConfigError("size", f"{width}x{height}", f"multiples of {cell_px}")
    return Framing(height_px=height, width_px=width, fit=fit)


def _unlikeness(size: Sequence[int], shape: Sequence[int]) -> float:
    """How different two shapes are: 0 for the same ratio of the sides."""
    return abs(log(size[1] / size[0]) - log(shape[1] / shape[0]))
