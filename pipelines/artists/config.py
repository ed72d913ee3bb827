"""The configuration of `pipelines.ingest`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from conf.errors import ConfigError
from conf.recipe import plain_containers
from conf.value import check_whole
from pipelines.artists.find import ArtistSource, Layout
from pipelines.artists.grid import GridConfig, without_instructions
from pipelines.artists.hands import MaskConfig
from pipelines.sources.captions import CaptionTemplate
from pipelines.sources.source import SourceEntry
from pipelines.synthesis.run_config import RunConfig

Decision = Literal["auto", "always", "never"]

_AUTO: Mapping[str, tuple[Layout, ...]] = {
    "trim": ("video", "grid"),
    "straighten": ("video", "grid"),
    "clean": ("video",),
}
"""Treatment -> the layouts for which `auto` means `always`."""


_NEW_SOURCE_KEYS = ("split_file", "split", "most_per_file")


@dataclass(frozen=True, kw_only=True)
class TreatmentConfig:
    """How frames are treated before key frames are chosen from them.

    Attributes:
        trim: whether to cut off mats and black bars.
        straighten: whether to remove the camera's motion, or to align the cells of a grid.
        clean: whether to remove hands and tools.
        window: number of frames that vote about what is canvas; odd, 3 to 63.
        max_frames: number of frames of a sequence that are read, evenly spaced; 2 to 4000.
    """

    trim: Decision
    straighten: Decision
    clean: Decision
    window: int
    max_frames: int

    def __post_init__(self) -> None:
        if not (3 <= self.window <= 63 and self.window % 2):
            raise ConfigError("window", self.window, "an odd number from 3 to 63")
        check_whole("max_frames", self.max_frames, 2, 4000)

    def does(self, step: Literal["trim", "straighten", "clean"], layout: Layout) -> bool:
        """Whether a treatment is applied to sequences of a layout."""
        decision: Decision = getattr(self, step)
        return layout in _AUTO[step] if decision == "auto" else decision == "always"


@dataclass(frozen=True, kw_only=True)
class CaptionConfig:
    """How sequences are captioned.

    Attributes:
        template: caption of a sequence that has none of its own; `%name` is the name of its file or folder,
            `%trigger` the trigger. None leaves the caption empty.
        trigger: word that stands for this artist; it is appended to every caption that does not contain it as a
            separate word, whatever its case.
    """

    template: str | None = None
    trigger: str | None = None

    def __post_init__(self) -> None:
        allowed = {"name", "trigger"} if self.trigger else {"name"}
        if not CaptionTemplate(self.template or "").allows(allowed):
            allowed_text = "text that may hold %name, and %trigger where caption.trigger is given; %% is a percent sign"
            raise ConfigError("template", self.template, allowed_text)

    def of(self, entry: SourceEntry) -> str:
        """The caption of a sequence; empty if it has none and there is neither template nor trigger."""
        own = without_instructions(entry.caption or "")
        caption = own or CaptionTemplate(self.template or "").caption(entry.id, trigger=self.trigger or "")
        if not self.trigger or re.search(rf"(?<!\w){re.escape(self.trigger)}(?!\w)", caption, re.IGNORECASE):
            return caption
        return f"{caption}, {self.trigger}" if caption else self.trigger


@dataclass(frozen=True, kw_only=True)
class IngestConfig(RunConfig):
    """One run of `pipelines.ingest`. `conf/ingest.yaml` says what each key means."""

    source: ArtistSource
    layout: Layout
    grid: GridConfig
    treatment: TreatmentConfig
    mask: MaskConfig
    caption: CaptionConfig

    def __post_init__(self) -> None:
        super().__post_init__()
        num_frames = self.schedule.num_frames
        if self.treatment.max_frames < num_frames:
            raise ConfigError("treatment.max_frames", self.treatment.max_frames, f"num_frames={num_frames} at least")
        if self.mask.model is not None and not self.treatment.does("clean", self.layout):
            raise ConfigError(
                "treatment.clean", self.treatment.clean, "always: mask.model is used as frames are cleaned"
            )
        if self.layout == "grid" and self.grid.rows and self.grid.columns:
            cells = self.grid.rows * self.grid.columns
            if cells < num_frames:
                raise ConfigError("num_frames", num_frames, f"at most the {cells} cells of the grid")

    def recipe(self) -> dict[str, Any]:
        """Everything that decides the bytes of the data set, and nothing else."""
        return {
            "source": {"kind": self.layout, **_without_new_keys(plain_containers(self.source))},
            "grid": plain_containers(self.grid),
            "treatment": plain_containers(self.treatment),
            **({} if self.mask.model is None else {"mask": self.mask.recipe()}),
            "caption": plain_containers(self.caption),
            "framing": plain_containers(self.framing),
            "schedule": plain_containers(self.schedule),
            "frame_format": self.frame_format,
            "shard_size": self.shard_size,
            "val_fraction": self.val_fraction,
        }


def _without_new_keys(source: dict[str, Any]) -> dict[str, Any]:
    """The source without keys that were added later and are None: older data sets keep their hashes."""
    return {key: value for key, value in source.items() if key not in _NEW_SOURCE_KEYS or value is not None}
