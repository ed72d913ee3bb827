"""All formats of exports, and the choice of a format by the ending of a name."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from conf.errors import ConfigError, UserError
from pipelines.exports.process import Process
from pipelines.exports.settings import Settings

Writer = Callable[[Process, Settings, Path], None]
"""Writes one process to a path that does not exist yet; the same process and settings give the same bytes."""


@dataclass(frozen=True, kw_only=True)
class Format:
    """One format.

    Attributes:
        module: module of this package whose `write` is a `Writer`.
        endings: possible endings of its files, the default first; empty if it is a folder of files.
        strokes: families whose strokes, which are curves, it can draw; empty if it is made of frames.
        extra: extra of the distribution that it needs, or None.
    """

    module: str
    endings: tuple[str, ...]
    strokes: tuple[str, ...] = ()
    extra: str | None = None

    def refuse(self, process: Process, name: str) -> None:
        """Refuse a process that it cannot hold.

        Raises:
            ConfigError: naming the formats that could hold it.
        """
        if not self.strokes:
            return
        others = ", ".join(other for other, each in FORMATS.items() if not each.strokes)
        allowed = f"{others}; {name} needs strokes of bezier, oil, ink or studio, and {process.name}"
        if process.program is None:
            raise ConfigError("format", name, f"{allowed} has frames and no strokes")
        if process.program.family not in self.strokes:
            raise ConfigError("format", name, f"{allowed} is of {process.program.family}")

    def write(self, process: Process, settings: Settings, path: Path) -> None:
        """Write one process.

        Raises:
            UserError: if a package that it needs is not installed, or the strokes are damaged.
            OSError: if it cannot be written.
        """
        module = importlib.import_module(f"pipelines.exports.{self.module}")
        try:
            cast(Writer, module.write)(process, settings, path)
        except ModuleNotFoundError as error:
            if self.extra is None:
                raise
            package = str(error.name).partition(".")[0]
            raise UserError(f"this format needs {package}: pip install 'process-painter[{self.extra}]'") from error
        except ValueError as error:
            if not self.strokes:
                raise
            raise UserError(f"{process.name}: its strokes are damaged: {error}") from error


_CURVES = ("bezier", "brush", "studio")

FORMATS: Mapping[str, Format] = {
    "svg": Format(module="svg", endings=(".svg",), strokes=_CURVES),
    "plotter": Format(module="plotter", endings=(".svg",), strokes=_CURVES),
    "ora": Format(module="openraster", endings=(".ora",)),
    "psd": Format(module="photoshop", endings=(".psd",), extra="exports"),
    "krita": Format(module="recorder", endings=()),
    "mp4": Format(module="film", endings=(".mp4",)),
    "webm": Format(module="film", endings=(".webm",)),
    "gif": Format(module="film", endings=(".gif",)),
    "apng": Format(module="animation", endings=(".apng",)),
    "webp": Format(module="animation", endings=(".webp",)),
    "sheet": Format(module="sheet", endings=(".pdf", ".png")),
    "lesson": Format(module="lesson", endings=(".pdf",), extra="exports"),
}


def format_of(name: str | None, out: Path) -> str:
    """The named format, or else that of the file's ending.

    Raises:
        ConfigError: if neither gives a format, or the two do not fit together.
    """
    ending = out.suffix.lower()
    if name is None:
        for known_name, known in FORMATS.items():
            if ending in known.endings:
                return known_name
        known_endings = dict.fromkeys(ending for known in FORMATS.values() for ending in known.endings)
        raise ConfigError("out", out, f"a name that ends with {', '.join(known_endings)}; or say format=")
    if name not in FORMATS:
        raise ConfigError("format", name, f"one of {', '.join(FORMATS)}")
    all_endings = {ending for known in FORMATS.values() for ending in known.endings}
    if ending in all_endings and ending not in FORMATS[name].endings:
        endings = " or ".join(FORMATS[name].endings)
        raise ConfigError("out", out, f"a name that ends with {endings}, or a folder" if endings else "a folder")
    return name
