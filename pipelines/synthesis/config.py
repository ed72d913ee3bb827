"""The typed configuration of a synthesis run, and the part of it that decides the bytes of the data set."""

from dataclasses import dataclass
from typing import Any

from conf.compose import typed
from conf.devices import compute_device
from conf.errors import ConfigError
from conf.recipe import plain_containers
from conf.value import check_whole
from pipelines.sources import source_class
from pipelines.sources.source import Source
from pipelines.synthesis.renderer_choice import RendererChoice, chosen_renderers, renderer_key
from pipelines.synthesis.run_config import RunConfig, RunKeys
from training.data.layout import MOST_SEQUENCES


@dataclass(frozen=True, kw_only=True)
class SynthConfig(RunConfig):
    """One synthesis run. `conf/synth.yaml` says what each key means.

    With `step_captions`, a text is written for every frame. `left_out` names the members of the mix that the data set
    in `out` was begun without.
    """

    source_kind: str
    source: Source
    renderers: tuple[RendererChoice, ...]
    num_sequences: int | None
    seed: int
    step_captions: bool = False
    left_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("num_sequences", self.num_sequences, 1, MOST_SEQUENCES)
        check_whole("seed", self.seed, 0, 2**63 - 1)  # `samples.parquet` stores it in 64 bits
        for choice in self.renderers:
            try:
                choice.renderer.check_source(choice.config, brings_labels=self.source.brings_labels)
            except ConfigError as error:
                allowed = f"{error.allowed}: source={self.source_kind} brings no label map"
                raise ConfigError(f"{self._key_of(choice)}.{error.key}", error.value, allowed) from None
        self._check_devices()

    def _key_of(self, choice: RendererChoice) -> str:
        return renderer_key(choice.name, len(self.renderers))

    def _check_devices(self) -> None:
        """Refuse a GPU that workers will not have. GPUs of an existing cluster are checked once it is connected."""
        for choice in self.renderers:
            device = choice.renderer.device(choice.config)
            if device == "cpu":
                continue
            if self.cluster.kind != "ray":
                try:
                    compute_device(device)
                except ConfigError:
                    raise ConfigError(
                        f"{self._key_of(choice)}.device", device, "cpu: this machine has no such GPU"
                    ) from None
            if self.cluster.kind != "inline" and not self.cluster.gpus_per_worker:
                allowed = f"above 0 with device={device}; 0.25 lets four workers share a GPU"
                raise ConfigError("cluster.gpus_per_worker", self.cluster.gpus_per_worker, allowed)

    def recipe(self) -> dict[str, Any]:
        """Everything that decides the bytes of the data set, and nothing else."""
        return {
            "source": {"kind": self.source_kind, **_without_later_keys(plain_containers(self.source))},
            "renderers": [choice.recipe() for choice in self.renderers],
            "framing": plain_containers(self.framing),
            "schedule": plain_containers(self.schedule),
            "frame_format": self.frame_format,
            "num_sequences": self.num_sequences,
            "seed": self.seed,
            "shard_size": self.shard_size,
            "val_fraction": self.val_fraction,
            "cpu": self.cluster.cpu,
            **({"step_captions": True} if self.step_captions else {}),
        }


@dataclass(frozen=True, kw_only=True)
class CaptionConfig:
    """The group `caption`.

    Attributes:
        steps: whether to write a text for every frame, which says what is being done.
    """

    steps: bool


@dataclass(frozen=True, kw_only=True)
class _Composed(RunKeys):
    """`conf/synth.yaml` as a user types it."""

    source: dict[str, Any]
    renderer: dict[str, Any]
    num_sequences: int | None
    caption: CaptionConfig
    seed: int


def synth_config(plain: dict[str, Any]) -> SynthConfig:
    """The typed configuration of the composed `conf/synth.yaml`.

    Raises:
        ConfigError: naming the key, the value and what is allowed.
    """
    composed = typed(_Composed, plain)
    kind = str(composed.source.get("kind"))
    try:
        source_type = source_class(kind)
    except ConfigError as error:
        raise error.under("source") from None
    run_fields = composed.run_fields()
    renderers, left_out = chosen_renderers(composed.renderer, composed.out)
    return SynthConfig(
        **run_fields,
        source_kind=kind,
        source=typed(source_type, {key: value for key, value in composed.source.items() if key != "kind"}, "source"),
        renderers=renderers,
        left_out=left_out,
        step_captions=composed.caption.steps,
        num_sequences=composed.num_sequences,
        seed=composed.seed,
    )


def _without_later_keys(source: dict[str, Any]) -> dict[str, Any]:
    """The source without keys that were added later and have their defaults: older data sets keep their hashes."""
    later_defaults = (("caption", None), ("wording", "plain"), ("subjects", None))
    return {key: value for key, value in source.items() if (key, value) not in later_defaults}
