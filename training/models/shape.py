"""Sizes of LoRAs and actors, and parts of a base; a module of its own, for configurations without networks."""

import math
from dataclasses import dataclass
from typing import Literal

from conf.errors import ConfigError

ATTENTION_LAYERS = ("to_q", "to_k", "to_v", "to_out.0")
"""Linear layers of an attention, as diffusers names them."""
OfBase = Literal["words", "all"]
"""The part of the base's UNet that stage `motion` trains too: its attention to words, or all of it."""
_MOST_HEADS = 8
_HEAD_UNIT = 8  # fused attention kernels need heads whose widths are multiples of this


def num_heads(*widths: int, most: int = _MOST_HEADS) -> int:
    """Number of attention heads for layers of all these widths, such that head widths are multiples of 8.

    Args:
        widths: widths of the layers; if no number of heads suits all, the result is `most`.
        most: largest number of heads.
    """
    counts = (count for count in range(most, 0, -1) if all(width % (count * _HEAD_UNIT) == 0 for width in widths))
    return next(counts, most)


@dataclass(frozen=True, kw_only=True)
class LoraShape:
    """Sizes of a LoRA, and the layers that it changes.

    Attributes:
        rank: rank of the change of each layer.
        alpha: the change is multiplied by alpha / rank, which multiplies its learning rate as well.
        targets: the layers, by the end of their names; `Registration.lora_targets` of an architecture allows them.
    """

    rank: int = 4
    alpha: float = 4.0
    targets: tuple[str, ...] = ATTENTION_LAYERS

    def __post_init__(self) -> None:
        if not 1 <= self.rank <= 1024:
            raise ConfigError("rank", self.rank, "1 to 1024")
        if not 0 < self.alpha < math.inf:
            raise ConfigError("alpha", self.alpha, "more than 0")


LEAST_WIDTH, MOST_WIDTH = 4, 256
"""Channels of the first layer of an actor."""


@dataclass(frozen=True, kw_only=True)
class AgentShape:
    """Size of an actor, and of its paintings.

    Attributes:
        width: channels of its first layer, 4 to 256.
        num_steps: steps of a painting, five strokes each, 1 to 1,000.
    """

    width: int = 16
    num_steps: int = 20

    def __post_init__(self) -> None:
        if not LEAST_WIDTH <= self.width <= MOST_WIDTH:
            raise ConfigError("width", self.width, f"{LEAST_WIDTH} to {MOST_WIDTH}")
        if not 1 <= self.num_steps <= 1000:
            raise ConfigError("num_steps", self.num_steps, "1 to 1000")
