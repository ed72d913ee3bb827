"""process-painter in ComfyUI: nodes that render, paint and export painting processes."""

from importlib.util import find_spec

if find_spec("process_painter") is None:
    raise ImportError("process-painter is not installed in the Python that runs ComfyUI; README.md says how")

from comfy_api.latest import ComfyExtension, io

from .exporting import ExportProcess
from .painter import LoadPainter, Paint, PinFrame
from .rendering import RenderProcess


class ProcessPainterExtension(ComfyExtension):  # type: ignore[misc]
    """The extension that gives ComfyUI the nodes."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """All nodes of the pack."""
        return [RenderProcess, LoadPainter, PinFrame, Paint, ExportProcess]


async def comfy_entrypoint() -> ProcessPainterExtension:
    """Called by ComfyUI when it loads the pack."""
    return ProcessPainterExtension()
