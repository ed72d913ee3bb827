"""Makes the stage of a configuration: parents loaded, parts frozen, compiled if requested."""

from pathlib import Path
from typing import cast

from conf.errors import ConfigError, UserError
from conf.printable import as_typed
from conf.progress import tell
from training.config import NUM_PROMPTS, PARENTS, TrainConfig
from training.data.batch import SequenceBatch
from training.data.stream import SequenceStream
from training.models.architecture import Base, DenoisingStageName, FromNothing, StageRequest, TrainsCodec
from training.models.proposing import ACTOR_CELL_PX
from training.models.registry import ARCHITECTURES, architecture, registered
from training.models.trained_size import is_far, trained_size
from training.models.waiting import let_wait
from training.models.weights import noise_of_run, other_noise, parent_weights, read_run_card, refuse_untrained
from training.stages import Stage
from training.stages.agent import AgentStage
from training.stages.codec import CodecNetwork, CodecStage
from training.stages.denoising import DenoisingConfig, DenoisingStage
from training.stages.replication import ReplicationStage
from training.stages.untrained import some_frames, untrained_base
from training.stages.words import WordsStage

_NUM_PICTURES = 64  # among which samples of stage `words` are chosen
_NUM_FITTED = 1024  # pictures to which a codec is fitted before it is trained: at 128 px, 2 GB of numbers
_NUM_GROWN = 2048  # pictures to which the codec of a grown base is fitted: as much, as a cell has fewer numbers
_NUM_SCALED = 512  # pictures whose latents are scaled to unit variance
_FEWEST = 3  # least sequences from which a LoRA can learn what they have in common


def make_stage(config: TrainConfig, train: SequenceStream) -> Stage:
    """The stage that a run trains, for the frames, size and kind of its data.

    Raises:
        UserError: if a parent is missing or of another kind, or the data does not fit the model.
    """
    stage: Stage
    match config.stage.name:
        case "words":
            stage = _words_stage(config, train)
        case "codec":
            stage = _codec_stage(config, train)
        case "agent":
            stage = _agent_stage(config, train)
        case "base" | "motion" | "replication" | "spatial_lora" | "motion_lora" as name:
            stage = _denoising_stage(name, config, train)
    _warn_of_other_sizes(config, train)
    if config.offload:
        let_wait(stage.network)
    if config.compile:
        architecture(config.model.name).compile(stage.network)
    return stage


def _denoising_stage(name: DenoisingStageName, config: TrainConfig, train: SequenceStream) -> Stage:
    """A stage whose network comes from the architecture."""
    if name.endswith("_lora") and len(train) < _FEWEST:
        where = ", ".join(source.split.url for source in train.sources)
        raise UserError(f"{where}: {len(train)} sequences to train on; a LoRA needs at least {_FEWEST}")
    _refuse_other_parents(config)
    from_nothing = name == "base" and config.base is None
    base = _untrained_base(config, train) if from_nothing else _parent_base(config, train)
    if name == "base" and config.stage.grown:
        base = _grown_base(config, base)
    _refuse_size(base.cell_px, train)
    denoising = _denoising(config, base)
    parents = {"motion": config.motion, "replication": config.replication, "spatial_lora": config.spatial_lora}
    request = StageRequest(
        stage=name,
        num_frames=train.num_frames,
        base=config.base,
        path=config.model.path,
        parents={key: place for key, place in parents.items() if place is not None},
        data=train.sources[0].split.url,
        lora=config.stage.lora,
        conditions=config.stage.conditions,
        trains_text=from_nothing or bool(config.stage.text_encoder),
        of_base=config.stage.base,
        grown=bool(config.stage.grown),
        checkpointing=config.gradient_checkpointing,
    )
    trainable = architecture(config.model.name).trainable(base, request)
    # A spatial LoRA that is trained on all frames still paints single pictures.
    shape = base.latent_shape(1 if name in ("base", "spatial_lora") else train.num_frames, train.size_px)
    if trainable.sees_conditions:
        draw = config.stage.conditions
        assert draw is not None  # the configuration has checked
        return ReplicationStage(name, base, trainable, denoising, draw, shape, _sample_batch(config, train))
    return DenoisingStage(name, config.stage.frames, base, trainable, denoising, shape)


def _untrained_base(config: TrainConfig, train: SequenceStream) -> Base:
    if train.encoded:
        where = train.sources[0].split.url
        raise UserError(f"{where}: latents; a new base trains its own codec and needs the data set of frames")
    kind = _from_nothing(config)
    objective = kind.objective(config.model, config.noise, None, trained_here=True)
    return untrained_base(kind, config.model, config.data, train, objective, config.seed, config.codec)


def _from_nothing(config: TrainConfig) -> FromNothing:
    return cast(FromNothing, architecture(config.model.name))  # the configuration has checked it


def _words_stage(config: TrainConfig, train: SequenceStream) -> Stage:
    further = config.base is not None
    if further:
        if train.encoded:
            where = train.sources[0].split.url
            raise UserError(f"{where}: latents; a text encoder is trained on the data set of frames")
        base = _parent_base(config, train)
        _refuse_size(base.cell_px, train)
    else:
        base = _untrained_base(config, train)
    network = _from_nothing(config).words_network(base, train.size_px, further=further)
    return WordsStage(base, network, _held_out(config, train, _NUM_PICTURES))


def _codec_stage(config: TrainConfig, train: SequenceStream) -> Stage:
    where, settings = train.sources[0].split.url, config.stage.codec
    assert settings is not None  # the configuration has checked
    if train.encoded:
        raise UserError(f"{where}: latents; a codec is trained on the data set of frames")
    kind, held_out = cast(TrainsCodec, architecture(config.model.name)), _held_out(config, train, NUM_PROMPTS)
    if config.base is not None:
        base = _parent_base(config, train)
        base = _grown_base(config, base) if config.stage.grown else base
        _refuse_size(base.cell_px, train)
        codec = kind.codec_of(base, settings.width, f"base={config.base}")
        return CodecStage(CodecNetwork(codec, settings, config.seed, decoder_alone=True), None, held_out)
    _refuse_size(kind.cell_of(config.model), train)
    pictures = some_frames(config.data, config.seed)[:_NUM_FITTED]
    network = CodecNetwork(kind.new_codec(config.model, pictures, settings.width), settings, config.seed)
    return CodecStage(network, pictures[:_NUM_SCALED], held_out)


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


def _denoising(config: TrainConfig, base: Base) -> DenoisingConfig:
    """The denoising settings of a stage, with the noise that its parents were trained on."""
    kind = architecture(config.model.name)
    _refuse_other_noise(config)
    if config.noise.zero_terminal_snr and config.noise.min_snr is not None:
        tell(
            f"warning: noise.min_snr={config.noise.min_snr}: with noise.zero_terminal_snr=true the noisiest step, "
            "where painting begins, has no weight in the loss and is not learnt; noise.min_snr=null weights all alike"
        )
    return DenoisingConfig(
        objective=kind.objective(config.model, config.noise, base, trained_here=config.base is not None),
        min_snr=config.noise.min_snr,
        caption_dropout=config.caption_dropout,
        seed=config.seed,
        guidance=config.guidance,
    )


def _parent_base(config: TrainConfig, train: SequenceStream) -> Base:
    """The base that a stage adds to, checked against the data."""
    kind = architecture(config.model.name)
    _refuse_untrained_base(config)
    if config.base is not None:
        base = kind.load_base(parent_weights("base", config.base), config.model)
    else:
        assert config.model.path is not None  # `TrainConfig` has checked
        base = kind.load_base(config.model.path, config.model, "model.path")
    if train.encoded:
        where = train.sources[0].split.url
        if config.stage.name == "base" and config.stage.grown:
            raise UserError(f"{where}: latents; a grown base has a codec of its own and needs frames")
        if config.stage.text_encoder:
            raise UserError(f"{where}: latents; stage.text_encoder=true trains it on the data set of frames")
        SequenceStream.open(config.data, base_fingerprint=base.fingerprint())
    return base


def _refuse_untrained_base(config: TrainConfig) -> None:
    """Refuse a base that knows words only, except for the stages that train its denoiser or its codec."""
    if config.stage.name in ("base", "codec"):
        return
    if config.base is not None:
        refuse_untrained(f"base={config.base}", read_run_card(parent_weights("base", config.base)))
    elif config.model.path is not None and Path(config.model.path).exists():
        refuse_untrained(f"model.path={config.model.path}", read_run_card(Path(config.model.path)))


def _grown_base(config: TrainConfig, base: Base) -> Base:
    """The base of a smaller painter, grown; a resumed run grows it again."""
    kind, pictures = cast(TrainsCodec, architecture(config.model.name)), some_frames(config.data, config.seed)
    return kind.grown_base(base, config.model, pictures[:_NUM_GROWN], f"base={config.base}")


def _refuse_size(cell: int, train: SequenceStream) -> None:
    height_px, width_px = train.size_px
    if height_px % cell or width_px % cell:
        where = train.sources[0].split.url
        raise UserError(f"{where}: frames of {width_px} x {height_px} px; sides must be multiples of {cell}")


def _refuse_other_noise(config: TrainConfig) -> None:
    """Refuse other noise than the motion model was trained on, except for the motion stage itself."""
    if config.motion is None or config.stage.name == "motion":
        return
    weights = parent_weights("motion", config.motion)
    noise = noise_of_run(weights)
    difference = other_noise(config.noise, noise) if noise is not None else None
    if difference is not None:
        key, requested, of_motion = difference
        raise ConfigError(f"noise.{key}", requested, f"{as_typed(of_motion)}, as of its motion model")
    of_model = (read_run_card(weights) or {}).get("recipe", {}).get("model", {})
    for key in registered(config.model.name).noise_keys:
        requested = getattr(config.model, key)
        if key in of_model and of_model[key] != requested:
            raise ConfigError(f"model.{key}", requested, f"{as_typed(of_model[key])}, as of its motion model")


def _refuse_other_parents(config: TrainConfig) -> None:
    """Refuse runs of another stage, or of another kind of model, than their key asks for, before weights are read."""
    own = registered(config.model.name)
    for key in ("motion", "replication", "spatial_lora"):
        place = getattr(config, key)
        card = read_run_card(parent_weights(key, place)) if place is not None else None
        if card is None:
            continue
        if card.get("stage", key) != key:
            raise UserError(f"{key}={place}: trained by stage={card['stage']}; allowed: {key}")
        model = card.get("recipe", {}).get("model", {}).get("name")
        if model is not None and (model not in ARCHITECTURES or ARCHITECTURES[model].kind != own.kind):
            raise UserError(f"{key}={place}: trained with model={model}; allowed: a run of the same kind as {own.name}")


def _warn_of_other_sizes(config: TrainConfig, train: SequenceStream) -> None:
    """Networks know things at about the size at which they saw them."""
    height_px, width_px = train.size_px
    for key in PARENTS:
        place = getattr(config, key)
        if config.stage.grown and key == ("replication" if config.stage.name == "replication" else "base"):
            continue
        trained_px = trained_size(parent_weights(key, place)) if place is not None else None
        if trained_px is not None and is_far(train.size_px, trained_px):
            tell(
                f"warning: {key}={place}: was trained on {trained_px[1]}x{trained_px[0]} px, and this data has "
                f"{width_px}x{height_px} px; it has to learn anew how large things are"
            )


def _sample_batch(config: TrainConfig, train: SequenceStream) -> SequenceBatch | None:
    """The sequences whose captions are the prompts of samples; None if the user gave other prompts."""
    return _held_out(config, train, NUM_PROMPTS) if config.prompts is None else None


def _held_out(config: TrainConfig, train: SequenceStream, count: int) -> SequenceBatch:
    """The first sequences of the val split; of the train split in runs without validation."""
    stream = train
    if config.validate_every:
        stream = SequenceStream.open(config.data, split="val", captions_required=config.stage.captions_required)
    return stream.first(config.seed, count)
