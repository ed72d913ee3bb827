"""Sizes of the tiny model; a module of its own, because configurations must not import networks."""

from dataclasses import dataclass

from conf.errors import ConfigError

NUM_GROUPS = 16
"""Groups of the tiny model's group norms."""


@dataclass(frozen=True, kw_only=True)
class TinyShape:
    """Sizes of the tiny model.

    Attributes:
        channels: channels of the UNet's levels, multiples of 16; each level halves the grid.
        plain_levels: number of the finest levels that only convolve; the others attend to words and the whole picture.
        text_width: numbers per token.
        patch_px: side of the squares of pixels that are one cell of the grid.
        latent_channels: numbers per cell.
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
