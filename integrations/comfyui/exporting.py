"""The node that exports a process to a file for another program."""

from dataclasses import fields
from pathlib import Path

import folder_paths
from comfy_api.latest import io
from torch import Tensor

from conf.compose import compose, typed
from conf.errors import ConfigError, UserError
from conf.value import check_utf8
from pipelines.exports.placing import placed
from pipelines.exports.process import Process
from pipelines.exports.registry import FORMATS
from pipelines.exports.settings import Settings

from .kinds import CATEGORY, ProcessKind
from .pictures import frames_of
from .progress import step_counter


class ExportProcess(io.ComfyNode):  # type: ignore[misc]
    """Node: a process, or frames alone -> a file in ComfyUI's output folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The inputs are keys of `conf/export.yaml`, with its ranges and defaults."""
        return io.Schema(
            node_id="ProcessPainterExport",
            display_name="Export a painting process",
            category=CATEGORY,
            description="Writes vector graphics, layers, a film, a sheet or a lesson. svg and plotter need strokes.",
            inputs=[
                io.Combo.Input("format", options=list(FORMATS), default="mp4"),
                io.String.Input("filename_prefix", default="process-painter/process"),
                io.Float.Input("seconds", default=8.0, min=0.1, max=600.0, step=0.1, tooltip="Films: the painting."),
                io.Float.Input("hold", default=2.0, min=0.0, max=60.0, step=0.1, tooltip="Films: the finished one."),
                io.Boolean.Input("animated", default=False, tooltip="svg: strokes appear one after the other."),
                ProcessKind.Input("process", optional=True),
                io.Image.Input("frames", optional=True, tooltip="In place of a process; in order, blank to finished."),
            ],
            outputs=[io.String.Output("path", display_name="path")],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls,
        format: str,
        filename_prefix: str,
        seconds: float,
        hold: float,
        animated: bool,
        process: Process | None = None,
        frames: Tensor | None = None,
    ) -> io.NodeOutput:
        """The path that it was written to. Existing files are kept; the next free number is used.

        Raises:
            UserError: if there is nothing to export, the format cannot hold it, or it cannot be written.
        """
        check_utf8("filename_prefix", filename_prefix)
        if process is None and frames is not None:
            process = Process(
                name=Path(filename_prefix).name, caption="", credit="", frames=frames_of("frames", frames)
            )
        elif process is None or frames is not None:
            raise UserError("export needs either a process or frames")
        chosen = FORMATS[format]
        chosen.refuse(process, format)
        composed = compose("export", ["out=unused"])
        plain = {field.name: composed[field.name] for field in fields(Settings)}
        settings = typed(Settings, {**plain, "seconds": seconds, "hold": hold, "animated": animated})
        out = _free_path(filename_prefix, chosen.endings[0] if chosen.endings else "")
        advance = step_counter(1)
        with placed(out) as path:
            chosen.write(process, settings, path)
        advance()
        return io.NodeOutput(str(out), ui={"text": (str(out),)})


def _free_path(prefix: str, ending: str) -> Path:
    """A new path in ComfyUI's output folder, numbered as ComfyUI numbers its own files.

    Raises:
        ConfigError: if the prefix leads out of that folder.
    """
    root = Path(folder_paths.get_output_directory()).resolve()
    if not prefix.strip() or "\0" in prefix or root not in (root / prefix).resolve().parents:
        raise ConfigError("filename_prefix", prefix, "a name inside ComfyUI's output folder")
    folder, name, number, _, _ = folder_paths.get_save_image_path(prefix, str(root))
    return Path(folder) / f"{name}_{number:05}_{ending}"
