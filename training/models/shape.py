"""Sizes of the tiny model, LoRAs and actors; apart from them, because a configuration must not import networks."""

import math
from dataclasses import dataclass

from conf.errors import ConfigError

NUM_GROUPS = 16
"""Groups of its group norms."""
LORA_TARGETS = ("to_q", "to_k", "to_v", "to_out.0")
"""Linear layers of an attention."""
_MOST_HEADS = 8
_HEAD_UNIT = 8  # numbers: what fused attention kernels count in


def num_heads(*widths: int, most: int = _MOST_HEADS) -> int:
    """Heads of attention, the same for layers of all these widths, whose sizes fused kernels take: multiples of 8.

    Args:
        widths: numbers a place; where they have no such heads in common, there are `most`.
        most: heads at most.
    """
    counts = (count for count in range(most, 0, -1) if all(width % (count * _HEAD_UNIT) == 0 for width in widths))
    return next(counts, most)


@dataclass(frozen=True, kw_only=True)
class TinyShape:
    """Sizes of the tiny model.

    Attributes:
        channels: of the UNet's levels; each level halves the grid. Multiples of 16.
        plain_levels: so many of the finest levels convolve only; the others attend to words and the whole picture too.
        text_width: numbers a word.
        patch_px: side of the squares of pixels that are one cell of the grid.
        latent_channels: numbers a cell.
    """

    channels: tuple[int, ...] = (64, 128, 128)
    plain_levels: int = 1
    text_width: int = 128
    patch_px: int = 4
    latent_channels: int = 8

    def __post_init__(self) -> None:
        if not self.channels or any(width < NUM_GROUPS or width % NUM_GROUPS for width in self.channels):
            raise ConfigError("channels", list(self.channels), f"multiples of {NUM_GROUPS}, one for each level")
        if self.text_width < 16 or self.text_width % 16:
            raise ConfigError("text_width", self.text_width, "a multiple of 16")
        if not 0 <= self.plain_levels < len(self.channels):
            raise ConfigError("plain_levels", self.plain_levels, f"0 to {len(self.channels) - 1}: one level attends")
        if self.patch_px not in (2, 4, 8, 16):
            raise ConfigError("patch_px", self.patch_px, "2, 4, 8 or 16")
        if not 1 <= self.latent_channels <= 3 * self.patch_px**2:
            raise ConfigError("latent_channels", self.latent_channels, f"1 to {3 * self.patch_px**2}")


@dataclass(frozen=True, kw_only=True)
class LoraShape:
    """Sizes of a LoRA, and the layers that it changes.

    Attributes:
        rank: of the change of each layer.
        alpha: the change counts alpha / rank; this much the learning rate of the change is larger as well.
        targets: linear layers of each attention: to_q, to_k, to_v, to_out.0.
    """

    rank: int = 4
    alpha: float = 4.0
    targets: tuple[str, ...] = LORA_TARGETS

    def __post_init__(self) -> None:
        if not 1 <= self.rank <= 1024:
            raise ConfigError("rank", self.rank, "1 to 1024")
        if not 0 < self.alpha < math.inf:
            raise ConfigError("alpha", self.alpha, "more than 0")
        if not self.targets or not set(self.targets) <= set(LORA_TARGETS):
            raise ConfigError("targets", list(self.targets), f"some of {', '.join(LORA_TARGETS)}")


@dataclass(frozen=True, kw_only=True)
class AgentShape:
    """Size of an actor, and of its paintings.

    Attributes:
        width: channels of its first layer, 4 to 256.
        num_steps: of a painting, five strokes each, 1 to 1,000.
    """

    width: int = 16
    num_steps: int = 20

    def __post_init__(self) -> None:
        if not 4 <= self.width <= 256:
            raise ConfigError("width", self.width, "4 to 256")
        if not 1 <= self.num_steps <= 1000:
            raise ConfigError("num_steps", self.num_steps, "1 to 1000")
