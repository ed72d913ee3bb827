"""The registration of the toy, by which configurations name it."""

from dataclasses import dataclass

from conf.errors import ConfigError
from training.models.registration import ModelConfig, Registration


@dataclass(frozen=True, kw_only=True)
class ToyConfig(ModelConfig):
    """The keys `model.*`: `shift` is how far timesteps are moved towards noise."""

    shift: float = 3.0

    def __post_init__(self) -> None:
        if self.shift <= 0:
            raise ConfigError("shift", self.shift, "more than 0")


TOY = Registration(
    name="toy",
    module="tests.training.models.toy_architecture.architecture",
    config=ToyConfig,
    comes_trained=False,
    stages=frozenset({"motion", "replication"}),
    painter_parts=frozenset({"replication"}),
    learning_rate=1e-3,
    lora_learning_rate=1e-3,
    ignored_noise=frozenset({"num_steps", "beta_start", "beta_end", "prediction", "min_snr", "zero_terminal_snr"}),
)
