"""Sizes of the tiny Wan, and layers that LoRAs change; a module of its own, for configurations without networks."""

from dataclasses import dataclass

from conf.errors import ConfigError
from training.models.shape import ATTENTION_LAYERS

FEED_FORWARD_LAYERS = ("ffn.net.0.proj", "ffn.net.2")
"""Linear layers of a feed-forward, as diffusers names them."""
LORA_LAYERS = (*ATTENTION_LAYERS, *FEED_FORWARD_LAYERS)
"""Ten in each block, which has two attentions: 300 in Wan2.2-TI2V-5B."""
_HEAD_UNIT = 16  # head widths: rotary positions need pairs for time, height and width, fused kernels multiples of 8


@dataclass(frozen=True, kw_only=True)
class WanShape:
    """Sizes of the tiny Wan.

    Attributes:
        width: numbers per token of the transformer.
        num_heads: heads of its attentions.
        num_blocks: blocks of the transformer.
        text_width: numbers per token of a caption.
        patch_px: side of the squares of pixels that are one cell of the latent grid; four cells are a token.
        latent_channels: numbers per cell.
    """

    width: int = 192
    num_heads: int = 2
    num_blocks: int = 4
    text_width: int = 64
    patch_px: int = 8
    latent_channels: int = 24

    def __post_init__(self) -> None:
        if not 1 <= self.num_heads <= 64:
            raise ConfigError("num_heads", self.num_heads, "1 to 64")
        unit = _HEAD_UNIT * self.num_heads
        if self.width < unit or self.width % unit:
            raise ConfigError("width", self.width, f"a multiple of {unit}, {_HEAD_UNIT} times num_heads")
        if not 1 <= self.num_blocks <= 64:
            raise ConfigError("num_blocks", self.num_blocks, "1 to 64")
        if self.text_width < 16 or self.text_width % 16:
            raise ConfigError("text_width", self.text_width, "a multiple of 16")
        if self.patch_px not in (2, 4, 8, 16):
            raise ConfigError("patch_px", self.patch_px, "2, 4, 8 or 16")
        if not 1 <= self.latent_channels <= 3 * self.patch_px**2:
            raise ConfigError("latent_channels", self.latent_channels, f"1 to {3 * self.patch_px**2}")
