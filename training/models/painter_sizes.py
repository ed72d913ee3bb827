"""The frame sizes of a painter, which `training.assemble` reads from keys or takes from a painter, and checks."""

import json
from collections.abc import Sequence
from pathlib import Path

from conf.errors import ConfigError
from conf.value import parse_size

_SHORTEST_PX, _LONGEST_PX = 64, 1024  # limits of a side, as in the framing of `pipelines.paint`

SizePx = tuple[int, int]
"""(height, width)."""


def read_sizes(key: str, value: object) -> list[SizePx]:
    """The sizes that were typed for a key: one, or a list of them.

    Raises:
        ConfigError: naming the key and the value that is not a size.
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
    """Sizes of frames when another codec decodes the same latents.

    Args:
        base: folder with the codec that decodes them, as `vae`.
        sizes_px: (height, width) of frames as the codec of `instead_of` decodes them.
        instead_of: folder with that codec, as `vae`.
    """
    now_px, before_px = _patch_px(base), _patch_px(instead_of)
    if now_px is None or before_px is None:  # only codecs of the tiny model state their patches
        return [list(size_px) for size_px in sizes_px]
    return [[side_px * now_px // before_px for side_px in size_px] for size_px in sizes_px]


def _patch_px(base: Path) -> int | None:
    """Side, in pixels, of the square that one cell of the latent grid stands for; None if the codec does not say."""
    config = base / "vae" / "config.json"
    side_px: int | None = json.loads(config.read_text(encoding="utf-8")).get("patch_px") if config.is_file() else None
    return side_px


def check_sides(key: str, size_px: SizePx) -> None:
    """Refuse a size that `pipelines.paint` does not allow.

    Raises:
        ConfigError: naming the key.
    """
    if not all(_SHORTEST_PX <= side_px <= _LONGEST_PX for side_px in size_px):
        raise ConfigError(key, _as_typed(size_px), f"{_SHORTEST_PX} to {_LONGEST_PX} px a side, as 64 or 96x64")


def check_cells(key: str, size_px: SizePx, cell_px: int) -> None:
    """Refuse a size that a painter cannot paint.

    Args:
        key: key to name in the error.
        size_px: size of frames.
        cell_px: number of pixels that the sides of frames must be multiples of.

    Raises:
        ConfigError: naming the key.
    """
    if any(side_px % cell_px for side_px in size_px):
        raise ConfigError(key, _as_typed(size_px), f"multiples of {cell_px} px a side, as this base paints them")


def _as_typed(size_px: SizePx) -> str:
    height, width = size_px
    return str(width) if width == height else f"{width}x{height}"
