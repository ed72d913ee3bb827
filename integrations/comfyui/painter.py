"""The nodes that paint with a trained painter."""

import torch
from comfy_api.latest import io
from torch import Tensor

from conf.devices import compute_device
from conf.errors import ConfigError, UserError
from conf.printable import printable
from conf.value import check_utf8, local_path
from pipelines.exports.process import Frame, Process
from pipelines.inference.own_files import PROVENANCE
from pipelines.inference.sizes import framing_for
from renderers.painting import to_uint8

from .kinds import CATEGORY, LoadedPainter, PainterKind, Pin, PinsKind, ProcessKind
from .pictures import batch_of, one_picture
from .progress import step_counter

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class LoadPainter(io.ComfyNode):  # type: ignore[misc]
    """Node: a folder -> a painter."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The inputs are keys of `conf/paint.yaml`, with its defaults."""
        return io.Schema(
            node_id="ProcessPainterLoadPainter",
            display_name="Load a painter",
            category=CATEGORY,
            description="Loads a painter's folder, or the small painter that comes with process-painter.",
            inputs=[
                io.String.Input("painter", default="tiny", tooltip="tiny, which comes along, or a painter's folder."),
                io.Combo.Input("dtype", options=list(_DTYPES), default="fp32"),
            ],
            outputs=[PainterKind.Output("loaded_painter", display_name="painter")],
        )

    @classmethod
    def execute(cls, painter: str, dtype: str) -> io.NodeOutput:
        """The painter, on a GPU if there is one.

        Raises:
            UserError: if the folder is not a complete painter.
        """
        from pipelines.inference.loading import load_painter_pipeline

        if not painter.strip():
            raise ConfigError("painter", "''", "tiny, or a painter's folder")
        folder = local_path(painter.strip(), "painter")
        pipeline, facts = load_painter_pipeline(folder, _DTYPES[dtype], compute_device("auto"), {})
        return io.NodeOutput(LoadedPainter(pipeline=pipeline, facts=facts))


class PinFrame(io.ComfyNode):  # type: ignore[misc]
    """Node: a picture and the number of a frame -> pins, to which more can be added."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The ranges are those of `conditions` in `conf/paint.yaml`."""
        return io.Schema(
            node_id="ProcessPainterPinFrame",
            display_name="Pin a frame",
            category=CATEGORY,
            description="Says which picture a frame of the process is to be. Chain several to pin several frames.",
            inputs=[
                io.Image.Input("image", tooltip="One picture; what is too wide or too tall is cropped."),
                io.Int.Input(
                    "frame", default=-1, min=-256, max=255, tooltip="0 is the blank canvas, -1 the finished painting."
                ),
                io.Float.Input("strength", default=1.0, min=0.0, max=1.0, step=0.05),
                PinsKind.Input("pins", optional=True, tooltip="Frames that are pinned already."),
            ],
            outputs=[PinsKind.Output("all_pins", display_name="pins")],
        )

    @classmethod
    def execute(cls, image: Tensor, frame: int, strength: float, pins: tuple[Pin, ...] = ()) -> io.NodeOutput:
        """The given pins and one more.

        Raises:
            ConfigError: if the frame is pinned already, or the picture is not one RGB picture.
        """
        if any(pin.frame == frame for pin in pins):
            raise ConfigError("frame", frame, "each frame once; it is pinned already")
        return io.NodeOutput((*pins, Pin(picture=one_picture("image", image), frame=frame, strength=strength)))


class Paint(io.ComfyNode):  # type: ignore[misc]
    """Node: a prompt, pinned frames, or both -> a process."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The inputs are keys of `conf/paint.yaml`, with its ranges and defaults."""
        return io.Schema(
            node_id="ProcessPainterPaint",
            display_name="Paint a process",
            category=CATEGORY,
            description="Paints a process with a painter, at that of its sizes which suits the last pin.",
            inputs=[
                PainterKind.Input("painter"),
                io.String.Input(
                    "prompt",
                    multiline=True,
                    default="a red house by a lake under an orange sky, painted in oil",
                    tooltip="Subject and manner; may be empty where frames are pinned.",
                ),
                io.String.Input("negative", multiline=True, default=""),
                io.Int.Input(
                    "num_frames", default=8, min=2, max=256, tooltip="At most what the painter was trained on."
                ),
                io.Int.Input("steps", default=50, min=1, max=1000),
                io.Float.Input("guidance", default=5.0, min=1.0, max=100.0, step=0.5),
                io.Int.Input("seed", default=0, min=0, max=2**63 - 1, control_after_generate=True),
                PinsKind.Input("pins", optional=True),
            ],
            outputs=[
                io.Image.Output("frames", display_name="frames"),
                ProcessKind.Output("process", display_name="process"),
            ],
        )

    @classmethod
    def execute(
        cls,
        painter: LoadedPainter,
        prompt: str,
        negative: str,
        num_frames: int,
        steps: int,
        guidance: float,
        seed: int,
        pins: tuple[Pin, ...] = (),
    ) -> io.NodeOutput:
        """Frames (T, H, W, 3), and the same frames as a process.

        Raises:
            UserError: if there is nothing to paint, a pin is beyond the frames, or the painter knows fewer frames.
        """
        from pipelines.inference.pinned import PinnedPicture
        from pipelines.paint import warn_of_unknown_words
        from training.data.cut_off import warn_of_cut_prompts

        check_utf8("prompt", prompt)
        check_utf8("negative", negative)
        if not prompt.strip() and not pins:
            raise ConfigError("prompt", "''", "what to paint, or pinned frames")
        if num_frames > painter.facts["num_frames"]:
            allowed = f"2 to {painter.facts['num_frames']}, which this painter was trained on"
            raise ConfigError("num_frames", num_frames, allowed)
        _check_pins(pins, num_frames)
        shape = pins[-1].picture.shape[:2] if pins else None
        framing = framing_for(None, "crop", painter.facts, painter.pipeline.cell_px, shape)
        conditions = [
            PinnedPicture(
                frame=pin.frame,
                picture=torch.from_numpy(framing.apply(pin.picture)).permute(2, 0, 1),
                strength=pin.strength,
            )
            for pin in pins
        ]
        base = painter.pipeline.base
        warn_of_unknown_words(base, [prompt], painter.facts.get("phrases", {}))
        warn_of_cut_prompts(base.tokens, prompt=[prompt.strip()], negative=[negative.strip()])
        painted = painter.pipeline(
            prompt.strip(), [conditions], negative_prompt=negative.strip(), num_frames=num_frames,
            trained_frames=painter.facts["num_frames"],
            size_px=(framing.height_px, framing.width_px), steps=steps, guidance=guidance, seed=seed,
            on_step=step_counter(steps),
        )  # fmt: skip
        pictures = painted.frames[0].permute(0, 2, 3, 1).numpy()
        process = Process(
            name="painting",
            caption=printable(prompt.strip()),
            credit=PROVENANCE,
            frames=tuple(Frame(picture=to_uint8(picture)) for picture in pictures),
        )
        return io.NodeOutput(batch_of(process.frames), process)


def _check_pins(pins: tuple[Pin, ...], num_frames: int) -> None:
    """Raise UserError if a pin is beyond the frames, or two pins are for the same frame (such as -1 and the last)."""
    for pin in pins:
        if not -num_frames <= pin.frame < num_frames:
            raise ConfigError(
                "pins", f"frame {pin.frame}", f"{-num_frames} to {num_frames - 1}, of {num_frames} frames"
            )
    numbers = [pin.frame % num_frames for pin in pins]
    if repeated := {number for number in numbers if numbers.count(number) > 1}:
        raise UserError(f"pins: frame {min(repeated)} of {num_frames} is pinned twice; -1 is the last frame")
