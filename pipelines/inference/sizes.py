"""The sizes that a painter was trained at, and which of them suits a picture."""

from collections.abc import Mapping, Sequence
from math import log
from typing import Any

from conf.errors import ConfigError
from conf.value import parse_size
from pipelines.sources.framing import Fit, Framing


def known_sizes(card: Mapping[str, Any]) -> list[tuple[int, int]]:
    """(height, width) of the sizes that a painter paints well, by its card: its main size first, then the others."""
    sizes = [card["size_px"], *card.get("sizes_px", [])]
    return list(dict.fromkeys((int(height), int(width)) for height, width in sizes))


def framing_for(size: object, fit: Fit, card: Mapping[str, Any], cell_px: int, shape: Sequence[int] | None) -> Framing:
    """How a picture is framed for a painter.

    Args:
        size: as the user typed it; None for the known size whose shape is nearest to the picture's.
        fit: how a picture of another shape is fitted.
        card: the painter's card.
        cell_px: sides of frames must be multiples of it.
        shape: (height, width) of the picture; None if there is none, which selects the main size of the painter.

    Raises:
        ConfigError: if the sides are not multiples of `cell_px`, or the size cannot be parsed.
    """
    if size is not None:
        width, height = parse_size(size)
    else:
        sizes = known_sizes(card)
        height, width = sizes[0] if shape is None else min(sizes, key=lambda size_px: _shape_difference(size_px, shape))
    if height % cell_px or width % cell_px:
        raise ConfigError("size", f"{width}x{height}", f"multiples of {cell_px}")
    return Framing(height_px=height, width_px=width, fit=fit)


def _shape_difference(size: Sequence[int], shape: Sequence[int]) -> float:
    """How different two shapes are: 0 for the same ratio of the sides."""
    return abs(log(size[1] / size[0]) - log(shape[1] / shape[0]))
