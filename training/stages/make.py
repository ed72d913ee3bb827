"""From a configuration to the stage that it asks for: parents loaded, parts frozen, compiled where asked."""

from conf.errors import ConfigError, UserError
from training.config import TrainConfig
from training.data.stream import SequenceStream
from training.diffusion import NoiseSchedule
from training.models.base import BaseModel, load_base
from training.models.motion import load_motion
from training.stages import Stage
from training.stages.base import BaseStage, untrained_base
from training.stages.denoising import DenoisingConfig
from training.stages.motion import MotionStage
from training.weights import parent_weights


def make_stage(config: TrainConfig, train: SequenceStream) -> Stage:
    """The stage that a run trains, for the frames, size and kind of its data.

    Raises:
        UserError: if a parent is missing or of another kind, or the data does not fit the model.
    """
    denoising = _denoising(config)
    if config.stage.name == "base":
        base = untrained_base(config.model.shape, config.data, train, denoising.schedule, config.seed)
        stage: Stage = BaseStage(base, denoising, train.size_px, checkpointing=config.gradient_checkpointing)
    else:
        base = _parent_base(config, train)
        adapter = None if config.motion is None else load_motion(parent_weights("motion", config.motion), base.unet)
        stage = MotionStage(
            base, adapter, denoising, train.num_frames, train.size_px, checkpointing=config.gradient_checkpointing
        )
    if config.compile:
        stage.network.compile()
    return stage


def _denoising(config: TrainConfig) -> DenoisingConfig:
    noise = config.noise
    assert noise.prediction is not None  # `train_config` has chosen
    return DenoisingConfig(
        schedule=NoiseSchedule(
            num_steps=noise.num_steps,
            beta_start=noise.beta_start,
            beta_end=noise.beta_end,
            prediction=noise.prediction,
            zero_terminal_snr=noise.zero_terminal_snr,
        ),
        min_snr=noise.min_snr,
        caption_dropout=config.caption_dropout,
        seed=config.seed,
        guidance=config.guidance,
    )


def _parent_base(config: TrainConfig, train: SequenceStream) -> BaseModel:
    """The base that a stage adds to, checked against the data and the noise."""
    if config.base is not None:
        base = load_base(parent_weights("base", config.base))
    else:
        assert config.model.path is not None  # `TrainConfig` has checked
        base = load_base(config.model.path)
    if base.schedule.prediction != config.noise.prediction:
        raise ConfigError("noise.prediction", config.noise.prediction, f"{base.schedule.prediction}, as of its base")
    height_px, width_px = train.size_px
    cell = base.patch_px * 2 ** (len(base.unet.config.block_out_channels) - 1)
    if height_px % cell or width_px % cell:
        where = train.sources[0].split.url
        raise UserError(f"{where}: frames of {width_px} x {height_px} px; sides must be multiples of {cell}")
    if train.encoded:
        SequenceStream.open(config.data, base_fingerprint=base.fingerprint())
    return base
