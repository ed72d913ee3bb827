"""The tiny model, as configurations know it."""

from dataclasses import dataclass, field
from typing import get_args

from training.models.registration import ALL_STAGES, ModelConfig, PainterPart, Registration
from training.models.shape import OfBase
from training.models.tiny.shape import TinyShape


@dataclass(frozen=True, kw_only=True)
class TinyConfig(ModelConfig):
    """The keys `model.*`."""

    shape: TinyShape = field(default_factory=TinyShape)


TINY = Registration(
    name="tiny",
    small_of="sd15",
    module="training.models.tiny.architecture",
    config=TinyConfig,
    comes_trained=False,
    stages=ALL_STAGES,
    painter_parts=frozenset(get_args(PainterPart)),
    learning_rate=1e-3,
    lora_learning_rate=1e-3,
    of_base=frozenset(get_args(OfBase)),
    cuda_graphs=True,
    prediction="v",  # with few steps, predictions at the noisiest levels matter; v is well conditioned there
)
