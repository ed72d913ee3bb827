"""The group `stage` of a training run: which stage is trained, and the keys that only it has."""

from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal

from conf.errors import ConfigError
from conf.printable import as_typed
from training.models.registration import Registration, StageName
from training.models.shape import AgentShape, LoraShape, OfBase
from training.stages.codec_settings import CodecSettings
from training.stages.condition_draw import ConditionDraw

_LORA_STAGES = ("spatial_lora", "motion_lora")
_STAGES_BY_KEY = {  # key -> the stages that it is required for; others have it with models that give it a default
    "conditions": ("replication",), "lora": _LORA_STAGES, "pictures": ("spatial_lora",), "agent": ("agent",),
    "codec": ("codec",),
}  # fmt: skip
_PICTURE_STAGES = ("words", "base")  # stages that read single pictures; a share `unfinished` of these may be unfinished
_GROWABLE_STAGES = ("base", "codec", "replication")  # stages that may start from a painter of half the size
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
        for key, stages in _STAGES_BY_KEY.items():
            if getattr(self, key) is None and self.name in stages:
                raise ConfigError(key, None, f"set with stage={' or stage='.join(stages)}")
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

    def check_keys(self, model: Registration) -> None:
        """Refuse keys that belong to other stages and that the model does not add to this one.

        Raises:
            ConfigError: naming the key.
        """
        for key, stages in _STAGES_BY_KEY.items():
            value = getattr(self, key)
            if value is not None and self.name not in stages and key not in model.stage_defaults.get(self.name, {}):
                allowed = f"set with, and only with, stage={' or stage='.join(stages)}"
                typed_value = _as_typed_group(value) if is_dataclass(value) else value
                raise ConfigError(f"stage.{key}", typed_value, f"{allowed}, where model={model.name}")

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


def _as_typed_group(group: Any) -> str:
    """The text that a user would type for a group of keys."""
    return f"{{{', '.join(f'{each.name}: {as_typed(getattr(group, each.name))}' for each in fields(group))}}}"
