"""Wan2.2-TI2V-5B and the tiny Wan, as configurations know them."""

import math
from dataclasses import dataclass, field
from typing import Literal

from conf.errors import ConfigError
from training.models.registration import ModelConfig, PainterPart, Registration, StageName
from training.models.wan22.shape import LORA_LAYERS, WanShape

FramesAs = Literal["pictures", "video"]
Order = Literal["forward", "reversed"]
Levels = Literal["uniform", "logit_normal"]
Solver = Literal["euler", "unipc"]
Precision = Literal["fp8", "bf16", "fp32"]
TextEncoderPlace = Literal["network", "cpu"]

_MOST_LEAD = 100
_IGNORED_NOISE = frozenset({"num_steps", "beta_start", "beta_end", "prediction", "min_snr", "zero_terminal_snr"})
_NOISE_KEYS = ("frames", "order", "shift", "lead")
_MOTION = {
    "conditions": {},
    "lora": {"rank": 32, "alpha": 32.0, "targets": list(LORA_LAYERS)},
}


@dataclass(frozen=True, kw_only=True)
class WanConfig(ModelConfig):
    """The keys `model.*` of both models; `conf/model/wan22.yaml` says what each means."""

    frames: FramesAs = "pictures"
    order: Order = "forward"
    shift: float | None = None
    levels: Levels = "logit_normal"
    lead: float = 1.0
    solver: Solver | None = None
    dtype: Precision = "bf16"
    text_encoder: TextEncoderPlace = "network"

    def __post_init__(self) -> None:
        if self.shift is not None and not 0 < self.shift < math.inf:
            raise ConfigError("shift", self.shift, "more than 0, or null")
        if not 1 <= self.lead <= _MOST_LEAD:
            raise ConfigError("lead", self.lead, f"1 to {_MOST_LEAD}")


@dataclass(frozen=True, kw_only=True)
class Wan22Config(WanConfig):
    """The keys of the released model."""

    path: str | None = "Wan-AI/Wan2.2-TI2V-5B-Diffusers"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.path:
            raise ConfigError("path", self.path, "a name on the hub, or a local diffusers folder")


@dataclass(frozen=True, kw_only=True)
class WanTinyConfig(WanConfig):
    """The keys of the tiny model."""

    shape: WanShape = field(default_factory=WanShape)
    dtype: Precision = "fp32"
    shift: float | None = 2.0
    lead: float = 16.0


_STAGES: frozenset[StageName] = frozenset({"words", "base", "motion", "spatial_lora", "motion_lora"})
_PAINTER_PARTS: frozenset[PainterPart] = frozenset({"words", "loras"})

WAN22 = Registration(
    name="wan22",
    module="training.models.wan22.architecture",
    config=Wan22Config,
    stages=_STAGES - {"words", "base"},
    painter_parts=_PAINTER_PARTS,
    learning_rate=1e-5,
    lora_learning_rate=1e-4,
    lora_targets=LORA_LAYERS,
    noise_keys=_NOISE_KEYS,
    ignored_noise=_IGNORED_NOISE,
    stage_defaults={"motion": _MOTION},
)
WAN22_TINY = Registration(
    name="wan22_tiny",
    small_of="wan22",
    module="training.models.wan22.tiny",
    config=WanTinyConfig,
    comes_trained=False,
    stages=_STAGES,
    painter_parts=_PAINTER_PARTS,
    learning_rate=1e-3,
    lora_learning_rate=1e-3,
    lora_targets=LORA_LAYERS,
    noise_keys=_NOISE_KEYS,
    ignored_noise=_IGNORED_NOISE,
    stage_defaults={"motion": _MOTION},
)
