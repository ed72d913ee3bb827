"""Export a painting process for other programs: vector, layers, film, print, plotter, a lesson.

    python -m pipelines.export dataset=outputs/demo key=00000003 out=boat.svg
    python -m pipelines.export painting=outputs/painting out=process.psd
    python -m pipelines.export picture=photo.jpg out=lesson.pdf format=lesson
    python -m pipelines.export dataset=outputs/demo key='[00000000,00000003]' format=ora out=layers

What each format keeps and what it loses is in docs/export.md. Exit code 0: written; 2: not, and nothing is there.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from conf.command import Summary, command, leave
from conf.compose import typed
from conf.errors import ConfigError
from conf.progress import Progress
from conf.value import SourceLocation
from pipelines.exports.inputs import Replay, from_dataset, from_painting, from_picture
from pipelines.exports.placing import check_free, check_picture, placed
from pipelines.exports.process import Process
from pipelines.exports.registry import FORMATS, Format, format_of
from pipelines.exports.settings import Settings
from pipelines.synthesis.renderer_choice import RendererChoice, single_renderer
from training.data.staging import to_stores


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """One export. `conf/export.yaml` says what each key means."""

    dataset: Path | None
    key: tuple[str, ...]
    painting: Path | None
    picture: SourceLocation | None
    renderer: RendererChoice
    canvas_px: int
    seed: int
    replay: Replay
    out: Path
    format: str | None
    overwrite: bool
    settings: Settings

    def __post_init__(self) -> None:
        inputs = ("dataset", "painting", "picture")
        given = [name for name in inputs if getattr(self, name) is not None]
        if len(given) != 1:
            raise ConfigError("/".join(given or inputs), "null" if not given else "...", "exactly one of the three")
        if (self.dataset is not None) != bool(self.key):
            raise ConfigError("key", list(self.key), "the sequences of a data set, and nothing else")
        if len(set(self.key)) != len(self.key):
            raise ConfigError("key", list(self.key), "each sequence once")
        if not 64 <= self.canvas_px <= 1024:
            raise ConfigError("canvas_px", self.canvas_px, "64 to 1024")
        if not 0 <= self.seed < 2**63:
            raise ConfigError("seed", self.seed, f"0 to {2**63 - 1}")
        if len(self.key) > 1 and self.is_file:
            raise ConfigError("out", self.out, "a folder, for several sequences; say the format with format=")
        check_free(self.out, is_folder=not self.is_file, overwrite=self.overwrite)
        if self.picture is not None:
            self.renderer.refuse_labels()

    @property
    def format_name(self) -> str:
        """The format that was chosen."""
        return format_of(self.format, self.out)

    @property
    def is_file(self) -> bool:
        """Whether `out` is one file, not a folder."""
        return self.out.suffix.lower() in FORMATS[self.format_name].endings


def run(config: ExportConfig) -> Summary:
    """Write all requested processes.

    Raises:
        UserError: if something cannot be read, does not fit the format, or cannot be written; then nothing is left.
    """
    if config.picture is not None:
        check_picture(config.picture, config.out)
    chosen = FORMATS[config.format_name]
    lines = []
    with placed(config.out) as path, Progress("exporting", max(1, len(config.key)), unit="processes") as progress:
        is_single = config.is_file or (not chosen.endings and len(config.key) < 2)
        if not is_single:
            path.mkdir()
        for process in _processes(config):
            chosen.refuse(process, config.format_name)
            chosen.write(process, config.settings, path if is_single else path / _file_name(process, chosen))
            height, width = process.size_px
            lines.append(f"{process.name}: {len(process.frames)} frames of {width}x{height} px as {config.format_name}")
            progress.advance(1)
    return Summary(lines=(*lines, f"look at it: {config.out}"))


def _processes(config: ExportConfig) -> Iterator[Process]:
    if config.dataset is not None:
        yield from map(partial(from_dataset, config.dataset, replay=config.replay), config.key)
    elif config.painting is not None:
        yield from_painting(config.painting, config.replay)
    elif config.picture is not None:
        yield from_picture(config.picture, config.renderer, config.canvas_px, config.seed, config.replay)


def _file_name(process: Process, chosen: Format) -> str:
    return process.name + (chosen.endings[0] if chosen.endings else "")


@dataclass(frozen=True, kw_only=True)
class _Composed:
    """The keys of `conf/export.yaml` other than those of `Settings` and `Replay`; ranges are not checked yet."""

    dataset: Path | None
    key: str | tuple[str, ...] | None
    painting: Path | None
    picture: SourceLocation | None
    renderer: dict[str, Any]
    canvas_px: int
    seed: int
    out: Path
    format: str | None
    overwrite: bool


def export_config(plain: dict[str, Any]) -> ExportConfig:
    """The typed configuration.

    Raises:
        ConfigError: naming the key, the value and what is allowed.
    """
    remaining = dict(plain)
    settings = typed(Settings, {field.name: remaining.pop(field.name) for field in fields(Settings)})
    replay = typed(Replay, {field.name: remaining.pop(field.name) for field in fields(Replay)})
    composed = dict(vars(typed(_Composed, remaining)))
    keys = composed.pop("key") or ()
    return ExportConfig(
        settings=settings,
        replay=replay,
        key=(keys,) if isinstance(keys, str) else keys,
        renderer=single_renderer(composed.pop("renderer")),
        **composed,
    )


if __name__ == "__main__":
    leave(command("export", *to_stores(export_config, run), __doc__ or ""))
