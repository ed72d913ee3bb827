"""The typed configuration of a training run, and the part of it that decides the weights."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, cast

from conf.compose import typed
from conf.errors import ConfigError, UserError
from conf.value import is_url
from training.data.augment import Augmentation
from training.data.remote import AnyPath
from training.data.stream import DataMixture
from training.models.registration import ModelConfig, Prediction, Registration, StageName
from training.models.registry import ARCHITECTURES, model_config, registered
from training.random.streams import DRAWS
from training.stages.stage_config import FROM_SCRATCH, StageConfig
from training.tracking import TrackerConfig

_STAGES_BY_PARENT = {
    "motion": ("motion", "replication", "motion_lora"),
    "replication": ("replication",),
    "spatial_lora": ("motion_lora",),
}  # parent -> the stages that may use it; `_check_parents` has further rules for `codec` and `base`
_WHY_FEW_MODELS = {  # stage -> why most models are not trained by it
    "codec": ": other base models come trained",
    "words": ": other base models come trained", "base": ": other base models come trained",
    "agent": ", whose network is an actor's",
}  # fmt: skip
PARENTS = ("codec", "base", "motion", "replication", "spatial_lora")
"""Keys that name the results of other runs; their hashes, not their paths, are part of the recipe."""
_FREE_ON_RESUME = (  # keys that may differ when a run is resumed
    *PARENTS, "out", "data", "resume", "max_steps", "num_workers", "stream", "cache_gb", "log_every",
    "checkpoint_every", "keep_checkpoints", "validate_every", "val_sequences", "sample_every", "prompts", "guidance",
    "peak_tflops", "tracker", "offload", "cuda_graphs",
)  # fmt: skip
NUM_PROMPTS = 4
"""Number of captions of the val split that samples are made for when `prompts` is null."""


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """The optimizer. The learning rate rises over the warm-up, is constant, and falls over the cool-down."""

    name: Literal["adamw", "prodigy"]
    learning_rate: float | None
    betas: tuple[float, float]
    weight_decay: float
    warmup_steps: int
    cooldown_steps: int

    def __post_init__(self) -> None:
        if self.learning_rate is not None and not 0 < self.learning_rate < math.inf:
            raise ConfigError("learning_rate", self.learning_rate, "more than 0")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigError("betas", list(self.betas), "two numbers from 0 to less than 1")
        if not 0 <= self.weight_decay < math.inf:
            raise ConfigError("weight_decay", self.weight_decay, "0 or more")
        for key in ("warmup_steps", "cooldown_steps"):
            if getattr(self, key) < 0:
                raise ConfigError(key, getattr(self, key), "0 or more")


@dataclass(frozen=True, kw_only=True)
class NoiseConfig:
    """The noise schedule and its loss. Training, inversion and sampling share one schedule."""

    num_steps: int = 1000
    beta_start: float = 0.00085
    beta_end: float = 0.012
    prediction: Prediction | None = None
    min_snr: float | None = None
    zero_terminal_snr: bool = False
    shared: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.shared <= 1:
            raise ConfigError("shared", self.shared, "0 to 1")
        if not 2 <= self.num_steps <= 100_000:
            raise ConfigError("num_steps", self.num_steps, "2 to 100000")
        if not 0 < self.beta_start < 1:
            raise ConfigError("beta_start", self.beta_start, "more than 0 and less than 1")
        if not self.beta_start <= self.beta_end < 1:
            raise ConfigError("beta_end", self.beta_end, f"from beta_start={self.beta_start} to less than 1")
        if self.min_snr is not None and not 0 < self.min_snr < math.inf:
            raise ConfigError("min_snr", self.min_snr, "more than 0, or null")
        if self.zero_terminal_snr and self.prediction == "epsilon":
            # The last step holds no signal, so epsilon teaches nothing there, and its min-SNR weight divides by zero.
            raise ConfigError("zero_terminal_snr", "true", "false, or noise.prediction=v")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run. `conf/train.yaml` says what each key means."""

    stage: StageConfig
    model: ModelConfig
    optimizer: OptimizerConfig
    noise: NoiseConfig
    tracker: TrackerConfig
    data: tuple[DataMixture, ...]
    out: AnyPath
    codec: AnyPath | None
    base: AnyPath | None
    motion: AnyPath | None
    replication: AnyPath | None
    spatial_lora: AnyPath | None
    resume: Literal["auto", "never", "must"]
    max_steps: int
    batch_size: int
    accumulate: int
    seed: int
    num_workers: int
    stream: Literal["auto", "random", "sequential"]
    cache_gb: float
    precision: Literal["fp32", "bf16"]
    compile: bool
    cuda_graphs: bool
    gradient_checkpointing: bool
    offload: bool
    distributed: Literal["ddp", "fsdp2"]
    clip_norm: float | None
    ema_decay: float | None
    caption_dropout: float
    augmentation: Augmentation
    log_every: int
    checkpoint_every: int
    keep_checkpoints: int
    validate_every: int
    val_sequences: int
    sample_every: int
    prompts: tuple[str, ...] | None
    guidance: float
    peak_tflops: float | None

    def __post_init__(self) -> None:
        for key, lowest, highest in (
            ("max_steps", 1, 2**40),
            ("batch_size", 1, 2**20),
            ("accumulate", 1, 2**20),
            ("seed", 0, 2**63 - 1),
            ("num_workers", 0, 1024),
            ("log_every", 1, 2**40),
            ("checkpoint_every", 1, 2**40),
            ("keep_checkpoints", 1, 2**20),
            ("validate_every", 0, 2**40),
            ("val_sequences", 1, 2**20),
            ("sample_every", 0, 2**40),
        ):
            value = getattr(self, key)
            if not lowest <= value <= highest:
                raise ConfigError(key, value, f"a whole number from {lowest} to {highest}")
        if not self.data:
            raise ConfigError("data", "[]", "at least one data set")
        if self.clip_norm is not None and not 0 < self.clip_norm < math.inf:
            raise ConfigError("clip_norm", self.clip_norm, "more than 0, or null")
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            raise ConfigError("ema_decay", self.ema_decay, "more than 0 and less than 1, or null")
        if not 0 <= self.caption_dropout <= 1:
            raise ConfigError("caption_dropout", self.caption_dropout, "0 to 1")
        if self.prompts is not None and not self.prompts:
            raise ConfigError("prompts", "[]", "at least one caption, or null")
        if not 0 <= self.cache_gb < math.inf:
            raise ConfigError("cache_gb", self.cache_gb, "0 or more")
        if not 1 <= self.guidance < math.inf:
            raise ConfigError("guidance", self.guidance, "1 (no guidance) or more")
        if self.peak_tflops is not None and not 0.001 <= self.peak_tflops < math.inf:
            raise ConfigError("peak_tflops", self.peak_tflops, "0.001 or more, or null")
        if self.offload:
            self._check_offload()
        if self.cuda_graphs:
            self._check_cuda_graphs()
        self._check_model()
        self._check_parents()
        if self.distributed == "fsdp2" and self.optimizer.name == "prodigy":
            # Prodigy's step size is a sum over all weights, but with fsdp2 each process holds only a part of them.
            raise ConfigError("distributed", "fsdp2", "ddp, with optimizer=prodigy")

    def _check_offload(self) -> None:
        if not self.gradient_checkpointing:
            raise ConfigError(
                "offload", "true", "false, or set gradient_checkpointing=true: otherwise the copies of all layers stay"
            )
        if self.compile:
            raise ConfigError("compile", "true", "false with offload=true, which moves layers between devices")
        if getattr(self.model, "dtype", None) == "fp8":
            raise ConfigError("model.dtype", "fp8", "bf16 or fp32 with offload=true: casts would be made on the CPU")

    def _check_cuda_graphs(self) -> None:
        """Refuse what a CUDA graph cannot record: work on the CPU, reads from the GPU, restored random states."""
        refused = {
            f"model={self.model.name}": not registered(self.model.name).cuda_graphs,
            "stage=agent": self.stage.name == "agent",
            "gradient_checkpointing=true": self.gradient_checkpointing,
        }
        for setting in (name for name, is_set in refused.items() if is_set):
            raise ConfigError("cuda_graphs", "true", f"false with {setting}")

    def _check_model(self) -> None:
        stage, model = self.stage.name, registered(self.model.name)
        if stage not in model.stages:
            capable_models = " or ".join(name for name, each in ARCHITECTURES.items() if stage in each.stages)
            raise ConfigError(
                "model", self.model.name, f"{capable_models}, with stage={stage}{_WHY_FEW_MODELS.get(stage, '')}"
            )
        self.stage.check_keys(model)
        if self.stage.base is not None and self.stage.base not in model.of_base:
            raise ConfigError("stage.base", self.stage.base, f"null with model={model.name}")
        if self.stage.text_encoder is False and self.base is None:
            raise ConfigError("stage.text_encoder", "false", "true or null with base=null, which trains a new one")
        if self.stage.grown:
            if "codec" not in model.stages:
                raise ConfigError("stage.grown", "true", f"null with model={model.name}")
            parent = "replication" if stage == "replication" else "base"
            if getattr(self, parent) is None:
                raise UserError(
                    f"{parent} is required with stage.grown=true: set {parent}=FOLDER, that of a smaller painter"
                )
        model.check_noise(self.noise)
        if self.stage.lora is not None:
            model.check_lora(self.stage.lora)

    def _check_parents(self) -> None:
        stage = self.stage.name
        if stage in FROM_SCRATCH:
            for key in PARENTS:
                if getattr(self, key) is not None and (stage, key) != ("codec", "base"):
                    raise ConfigError(key, getattr(self, key), f"null with stage={stage}, which trains from scratch")
            return
        if self.codec is not None and not (stage in ("words", "base") and self.base is None):
            raise ConfigError("codec", self.codec, "null, or stage=words; later stages have the codec of their base")
        if self.codec is not None and "codec" not in registered(self.model.name).stages:
            raise ConfigError("codec", self.codec, f"null with model={self.model.name}")
        model = registered(self.model.name)
        if stage not in ("words", "base") and not model.comes_trained and self.base is None:
            raise UserError(
                f"base is required with stage={stage} model={model.name}: set base=FOLDER of a run of stage=base"
            )
        if stage in ("replication", "motion_lora") and self.motion is None:
            raise UserError(f"motion is required with stage={stage}: set motion=FOLDER of a run of stage=motion")
        for key, stages in _STAGES_BY_PARENT.items():
            if getattr(self, key) is not None and stage not in stages:
                raise ConfigError(key, getattr(self, key), f"null, or stage={' or stage='.join(stages)}")

    @property
    def sequential(self) -> bool:
        """Whether shards are read whole, one after another; `stream=auto` does so if any data set is at a URL."""
        return self.stream == "sequential" or (self.stream == "auto" and any(is_url(part.path) for part in self.data))

    @property
    def reads_model_path(self) -> bool:
        """Whether the run begins from the base at `model.path`, and not from that of `base=` or a new one."""
        return self.base is None and registered(self.model.name).comes_trained

    def recipe(self) -> dict[str, Any]:
        """The settings that must not change when a run is resumed.

        Folders, URLs and the tracker are left out, so that nothing secret is in it.
        """
        return {**{key: value for key, value in asdict(self).items() if key not in _FREE_ON_RESUME}, "draws": DRAWS}


def train_config(plain: dict[str, Any]) -> TrainConfig:
    """The typed configuration, from the composed `conf/train.yaml`.

    Raises:
        UserError: naming the key, the value and what is allowed.
    """
    data = [item if isinstance(item, dict) else {"path": item} for item in _as_list(plain["data"])]
    model_settings = model_config(plain["model"])
    model = registered(model_settings.name)
    stage = _stage_keys(plain["stage"], model)
    config = typed(TrainConfig, {**plain, "data": data, "model": model_settings, "stage": stage})
    rate = model.learning_rate
    if config.stage.lora is not None:
        rate = model.lora_learning_rate
    elif config.stage.codec is not None:
        rate = model.codec_learning_rate
    try:
        noise = replace(config.noise, prediction=config.noise.prediction or model.prediction)
    except ConfigError as error:
        raise error.under("noise") from None
    optimizer = replace(config.optimizer, learning_rate=config.optimizer.learning_rate or rate)
    return replace(config, optimizer=optimizer, noise=noise)


def _stage_keys(stage: Any, model: Registration) -> Any:
    """The keys `stage.*`, with the model's defaults for those that are not set."""
    if not isinstance(stage, Mapping):
        return stage
    merged = dict(stage)
    for key, default in model.stage_defaults.get(cast(StageName, stage.get("name")), {}).items():
        value = stage.get(key, {})
        merged[key] = {**default, **value} if isinstance(value, Mapping) else value
    return merged


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
