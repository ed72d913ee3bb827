"""From a configuration to the stage that it asks for: parents loaded, parts frozen, compiled where asked."""

from dataclasses import asdict
from pathlib import Path

from diffusers import MotionAdapter

from conf.errors import ConfigError, UserError
from training.config import NUM_PROMPTS, TrainConfig
from training.data.batch import SequenceBatch
from training.data.stream import SequenceStream
from training.diffusion import schedule_of_recipe
from training.models.pointing import ACTOR_CELL_PX
from training.models.regions import compile_regions
from training.models.sd15.base import BaseModel, load_base
from training.models.sd15.lora import load_lora
from training.models.sd15.motion import load_motion
from training.models.sd15.replication import is_carried, load_replication
from training.models.weights import module_hash, noise_of_run, parent_weights
from training.stages import Stage
from training.stages.agent import AgentStage
from training.stages.base import BaseStage, untrained_base
from training.stages.denoising import DenoisingConfig
from training.stages.lora import LoraStage
from training.stages.motion import MotionStage
from training.stages.replication import ReplicationStage
from training.stages.words import WordsStage

_NOISE = ("prediction", "num_steps", "beta_start", "beta_end", "zero_terminal_snr")
_NUM_PICTURES = 64  # among which the stage `words` looks for what prompts say
_FEWEST = 3  # sequences from which a LoRA can tell what they have in common


def make_stage(config: TrainConfig, train: SequenceStream) -> Stage:
    """The stage that a run trains, for the frames, size and kind of its data.

    Raises:
        UserError: if a parent is missing or of another kind, or the data does not fit the model.
    """
    stage: Stage
    match config.stage.name:
        case "words":
            stage = WordsStage(_untrained_base(config, train), train.size_px, _held_out(config, train, _NUM_PICTURES))
        case "base":
            stage = _base_stage(config, train)
        case "motion":
            stage = _motion_stage(config, train)
        case "replication":
            stage = _replication_stage(config, train)
        case "spatial_lora" | "motion_lora":
            stage = _lora_stage(config, train)
        case "agent":
            stage = _agent_stage(config, train)
    if config.compile:
        compile_regions(stage.network)
    return stage


def _base_stage(config: TrainConfig, train: SequenceStream) -> Stage:
    base = _untrained_base(config, train) if config.base is None else _parent_base(config, train)
    return BaseStage(
        base,
        _denoising(config),
        train.size_px,
        trains_words=config.base is None,
        checkpointing=config.gradient_checkpointing,
    )


def _untrained_base(config: TrainConfig, train: SequenceStream) -> BaseModel:
    if train.encoded:
        where = train.sources[0].split.url
        raise UserError(f"{where}: latents; a base makes its own codec and needs the data set of frames")
    return untrained_base(config.model.shape, config.data, train, _denoising(config).schedule, config.seed)


def _motion_stage(config: TrainConfig, train: SequenceStream) -> Stage:
    base = _parent_base(config, train)
    adapter = None if config.motion is None else _parent_motion(config, base, train)
    return MotionStage(
        base, adapter, _denoising(config), train.num_frames, train.size_px, checkpointing=config.gradient_checkpointing
    )


def _replication_stage(config: TrainConfig, train: SequenceStream) -> Stage:
    base = _parent_base(config, train)
    draw, start = config.stage.conditions, config.replication
    assert draw is not None  # the configuration has checked
    replication = None if start is None else load_replication(parent_weights("replication", start), base.unet)
    if replication is not None:
        _refuse_long("replication", start, replication.config.motion_max_seq_length, train)
        if is_carried(replication) != draw.carried:
            allowed = f"{str(not draw.carried).lower()}, as {start} was trained"
            raise ConfigError("stage.conditions.carried", str(draw.carried).lower(), allowed)
    return ReplicationStage(
        base,
        _parent_motion(config, base, train),
        replication,
        _denoising(config),
        draw,
        _latent_shape(base, train),
        _shown(config, train),
        checkpointing=config.gradient_checkpointing,
    )


def _lora_stage(config: TrainConfig, train: SequenceStream) -> Stage:
    if len(train) < _FEWEST:
        where = ", ".join(source.split.url for source in train.sources)
        raise UserError(f"{where}: {len(train)} sequences to train on; a LoRA needs at least {_FEWEST}")
    base = _parent_base(config, train)
    assert config.stage.lora is not None  # the configuration has checked
    parents, adapter, spatial = {"base": module_hash(base.unet)}, None, None
    if config.stage.name == "motion_lora":
        adapter = _parent_motion(config, base, train)
        if config.spatial_lora is not None:
            place = parent_weights("spatial_lora", config.spatial_lora)
            spatial = load_lora("spatial_lora", place, base.unet, parents)
        parents["motion"] = module_hash(adapter)
    steps, *grid = _latent_shape(base, train)
    return LoraStage(
        base,
        adapter,
        spatial,
        config.stage.lora,
        _denoising(config),
        config.stage.frames,
        (1 if adapter is None else steps, grid[0], grid[1], grid[2]),
        parents,
        checkpointing=config.gradient_checkpointing,
    )


def _agent_stage(config: TrainConfig, train: SequenceStream) -> Stage:
    where, shape = train.sources[0].split.url, config.stage.agent
    assert shape is not None  # the configuration has checked
    if train.encoded:
        raise UserError(f"{where}: latents; an actor paints pixels and needs the data set of frames")
    height_px, width_px = train.size_px
    if height_px != width_px or width_px % ACTOR_CELL_PX:
        allowed = f"an actor learns on squares, their sides a multiple of {ACTOR_CELL_PX}"
        raise UserError(f"{where}: frames of {width_px} x {height_px} px; {allowed}")
    return AgentStage(shape, _held_out(config, train, NUM_PROMPTS))


def _denoising(config: TrainConfig) -> DenoisingConfig:
    noise = config.noise
    assert noise.prediction is not None  # `train_config` has chosen
    return DenoisingConfig(
        schedule=schedule_of_recipe(asdict(noise)),
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
        base = load_base(config.model.path, "model.path")
    # A base trained here knows one schedule; others' are often trained further on another one, as AnimateDiff does.
    for key in _NOISE if config.base is not None else ("prediction",):
        here, its = getattr(config.noise, key), getattr(base.schedule, key)
        if here != its:
            raise ConfigError(f"noise.{key}", here, f"{its}, as of its base")
    height_px, width_px = train.size_px
    cell = base.patch_px * 2 ** (len(base.unet.config.block_out_channels) - 1)
    if height_px % cell or width_px % cell:
        where = train.sources[0].split.url
        raise UserError(f"{where}: frames of {width_px} x {height_px} px; sides must be multiples of {cell}")
    if train.encoded:
        SequenceStream.open(config.data, base_fingerprint=base.fingerprint())
    return base


def _parent_motion(config: TrainConfig, base: BaseModel, train: SequenceStream) -> MotionAdapter:
    """The temporal modules that a stage adds to, or goes on with."""
    folder = config.motion
    assert folder is not None  # the configuration has checked
    adapter = load_motion(parent_weights("motion", folder), base.unet)
    _refuse_long("motion", folder, adapter.config.motion_max_seq_length, train)
    noise = noise_of_run(parent_weights("motion", folder))
    if noise is not None and config.stage.name != "motion" and noise.shared != config.noise.shared:
        raise ConfigError("noise.shared", config.noise.shared, f"{noise.shared:g}, as of its motion model")
    return adapter


def _refuse_long(key: str, folder: Path | None, most: int, train: SequenceStream) -> None:
    if train.num_frames > most:
        where = train.sources[0].split.url
        raise UserError(f"{key}={folder}: knows {most} positions; sequences of {where} have {train.num_frames} frames")


def _latent_shape(base: BaseModel, train: SequenceStream) -> tuple[int, int, int, int]:
    height_px, width_px = train.size_px
    return train.num_frames, base.latent_channels, height_px // base.patch_px, width_px // base.patch_px


def _shown(config: TrainConfig, train: SequenceStream) -> SequenceBatch | None:
    """The sequences whose captions are the prompts of the samples; none when other prompts were said."""
    return _held_out(config, train, NUM_PROMPTS) if config.prompts is None else None


def _held_out(config: TrainConfig, train: SequenceStream, count: int) -> SequenceBatch:
    """The first sequences of the val split; of the train split where a run does without the other."""
    captions_required = config.stage.name != "agent"
    stream = train
    if config.validate_every:
        stream = SequenceStream.open(config.data, split="val", captions_required=captions_required)
    return stream.first(config.seed, count)
