"""Runs of `export`, and small processes to export."""

import importlib
import io
import os
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from conf.command import command
from pipelines.export import export_config, run
from pipelines.exports.process import Frame, Process
from pipelines.exports.settings import PageName, Settings
from renderers.painting import StrokeProgram

Picture = NDArray[np.uint8]


def export(*overrides: object) -> int:
    """Run the command in this process; returns the exit code."""
    return command("export", export_config, run, "A test.", [str(word) for word in overrides])


def optional(name: str) -> ModuleType:
    """A package that only tests need; the test is skipped where it is absent, unless `CI` is set."""
    if os.environ.get("CI"):
        return importlib.import_module(name)
    module: ModuleType = pytest.importorskip(name)
    return module


def settings(
    *, animated: bool = False, seconds: float = 2, hold: float = 1, page: PageName = "a4", margin_mm: float = 12,
    dpi: int = 72, pen_mm: float = 0.3, font: Path | None = None,
) -> Settings:  # fmt: skip
    """The defaults of the command, but short and small."""
    return Settings(
        animated=animated, seconds=seconds, hold=hold, page=page, margin_mm=margin_mm, dpi=dpi, pen_mm=pen_mm, font=font
    )  # fmt: skip


def grown(num_frames: int = 5, height: int = 40, width: int = 61, *, phases: bool = True) -> Process:
    """A process without strokes, in two phases: squares appear on white, and the last frame changes nothing."""
    rng = np.random.default_rng(5)
    picture, frames = np.full((height, width, 3), 255, np.uint8), []
    for number in range(num_frames):
        if 0 < number < num_frames - 1:
            top, left = 5 + 3 * number, 4 + 9 * number
            picture[top : top + 14, left : left + 14] = rng.integers(0, 256, (14, 14, 3), np.uint8)
        phase = ("drawing" if number < 3 else "block_in") if phases else ""
        frames.append(Frame(picture=picture.copy(), phase=phase, doing=f"doing {number} & more" if phases else ""))
    return Process(name="grown", caption="squares <here>", credit="made by hand", frames=tuple(frames))


def of_strokes(rows: NDArray[np.float32], height_px: int = 64, width_px: int = 64) -> Process:
    """A process of smooth strokes, (N, 13), on a light canvas, in two frames."""
    from renderers.bezier import RENDERER

    program = StrokeProgram(
        family="bezier", strokes=rows, canvas=(0.9, 0.9, 0.8), height_px=height_px, width_px=width_px
    )
    frames = tuple(
        Frame(picture=np.rint(canvas * 255).astype(np.uint8), step=step)
        for step, canvas in zip([0, len(rows)], RENDERER.replay(program, [0, len(rows)]), strict=True)
    )
    return Process(name="strokes", caption="", credit="", frames=frames, program=program)


def rastered(svg: Path | str) -> Picture:
    """An SVG as resvg draws it, (H, W, 3)."""
    text = svg if isinstance(svg, str) else svg.read_text(encoding="utf-8")
    png = optional("resvg_py").svg_to_bytes(svg_string=text, dpi=96)
    return np.asarray(Image.open(io.BytesIO(bytes(png))).convert("RGB"))


def psnr(one: Picture, two: Picture) -> float:
    """PSNR of two pictures in dB."""
    return float(10 * np.log10(255**2 / max(1e-9, np.square(one.astype(float) - two).mean())))


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
