"""The configuration that is common to all runs that write a data set."""

import sys
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

from conf.errors import ConfigError
from conf.value import check_whole, parse_size
from pipelines.sources.framing import Fit, Framing
from renderers.painting import FrameSchedule
from training.data.layout import MOST_SEQUENCES, FrameFormat
from training.data.remote import AnyPath, RemotePath
from training.tracking import TrackerConfig


@dataclass(frozen=True, kw_only=True)
class ClusterConfig:
    """Where shards are rendered: on a Ray that the run starts (`local`), an existing one (`ray`), or here (`inline`).

    Workers are processes that live as long as the run, so what a worker has loaded stays loaded for its next task.

    Attributes:
        address: address of the existing cluster.
        cpu: the processor that kernels are compiled for.
        gpus_per_worker: share of a GPU that each worker gets, 0 to 1; Ray hides GPUs from workers that get none.
        code: whether the machines of an existing cluster are sent this program, or have it installed.
    """

    kind: Literal["local", "ray", "inline"] = "local"
    address: str | None = None
    cpu: str = "native"
    gpus_per_worker: float = 0.0
    code: Literal["send", "installed"] = "send"

    def __post_init__(self) -> None:
        if not 0.0 <= self.gpus_per_worker <= 1.0:
            raise ConfigError("gpus_per_worker", self.gpus_per_worker, "0 to 1; 0.25 lets four workers share a GPU")
        if self.kind != "inline" and "ray" not in sys.modules and find_spec("ray") is None:
            raise ConfigError("kind", self.kind, "inline, as Ray is not installed: cluster=inline")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """The settings of a run that writes a data set. `conf/synth.yaml` says what each key means."""

    out: AnyPath
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
        if isinstance(self.out, RemotePath) and self.out.url.startswith("memory:") and self.cluster.kind != "inline":
            raise ConfigError("out", self.out, "a place that other processes see, or cluster=inline")
        if not 0.0 <= self.val_fraction < 1.0:
            raise ConfigError("val_fraction", self.val_fraction, "0 to less than 1")
        if not 0.0 <= self.max_quarantined <= 1.0:
            raise ConfigError("max_quarantined", self.max_quarantined, "0 to 1")


@dataclass(frozen=True, kw_only=True)
class FramesConfig:
    """The group `frames`."""

    spacing: Literal["distance", "log", "uniform"]
    format: FrameFormat


@dataclass(frozen=True, kw_only=True)
class RunKeys:
    """The keys of all commands that write a data set, as a user types them; types are checked, ranges are not yet."""

    out: AnyPath
    size: Any
    fit: Fit
    num_frames: int
    frames: FramesConfig
    num_workers: int | None
    shard_size: int | None
    val_fraction: float
    max_quarantined: float
    gallery: bool
    cluster: ClusterConfig
    tracker: TrackerConfig

    def run_fields(self) -> dict[str, Any]:
        """The fields of `RunConfig`, by name.

        Raises:
            ConfigError: naming the key, the value and what is allowed.
        """
        width, height = parse_size(self.size)
        return {
            "out": self.out,
            "framing": Framing(height_px=height, width_px=width, fit=self.fit),
            "schedule": FrameSchedule(num_frames=self.num_frames, spacing=self.frames.spacing),
            "frame_format": self.frames.format,
            "num_workers": self.num_workers,
            "shard_size": self.shard_size,
            "val_fraction": self.val_fraction,
            "max_quarantined": self.max_quarantined,
            "gallery": self.gallery,
            "cluster": self.cluster,
            "tracker": self.tracker,
        }
