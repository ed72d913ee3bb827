"""From a configuration to the stage that it asks for: parents loaded, parts frozen."""

import torch
from torch import distributed

from conf.errors import ConfigError, UserError
from training.config import TrainConfig
from training.data.stream import SequenceStream
from training.diffusion import NoiseSchedule
from training.models.base import BaseModel, load_base
from training.models.motion import load_motion
from training.stages import Stage
from training.stages.base import BaseStage, begin_base
from training.stages.denoising import DenoisingConfig
from training.stages.motion import MotionStage
from training.weights import parent_weights


def make_stage(config: TrainConfig, train: SequenceStream) -> Stage:
    """The stage that a run trains.

    Raises:
        UserError: if a parent is missing or of another kind, or the data does not fit the model.
    """
    noise = config.noise
    schedule = NoiseSchedule(
        num_steps=noise.num_steps,
        beta_start=noise.beta_start,
        beta_end=noise.beta_end,
        prediction=noise.prediction,
        zero_terminal_snr=noise.zero_terminal_snr,
    )
    denoising = DenoisingConfig(
        schedule=schedule, min_snr=noise.min_snr, caption_dropout=config.caption_dropout, seed=config.seed
    )
    if config.stage.name == "base":
        writes = not distributed.is_initialized() or distributed.get_rank() == 0
        base = begin_base(
            config.model.shape, config.data, train, schedule, config.seed, config.out / "initial", writes=writes
        )
        return _compiled(BaseStage(base, denoising, train.size_px), config)
    base = _parent_base(config)
    _check_fit(base, schedule, train)
    adapter = None if config.motion is None else load_motion(parent_weights(config.motion), base.unet)
    stage = MotionStage(
        base,
        adapter,
        denoising,
        train.num_frames,
        train.size_px,
        gradient_checkpointing=config.gradient_checkpointing,
    )
    return _compiled(stage, config)
