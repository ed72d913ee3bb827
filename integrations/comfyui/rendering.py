"""The node that paints a picture with a renderer, without a model."""

from collections.abc import Mapping
from dataclasses import dataclass

from comfy_api.latest import io
from torch import Tensor

from conf.compose import compose
from conf.value import check_utf8
from pipelines.exports.inputs import Replay, from_image
from pipelines.synthesis.renderer_choice import single_renderer

from .kinds import CATEGORY, ProcessKind
from .pictures import batch_of, one_picture
from .progress import step_counter


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way of painting.

    Attributes:
        overrides: overrides of the command line that choose it.
        group: configuration group of its number of strokes and its preset.
    """

    overrides: tuple[str, ...]
    group: str = "renderer"


_MEDIA = ("oil", "ink", "pencil", "watercolour", "digital")
WAYS: Mapping[str, Way] = {
    **{f"studio, {medium}": Way(overrides=("renderer=studio", f"renderer.medium={medium}")) for medium in _MEDIA},
    "bezier": Way(overrides=("renderer=bezier",)),
    "oil": Way(overrides=("renderer=oil",)),
    "ink": Way(overrides=("renderer=ink",)),
    "region": Way(overrides=("renderer=region", "renderer.fill=strokes"), group="renderer.strokes"),
}
"""Name that users choose -> way: all renderers of `conf/renderer` that are no mix and need no weights."""


class RenderProcess(io.ComfyNode):  # type: ignore[misc]
    """Node: a picture -> how it may have been painted."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The inputs are keys of `conf/export.yaml`, with its ranges and defaults."""
        return io.Schema(
            node_id="ProcessPainterRender",
            display_name="Render a painting process",
            category=CATEGORY,
            description="Paints a picture stroke by stroke, without a model, and gives the frames of the process.",
            inputs=[
                io.Image.Input("image", tooltip="One picture."),
                io.Combo.Input("renderer", options=list(WAYS), default="studio, oil"),
                io.Combo.Input(
                    "preset",
                    options=["fast", "std", "best"],
                    default="std",
                    tooltip="Effort of placing strokes; best is slowest.",
                ),
                io.Int.Input("num_strokes", default=500, min=50, max=5000),
                io.Int.Input("num_frames", default=8, min=2, max=256),
                io.Int.Input(
                    "canvas_px", default=512, min=64, max=1024, tooltip="Long side where strokes are planned."
                ),
                io.Int.Input("size", default=512, min=64, max=4096, tooltip="Long side of the frames."),
                io.Int.Input("seed", default=0, min=0, max=2**63 - 1, control_after_generate=True),
                io.String.Input("title", default="painting", tooltip="Of the process, for sheets and lessons."),
            ],
            outputs=[
                io.Image.Output("frames", display_name="frames"),
                ProcessKind.Output("process", display_name="process"),
            ],
        )

    @classmethod
    def execute(
        cls,
        image: Tensor,
        renderer: str,
        preset: str,
        num_strokes: int,
        num_frames: int,
        canvas_px: int,
        size: int,
        seed: int,
        title: str,
    ) -> io.NodeOutput:
        """Frames (T, H, W, 3), the first the blank canvas, and the process with its strokes.

        Raises:
            UserError: if the picture is too slender, or not one RGB picture, or the title is no text in UTF-8.
        """
        check_utf8("title", title)
        way = WAYS[renderer]
        stroke_overrides = [f"{way.group}.preset={preset}", f"{way.group}.num_strokes={num_strokes}"]
        choice = single_renderer(compose("export", ["out=unused", *way.overrides, *stroke_overrides])["renderer"])
        process = from_image(
            one_picture("image", image),
            title or "painting",
            "a picture in ComfyUI",
            choice,
            canvas_px,
            seed,
            Replay(num_frames=num_frames, size=size),
            step_counter(num_frames),
        )
        return io.NodeOutput(batch_of(process.frames), process)
