"""Facts about an architecture that need no network, so that `--help` and errors about keys take no seconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, get_args

from conf.errors import ConfigError
from conf.printable import as_typed
from conf.value import Location
from training.models.shape import ATTENTION_LAYERS, LoraShape, OfBase

if TYPE_CHECKING:
    from training.config import NoiseConfig

Prediction = Literal["epsilon", "v"]
"""What a network may be trained to predict, with the noise of `training.noise_schedule`."""
StageName = Literal["codec", "words", "base", "motion", "replication", "spatial_lora", "motion_lora", "agent"]
ALL_STAGES: frozenset[StageName] = frozenset(get_args(StageName))
PainterPart = Literal["words", "codec", "replication", "loras"]
"""What a painter may hold besides a base and a motion model, by the keys of training.assemble."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Which architecture, and where its base is; architectures add keys of their own (`conf/model/NAME.yaml`).

    Attributes:
        name: name of the architecture.
        path: a base that comes trained: its name on the hub, or its local folder.
    """

    name: str
    path: Location | None = None


@dataclass(frozen=True, kw_only=True)
class Registration:
    """An architecture by name.

    Attributes:
        name: as in `conf/model/`, run cards and painters.
        small_of: name of the architecture whose networks it has in a smaller size, so that a run of one may be a parent
            in the other if shapes fit; None for an architecture of its own.
        module: the module whose `ARCHITECTURE` is a `training.models.architecture.Architecture`; imported when needed.
        config: class of the keys `model.*`.
        comes_trained: whether there are trained bases, which `model.path` names; other architectures need `base=`.
        stages: the stages that it can be trained by.
        painter_parts: what its painters hold besides a base and a motion model; other parts are refused.
        learning_rate, lora_learning_rate, codec_learning_rate: defaults for stages that train whole networks, LoRAs,
            and codecs.
        prediction: default of `noise.prediction`.
        lora_targets: layers that a LoRA may change, `stage.lora.targets`.
        of_base: the parts of the base that stage `motion` can train with the temporal modules.
        noise_keys: keys of `model.*` that are part of its noise: later stages must have those of their motion model.
        ignored_noise: keys of `noise.*` that mean nothing to its objective, and must have their defaults.
        cuda_graphs: whether its training steps read nothing from the device, so that a CUDA graph can record them.
        stage_defaults: stage -> keys `stage.*` that it has besides those of `conf/stage/`, and their defaults.
    """

    name: str
    small_of: str | None = None
    module: str
    config: type[ModelConfig] = ModelConfig
    comes_trained: bool = True
    stages: frozenset[StageName] = ALL_STAGES - {"codec", "words", "base", "agent"}
    painter_parts: frozenset[PainterPart] = frozenset()
    learning_rate: float
    lora_learning_rate: float
    codec_learning_rate: float = 4e-4  # at 1.5e-3 its losses rise tenfold within 50 steps
    prediction: Prediction | None = None
    lora_targets: tuple[str, ...] = ATTENTION_LAYERS
    of_base: frozenset[OfBase] = frozenset()
    noise_keys: tuple[str, ...] = ()
    ignored_noise: frozenset[str] = frozenset()
    cuda_graphs: bool = False
    stage_defaults: Mapping[StageName, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """Name of the architecture that it is, in whatever size."""
        return self.small_of or self.name

    def check_lora(self, lora: LoraShape) -> None:
        """Refuse a LoRA of layers that it does not have.

        Raises:
            ConfigError: naming the key.
        """
        if not lora.targets or not set(lora.targets) <= set(self.lora_targets):
            raise ConfigError("stage.lora.targets", list(lora.targets), f"some of {', '.join(self.lora_targets)}")

    def check_noise(self, noise: "NoiseConfig") -> None:
        """Refuse settings that its objective would ignore.

        Raises:
            ConfigError: naming the key.
        """
        for each in fields(noise):
            value = getattr(noise, each.name)
            if each.name in self.ignored_noise and value != each.default:
                allowed = f"{as_typed(each.default)}, as the noise of model={self.name} has no such key"
                raise ConfigError(f"noise.{each.name}", value, allowed)
