"""How stage `codec` trains; a module of its own, because configurations must not import networks."""

import math
from dataclasses import dataclass

from conf.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class CodecSettings:
    """The loss of a codec, and the parts of frames that it sees.

    Attributes:
        width: channels of its networks, at the grid of latents.
        crop_px: side of the squares that are cut out of frames; a multiple of the largest cells.
        edges: weight of the differences between neighbouring pixels, beside the pixels themselves.
        noise: largest deviation of the noise on latents; that of each square is drawn between 0 and this.
        pull: weight of the latents' mean square.
    """

    width: int = 128
    crop_px: int = 64
    edges: float = 0.5
    noise: float = 0.1
    pull: float = 1e-3

    def __post_init__(self) -> None:
        if not 8 <= self.width <= 1024 or self.width % 8:
            raise ConfigError("width", self.width, "a multiple of 8, 8 to 1024")
        if not 16 <= self.crop_px <= 1024 or self.crop_px % 16:
            raise ConfigError("crop_px", self.crop_px, "a multiple of 16, 16 to 1024")
        for key in ("edges", "noise", "pull"):
            if not 0 <= getattr(self, key) < math.inf:
                raise ConfigError(key, getattr(self, key), "0 or more")
