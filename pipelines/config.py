"""The typed configuration of a synthesis run, and what of it decides the bytes of the data set."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from conf.compose import typed
from conf.errors import ConfigError
from pipelines.sources import source_class
from pipelines.sources.base import Source
from pipelines.sources.framing import Framing
from renderers import families, renderer
from renderers.painting import FrameSchedule
from training.data.layout import FRAME_FORMATS, FrameFormat


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


@dataclass(frozen=True, kw_only=True)
class ClusterConfig:
    """Where shards are rendered: on a Ray of our own (`local`), on an existing one (`ray`), or here (`inline`)."""

    kind: Literal["local", "ray", "inline"] = "local"
    address: str | None = None
    cpu: str = "native"


@dataclass(frozen=True, kw_only=True)
class TrackerConfig:
    """Where progress is tracked."""

    kind: Literal["none", "wandb"] = "none"
    project: str = "process-painter"
    mode: Literal["offline", "online"] = "offline"
    name: str | None = None


@dataclass(frozen=True, kw_only=True)
class SynthConfig:
    """One synthesis run. `conf/synth.yaml` says what each key means."""

    source_kind: str
    source: Source
    renderers: tuple[RendererChoice, ...]
    out: Path
    framing: Framing
    schedule: FrameSchedule
    frame_format: FrameFormat
    num_sequences: int | None
    seed: int
    num_workers: int | None
    shard_size: int | None
    val_fraction: float
    max_quarantined: float
    gallery: bool
    cluster: ClusterConfig
    tracker: TrackerConfig

    def __post_init__(self) -> None:
        for key, value, lowest in (
            ("num_sequences", self.num_sequences, 1),
            ("num_workers", self.num_workers, 1),
            ("shard_size", self.shard_size, 1),
            ("seed", self.seed, 0),
        ):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < lowest):
                raise ConfigError(key, value, f"a whole number from {lowest}")
        if not 0.0 <= self.val_fraction < 1.0:
            raise ConfigError("val_fraction", self.val_fraction, "0 to less than 1")
        if not 0.0 <= self.max_quarantined <= 1.0:
            raise ConfigError("max_quarantined", self.max_quarantined, "0 to 1")
        if self.frame_format not in FRAME_FORMATS:
            raise ConfigError("frames.format", self.frame_format, "one of " + ", ".join(FRAME_FORMATS))

    def recipe(self) -> dict[str, Any]:
        """Everything that decides the bytes of the data set, and nothing else."""
        return {
            "source": {"kind": self.source_kind, **_plain(self.source)},
            "renderers": [_plain(choice) for choice in self.renderers],
            "framing": _plain(self.framing),
            "schedule": _plain(self.schedule),
            "frame_format": self.frame_format,
            "num_sequences": self.num_sequences,
            "seed": self.seed,
            "shard_size": self.shard_size,
            "val_fraction": self.val_fraction,
            "cpu": self.cluster.cpu,
        }


def recipe_hash(recipe: Mapping[str, Any]) -> str:
    """SHA-256 of a recipe, in hex."""
    return hashlib.sha256(json.dumps(recipe, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def synth_config(plain: dict[str, Any]) -> SynthConfig:
    """From the composed `conf/synth.yaml` to the typed configuration.

    Raises:
        ConfigError: naming the key, the value and what is allowed.
    """
    source = dict(plain["source"])
    kind = source.pop("kind")
    try:
        source_type = source_class(kind)
    except ConfigError as error:
        raise error.under("source") from None
    width, height = parse_size(plain["size"])
    frames = plain["frames"]
    return SynthConfig(
        source_kind=kind,
        source=typed(source_type, source, "source"),
        renderers=_renderers(plain["renderer"]),
        out=Path(str(plain["out"])),
        framing=Framing(height_px=height, width_px=width, fit=plain["fit"]),
        schedule=_schedule(plain["num_frames"], frames),
        frame_format=frames["format"],
        cluster=typed(ClusterConfig, plain["cluster"], "cluster"),
        tracker=typed(TrackerConfig, plain["tracker"], "tracker"),
        **{
            key: plain[key]
            for key in (
                "num_sequences",
                "seed",
                "num_workers",
                "shard_size",
                "val_fraction",
                "max_quarantined",
                "gallery",
            )  # fmt: skip
        },
    )


def parse_size(size: object) -> tuple[int, int]:
    """(width, height) of `256` or `384x256`."""
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", str(size))
    if not match:
        raise ConfigError("size", size, "64 to 1024 px a side, as 256 or 384x256")
    return int(match[1]), int(match[2] or match[1])


def _schedule(num_frames: object, frames: Mapping[str, Any]) -> FrameSchedule:
    try:
        return typed(FrameSchedule, {"num_frames": num_frames, "spacing": frames["spacing"]})
    except ConfigError as error:
        raise (error.under("frames") if error.key == "spacing" else error) from None


def _renderers(plain: Mapping[str, Any]) -> tuple[RendererChoice, ...]:
    if plain.get("family") != "mix":
        return (_choice(str(plain.get("family")), plain, "renderer", 1.0),)
    weights, members = plain["weights"], plain["members"]
    for name, weight in weights.items():
        if name not in members:
            raise ConfigError(f"renderer.weights.{name}", weight, f"one of the members {', '.join(members)}")
        if isinstance(weight, bool) or not isinstance(weight, int | float) or weight < 0:
            raise ConfigError(f"renderer.weights.{name}", weight, "a number from 0")
    chosen = [name for name in sorted(members) if weights.get(name, 0) > 0]
    if not chosen:
        raise ConfigError("renderer.weights", dict(weights), "at least one weight above 0")
    return tuple(_choice(name, members[name], f"renderer.members.{name}", float(weights[name])) for name in chosen)


def _choice(name: str, plain: Mapping[str, Any], key: str, weight: float) -> RendererChoice:
    fields = dict(plain)
    family, phrase = str(fields.pop("family", "")), str(fields.pop("phrase", ""))
    if family not in families():
        raise ConfigError(f"{key}.family", family, "one of " + ", ".join(families()))
    config = typed(renderer(family).Config, fields, key)
    return RendererChoice(name=name, family=family, phrase=phrase, config=config, weight=weight)


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(dataclasses.asdict(value)))
