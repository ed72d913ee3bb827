"""From the configuration to a stage that is ready to train."""

from conf.errors import ConfigError
from training.config import TrainConfig
from training.data.stream import SequenceStream
from training.stages import Stage


def make_stage(config: TrainConfig, data: SequenceStream) -> Stage:
    """The stage that `config` names, for the frames, size and kind of `data`."""
    raise ConfigError("stage", config.stage.name, "none yet")
