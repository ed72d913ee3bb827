"""The frame sizes of a painter, as `training.assemble` is given them or takes them over: read, checked, scaled."""

import json
from collections.abc import Sequence
from pathlib import Path

from conf.errors import ConfigError
from conf.value import parse_size

_SHORTEST_PX, _LONGEST_PX = 64, 1024  # of a side, as in the framing of `pipelines.paint`

SizePx = tuple[int, int]
"""(height, width)."""


def read_sizes(key: str, value: object) -> list[SizePx]:
    """The sizes that were typed for a key: one, or a list of them.

    Raises:
        ConfigError: naming the key and the size that is none.
    """
    typed_sizes = [] if value is None else value if isinstance(value, list) else [value]
    sizes = []
    for typed_size in typed_sizes:
        try:
            width, height = parse_size(typed_size)
        except ConfigError as error:
            raise ConfigError(key, error.value, "sizes in pixels, as [80x64,96x64]") from None
        sizes.append((height, width))
    return sizes


def shown_by(base: Path, sizes_px: Sequence[Sequence[int]], *, instead_of: Path) -> list[list[int]]:
    """Sizes of frames, each as one codec shows the latents that another shows at the size that is given.

    Args:
        base, instead_of: folders that hold a codec as `vae`.
        sizes_px: (height, width) of frames, as `instead_of` shows them.
    """
    now_px, before_px = _patch_px(base), _patch_px(instead_of)
    if now_px is None or before_px is None:  # not codecs of the tiny model
        return [list(size_px) for size_px in sizes_px]
    return [[side_px * now_px // before_px for side_px in size_px] for size_px in sizes_px]


def _patch_px(base: Path) -> int | None:
    """Side of the square of pixels that is one place of its latents; None where its codec does not say."""
    config = base / "vae" / "config.json"
    side_px: int | None = json.loads(config.read_text(encoding="utf-8")).get("patch_px") if config.is_file() else None
    return side_px


def check_sides(key: str, size_px: SizePx) -> None:
    """Refuse a size that no painter is asked for.

    Raises:
        ConfigError: naming the key.
    """
    if not all(_SHORTEST_PX <= side_px <= _LONGEST_PX for side_px in size_px):
        raise ConfigError(key, _as_typed(size_px), f"{_SHORTEST_PX} to {_LONGEST_PX} px a side, as 64 or 96x64")


def check_cells(key: str, size_px: SizePx, cell_px: int) -> None:
    """Refuse a size that a painter cannot paint.

    Args:
        key: to name.
        size_px: of frames.
        cell_px: whose multiples the sides of its frames are.

    Raises:
        ConfigError: naming the key.
    """
    if any(side_px % cell_px for side_px in size_px):
        raise ConfigError(key, _as_typed(size_px), f"multiples of {cell_px} px a side, as this base paints them")


def _as_typed(size_px: SizePx) -> str:
    height, width = size_px
    return str(width) if width == height else f"{width}x{height}"
