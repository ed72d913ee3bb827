"""The group `stage` of a training run: which stage is trained, and the keys that only it has."""

from dataclasses import dataclass
from typing import Literal

from conf.errors import ConfigError
from training.models.registration import StageName
from training.models.shape import AgentShape, LoraShape, OfBase
from training.stages.codec_settings import CodecSettings
from training.stages.condition_draw import ConditionDraw

_LORA_STAGES = ("spatial_lora", "motion_lora")
STAGES_BY_KEY = {  # key -> the stages that it is required for; it is refused for all others
    "conditions": ("replication",), "lora": _LORA_STAGES, "pictures": ("spatial_lora",), "agent": ("agent",),
    "codec": ("codec",),
}  # fmt: skip
_PICTURE_STAGES = ("words", "base")  # stages that read single pictures; a share `unfinished` of these may be unfinished
_GROWABLE_STAGES = ("base", "codec", "replication")  # stages that may start from a painter of half the size
MODEL_SPECIFIC_KEYS = {"motion": ("conditions", "lora")}  # stage -> keys that it also has with some models
FROM_SCRATCH = ("codec", "agent")


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """The stage of training, and the keys that only this stage has."""

    name: StageName
    conditions: ConditionDraw | None = None
    lora: LoraShape | None = None
    pictures: Literal["last", "all"] | None = None
    unfinished: float | None = None
    text_encoder: bool | None = None
    grown: bool | None = None
    base: OfBase | None = None
    agent: AgentShape | None = None
    codec: CodecSettings | None = None

    def __post_init__(self) -> None:
        for key, stages in STAGES_BY_KEY.items():
            if key in MODEL_SPECIFIC_KEYS.get(self.name, ()):
                continue  # whether it is set depends on the model: `TrainConfig._check_model` checks it
            if (getattr(self, key) is not None) != (self.name in stages):
                raise ConfigError(
                    key, getattr(self, key), f"set with, and only with, stage={' or stage='.join(stages)}"
                )
        if self.unfinished is not None:
            if self.name not in _PICTURE_STAGES:
                allowed = f"set only with stage={' or stage='.join(_PICTURE_STAGES)}"
                raise ConfigError("unfinished", self.unfinished, allowed)
            if not 0 <= self.unfinished <= 1:
                raise ConfigError("unfinished", self.unfinished, "0 to 1, or null")
        if self.text_encoder is not None and self.name != "base":
            raise ConfigError("text_encoder", self.text_encoder, "set only with stage=base")
        if self.grown is not None and self.name not in _GROWABLE_STAGES:
            raise ConfigError("grown", self.grown, f"set only with stage={' or stage='.join(_GROWABLE_STAGES)}")
        if self.base is not None and self.name != "motion":
            raise ConfigError("base", self.base, "set only with stage=motion")

    @property
    def frames(self) -> Literal["all", "last"]:
        """`all` if the stage reads whole sequences, `last` if it reads one picture of each.

        These pictures are finished, but for a share `unfinished` of them.
        """
        return "last" if self.name in (*_PICTURE_STAGES, "agent") or self.pictures == "last" else "all"

    @property
    def captions_required(self) -> bool:
        """Whether every sequence needs a caption: codecs and agents read none."""
        return self.name not in FROM_SCRATCH
