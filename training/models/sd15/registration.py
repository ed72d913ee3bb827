"""Stable Diffusion 1.5, as configurations know it."""

from dataclasses import dataclass, field
from typing import get_args

from conf.errors import ConfigError
from training.models.registration import ModelConfig, PainterPart, Registration
from training.models.shape import OfBase
from training.models.tiny.shape import TinyShape


@dataclass(frozen=True, kw_only=True)
class SD15Config(ModelConfig):
    """The keys `model.*`. `shape` has no meaning here; it is part of the recipe hashes of existing runs."""

    shape: TinyShape = field(default_factory=TinyShape)

    def __post_init__(self) -> None:
        if not self.path:
            raise ConfigError("path", self.path, "a name on the hub, or a local diffusers folder")


SD15 = Registration(
    name="sd15",
    module="training.models.sd15.architecture",
    config=SD15Config,
    painter_parts=frozenset(get_args(PainterPart)),
    learning_rate=2e-5,
    lora_learning_rate=1e-4,  # few weights, which start at zero
    of_base=frozenset(get_args(OfBase)),
    cuda_graphs=True,
    prediction="epsilon",
)
