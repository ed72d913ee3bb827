"""Sizes of the tiny model and of LoRAs; apart from them, because a configuration must not import networks."""

import math
from dataclasses import dataclass

from conf.errors import ConfigError

NUM_GROUPS = 16
"""Groups of its group norms."""
LORA_TARGETS = ("to_q", "to_k", "to_v", "to_out.0")
"""Linear layers of an attention."""


@dataclass(frozen=True, kw_only=True)
class TinyShape:
    """Sizes of the tiny model.

    Attributes:
        channels: of the UNet's levels; each level halves the grid. Multiples of 16.
        text_width: numbers a word.
        latent_channels: numbers a patch of 8 x 8 pixels.
    """

    channels: tuple[int, ...] = (128, 128)
    text_width: int = 128
    latent_channels: int = 32

    def __post_init__(self) -> None:
        if not self.channels or any(width < NUM_GROUPS or width % NUM_GROUPS for width in self.channels):
            raise ConfigError("channels", list(self.channels), f"multiples of {NUM_GROUPS}, one for each level")
        if self.text_width < 16 or self.text_width % 16:
            raise ConfigError("text_width", self.text_width, "a multiple of 16")
        if not 1 <= self.latent_channels <= 192:
            raise ConfigError("latent_channels", self.latent_channels, "1 to 192")


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
