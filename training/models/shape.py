"""Sizes of the tiny model; apart from it, because a configuration must not import networks."""

from dataclasses import dataclass

from conf.errors import ConfigError

NUM_GROUPS = 16
"""Groups of its group norms."""


@dataclass(frozen=True, kw_only=True)
class TinyShape:
    """Sizes of the tiny model.

    Attributes:
        channels: of the UNet's levels; each level halves the grid. Multiples of 16.
        text_width: numbers a word.
        latent_channels: numbers a patch of 8 x 8 pixels.
    """

    channels: tuple[int, ...] = (96, 160)
    text_width: int = 128
    latent_channels: int = 32

    def __post_init__(self) -> None:
        if not self.channels or any(width < NUM_GROUPS or width % NUM_GROUPS for width in self.channels):
            raise ConfigError("channels", list(self.channels), f"multiples of {NUM_GROUPS}, one for each level")
        if self.text_width < 16 or self.text_width % 16:
            raise ConfigError("text_width", self.text_width, "a multiple of 16")
        if not 1 <= self.latent_channels <= 192:
            raise ConfigError("latent_channels", self.latent_channels, "1 to 192")
