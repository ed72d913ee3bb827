"""The typed configuration of a synthesis run, and what of it decides the bytes of the data set."""

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from conf.compose import typed
from conf.devices import compute_device
from conf.errors import ConfigError, UserError
from conf.shown import without_secrets
from conf.value import parse_size
from pipelines.sources import source_class
from pipelines.sources.base import Source
from pipelines.sources.framing import Fit, Framing, Ground
from pipelines.synthesis.assets import AssetFiles, read_assets
from renderers import families, renderer
from renderers.family import Renderer
from renderers.painting import FrameSchedule
from training.data.dataset import read_card
from training.data.layout import MOST_SEQUENCES, FrameFormat
from training.tracking import TrackerConfig


@dataclass(frozen=True, kw_only=True)
class RendererChoice:
    """One renderer of a run: its name in `conf/renderer/`, its package, its configuration, and its share of the deal.

    `phrase` is the method phrase: the words appended to captions.
    """

    name: str
    family: str
    phrase: str
    config: Any
    weight: float = 1.0
    assets: AssetFiles = field(default_factory=AssetFiles)

    @property
    def renderer(self) -> Renderer:
        """What paints."""
        return renderer(self.family)

    def plain_config(self) -> dict[str, Any]:
        """Its configuration as plain containers; where it computes is said only where that is not the CPU.

        So recipes from before there was a choice keep their hashes.
        """
        plain: dict[str, Any] = plain_containers(self.config)
        return {key: value for key, value in plain.items() if (key, value) != ("device", "cpu")}

    @property
    def ground(self) -> Ground:
        """The colour of its bare canvas; pictures are laid on it."""
        return self.renderer.ground(self.config)

    def recipe(self) -> dict[str, Any]:
        """What of it decides bytes: of files, their hashes."""
        return {
            "name": self.name,
            "family": self.family,
            "phrase": self.phrase,
            "config": self.plain_config(),
            "weight": self.weight,
            "assets": dict(self.assets.sha256),
        }


@dataclass(frozen=True, kw_only=True)
class ClusterConfig:
    """Where shards are rendered: on a Ray of our own (`local`), on an existing one (`ray`), or here (`inline`).

    Workers are processes that live as long as the run: what one has loaded, it keeps for its next task.

    Attributes:
        address: of the existing one.
        cpu: the processor that kernels are compiled for.
        gpus_per_worker: share of a GPU that each worker gets, 0 to 1; Ray hides GPUs from workers that get none.
    """

    kind: Literal["local", "ray", "inline"] = "local"
    address: str | None = None
    cpu: str = "native"
    gpus_per_worker: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.gpus_per_worker <= 1.0:
            raise ConfigError("gpus_per_worker", self.gpus_per_worker, "0 to 1; 0.25 lets four workers share a GPU")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What every run that writes a data set is told, whatever the sequences are made of."""

    out: Path
    framing: Framing
    schedule: FrameSchedule
    frame_format: FrameFormat
    num_workers: int | None
    shard_size: int | None
    val_fraction: float
    max_quarantined: float
    gallery: bool
    cluster: ClusterConfig
    tracker: TrackerConfig

    def __post_init__(self) -> None:
        check_whole("num_workers", self.num_workers, 1, 1_000_000)
        check_whole("shard_size", self.shard_size, 1, MOST_SEQUENCES)
        if not 0.0 <= self.val_fraction < 1.0:
            raise ConfigError("val_fraction", self.val_fraction, "0 to less than 1")
        if not 0.0 <= self.max_quarantined <= 1.0:
            raise ConfigError("max_quarantined", self.max_quarantined, "0 to 1")


@dataclass(frozen=True, kw_only=True)
class SynthConfig(RunConfig):
    """One synthesis run. `conf/synth.yaml` says what each key means.

    `step_captions` writes a text a frame; `left_out` are members of the mix that the data set in `out` was begun
    without.
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
        check_whole("seed", self.seed, 0, 2**63 - 1)  # `samples.parquet` holds it in 64 bits
        for choice in self.renderers:
            try:
                choice.renderer.check_source(choice.config, brings_labels=self.source.brings_labels)
            except ConfigError as error:
                allowed = f"{error.allowed}: source={self.source_kind} brings no label map"
                raise ConfigError(f"{self._key_of(choice)}.{error.key}", error.value, allowed) from None
        self._check_devices()

    def _key_of(self, choice: RendererChoice) -> str:
        return "renderer" if len(self.renderers) == 1 else f"renderer.members.{choice.name}"

    def _check_devices(self) -> None:
        """Refuse a GPU that workers will not have. Those of an existing cluster are known when it is reached."""
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
            "source": {"kind": self.source_kind, **_said(plain_containers(self.source))},
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
class FramesConfig:
    """The group `frames`."""

    spacing: Literal["distance", "log", "uniform"]
    format: FrameFormat


@dataclass(frozen=True, kw_only=True)
class CaptionConfig:
    """The group `caption`.

    Attributes:
        steps: write a text for every frame, which says what is being done.
    """

    steps: bool


@dataclass(frozen=True, kw_only=True)
class _Mix:
    """`renderer=mix`."""

    family: Literal["mix"]
    weights: dict[str, float | None]
    members: dict[str, dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class _Composed:
    """`conf/synth.yaml` as a user sees it, types checked and ranges not yet."""

    source: dict[str, Any]
    renderer: dict[str, Any]
    cluster: ClusterConfig
    tracker: TrackerConfig
    out: Path
    num_sequences: int | None
    size: Any
    fit: Fit
    num_frames: int
    frames: FramesConfig
    caption: CaptionConfig
    seed: int
    num_workers: int | None
    shard_size: int | None
    val_fraction: float
    max_quarantined: float
    gallery: bool


def synth_config(plain: dict[str, Any]) -> SynthConfig:
    """From the composed `conf/synth.yaml` to the typed configuration.

    Raises:
        ConfigError: naming the key, the value and what is allowed.
    """
    composed = typed(_Composed, plain)
    kind = str(composed.source.get("kind"))
    try:
        source_type = source_class(kind)
    except ConfigError as error:
        raise error.under("source") from None
    width, height = parse_size(composed.size)
    renderers, left_out = _renderers(composed.renderer, composed.out)
    return SynthConfig(
        source_kind=kind,
        source=typed(source_type, {key: value for key, value in composed.source.items() if key != "kind"}, "source"),
        renderers=renderers,
        left_out=left_out,
        out=composed.out,
        framing=Framing(height_px=height, width_px=width, fit=composed.fit),
        schedule=FrameSchedule(num_frames=composed.num_frames, spacing=composed.frames.spacing),
        frame_format=composed.frames.format,
        step_captions=composed.caption.steps,
        num_sequences=composed.num_sequences,
        seed=composed.seed,
        num_workers=composed.num_workers,
        shard_size=composed.shard_size,
        val_fraction=composed.val_fraction,
        max_quarantined=composed.max_quarantined,
        gallery=composed.gallery,
        cluster=composed.cluster,
        tracker=composed.tracker,
    )


def _renderers(plain: Mapping[str, Any], out: Path) -> tuple[tuple[RendererChoice, ...], tuple[str, ...]]:
    """The renderers that are chosen, and the members of a mix that are left out because the data set is older."""
    if plain.get("family") != "mix":
        return (single_renderer(plain),), ()
    mix = typed(_Mix, plain, "renderer")
    for name, weight in mix.weights.items():
        if name not in mix.members:
            raise ConfigError(f"renderer.weights.{name}", weight, f"one of the members {', '.join(mix.members)}")
        if weight is not None and not 0.0 <= weight < math.inf:
            raise ConfigError(f"renderer.weights.{name}", weight, "a number from 0, or null")
    begun = _weights_begun_with(out)
    weights = {
        name: begun.get(name, 0.0 if begun else 1.0) if weight is None else weight
        for name, weight in sorted(mix.weights.items())
    }
    chosen = {name: weight for name, weight in weights.items() if weight > 0}
    if not chosen:
        raise ConfigError("renderer.weights", mix.weights, "at least one weight above 0")
    choices = (_choice(name, mix.members[name], f"renderer.members.{name}", chosen[name]) for name in chosen)
    left_out = (name for name, weight in mix.weights.items() if weight is None and name not in chosen)
    return tuple(choices), tuple(left_out)


def _weights_begun_with(out: Path) -> dict[str, float]:
    """The renderers of the mix that a data set in a folder was begun with; empty where there is none.

    A member that the mix gained since then does not make the same command ask for another data set.
    """
    try:
        renderers = read_card(out).recipe.get("renderers", [])
    except UserError:  # whoever claims the folder says what is wrong with it
        return {}
    weights = {choice["name"]: choice["weight"] for choice in renderers if isinstance(choice.get("weight"), float)}
    return weights if len(weights) > 1 else {}


def single_renderer(plain: Mapping[str, Any]) -> RendererChoice:
    """The renderer that the composed group `renderer` chooses, for commands that paint with one.

    Raises:
        ConfigError: naming the key, the value and what is allowed; also of a mix.
    """
    if plain.get("family") == "mix":
        raise ConfigError("renderer", "mix", "one renderer, such as " + " or ".join(sorted(plain["members"])))
    return _choice(str(plain.get("name") or plain.get("family")), plain, "renderer", 1.0)


def _choice(name: str, plain: Mapping[str, Any], key: str, weight: float) -> RendererChoice:
    fields = dict(plain)
    family, phrase = str(fields.pop("family", "")), fields.pop("phrase", None)
    fields.pop("name", None)  # of the YAML; in a mix, members are named by their keys
    if family not in families():
        raise ConfigError(f"{key}.family", family, "one of " + ", ".join(families()))
    config = typed(renderer(family).config_type, fields, key)
    try:
        assets = read_assets(renderer(family).asset_files(config))
        renderer(family).check_assets(config, assets.content)
    except ConfigError as error:
        raise error.under(key) from None
    phrase = str(renderer(family).phrase(config) if phrase is None else phrase)
    return RendererChoice(name=name, family=family, phrase=phrase, config=config, weight=weight, assets=assets)


def _said(source: dict[str, Any]) -> dict[str, Any]:
    """Without the key that sources had not had in earlier data sets, where it says nothing."""
    return {key: value for key, value in source.items() if (key, value) != ("caption", None)}


def check_whole(key: str, value: int | None, lowest: int, highest: int) -> None:
    """Raise ConfigError unless a number that was given is in its range."""
    if value is not None and not lowest <= value <= highest:
        raise ConfigError(key, value, f"a whole number from {lowest} to {highest}")


def plain_containers(value: Any) -> Any:
    """Plain containers, without what of URLs logs people in."""
    return _without_secrets(json.loads(json.dumps(dataclasses.asdict(value), ensure_ascii=False)))


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_secrets(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    return without_secrets(value) if isinstance(value, str) else value
