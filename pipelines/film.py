"""Make a film of a picture being painted.

    python -m pipelines.film picture=photo.jpg out=film.mp4
    python -m pipelines.film picture=photo.jpg out=film.webm renderer.medium=ink size=3840 seconds=30

A renderer plans the strokes on a small canvas (no trained model is needed); they are then painted at the size of the
film, which keeps the proportions of the picture.
"""

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conf.command import Summary, command, leave
from conf.compose import typed
from conf.errors import ConfigError, UserError
from conf.progress import Progress
from conf.value import SourceLocation
from pipelines.exports.placing import check_free, check_picture, placed
from pipelines.inference.video import ENDINGS, Frame, VideoFile, even
from pipelines.kernels import compile_kernels
from pipelines.sources.framing import Framing
from pipelines.sources.picture_file import read_picture
from pipelines.synthesis.renderer_choice import RendererChoice, single_renderer
from pipelines.synthesis.run_config import ClusterConfig
from renderers.painting import Image, Painting, Spacing, spaced_steps, to_uint8
from renderers.quality import psnr_db
from training.data.staging import to_stores

_DEFAULT_LONGEST_PX = 1920  # of the film's long side, if `size` is not set
_SHORTEST_CANVAS_PX, _LONGEST_CANVAS_PX = 64, 1024


@dataclass(frozen=True, kw_only=True)
class FilmConfig:
    """One film. `conf/film.yaml` says what each key means."""

    picture: SourceLocation
    out: Path
    overwrite: bool
    renderer: RendererChoice
    size: int | None
    canvas_px: int
    seconds: float
    hold: float
    frames_per_s: float
    spacing: Spacing
    seed: int

    def __post_init__(self) -> None:
        if self.ending not in ENDINGS:
            raise ConfigError("out", self.out, "a name that ends with " + ", ".join(ENDINGS))
        ranges = {
            "size": (64, 4096),
            "canvas_px": (_SHORTEST_CANVAS_PX, _LONGEST_CANVAS_PX),
            "seconds": (0.1, 600),
            "hold": (0, 60),
            "frames_per_s": (1, 50 if self.ending == ".gif" else 60),
            "seed": (0, 2**63 - 1),
        }
        for key, (lowest, highest) in ranges.items():
            value = getattr(self, key)
            if value is not None and not lowest <= value <= highest:
                raise ConfigError(key, value, f"{lowest} to {highest}")
        check_free(self.out, is_folder=False, overwrite=self.overwrite)
        self.renderer.refuse_labels()

    @property
    def ending(self) -> str:
        """Ending of the file's name, in lower case."""
        return self.out.suffix.lower()

    @property
    def num_frames(self) -> int:
        """Number of frames of the painting, including the blank canvas and the finished painting."""
        return max(2, round(self.seconds * self.frames_per_s))


def run(config: FilmConfig) -> Summary:
    """Paint the picture and film it.

    Raises:
        UserError: if the picture cannot be read, is too slender or does not suit the renderer's keys, or the film
            cannot be written or would replace the picture.
    """
    check_picture(config.picture, config.out)
    compile_kernels({config.renderer.family}, ClusterConfig(kind="inline"))
    image = read_picture(config.picture, config.renderer.ground, "picture")
    canvas = canvas_of(image, config.canvas_px, config.picture)
    painting = config.renderer.paint(canvas, config.seed)
    height, width = size_px = _film_size(image, config.size)
    num_steps = len(painting.distances) - 1
    blank, finished = config.renderer.renderer.replay(painting.program, [0, num_steps])
    with placed(config.out) as path:
        _write(config, painting, path, size_px, [to_uint8(blank), to_uint8(finished)])
    seconds = config.num_frames / config.frames_per_s + config.hold
    return Summary(
        lines=(
            f"painted {config.picture} in {num_steps} steps of {config.renderer.name}, "
            f"PSNR {psnr_db(finished, canvas):.1f} dB on a canvas of {canvas.shape[1]}x{canvas.shape[0]} px",
            f"look at it: {config.out}, {width}x{height} px, {seconds:.1f} s, {config.out.stat().st_size / 1e6:.1f} MB",
        )
    )


def _write(config: FilmConfig, painting: Painting, path: Path, size_px: tuple[int, int], examples: list[Frame]) -> None:
    """Write the film.

    Args:
        path: path of the new file.
        size_px: (height, width), both even.
        examples: canvases of any one size, from which a GIF takes its colours.
    """
    steps = spaced_steps(painting.left, config.num_frames, config.spacing)
    counts = {step: len(list(frames)) for step, frames in groupby(steps)}
    counts[steps[-1]] += round(config.hold * config.frames_per_s)
    canvases = config.renderer.renderer.replay(painting.program, list(counts), size_px)
    with (
        Progress("filming", sum(counts.values()), unit="frames") as progress,
        VideoFile(path, config.ending, size_px, config.frames_per_s, examples) as video,
    ):
        for canvas, count in zip(canvases, counts.values(), strict=True):
            video.write(to_uint8(canvas), count)
            progress.advance(count)


def _film_size(image: NDArray[np.float32], size: int | None) -> tuple[int, int]:
    """(height, width) of the film, both even."""
    longest = max(image.shape[:2])
    scale = (size or min(longest, _DEFAULT_LONGEST_PX)) / longest
    return even(image.shape[0] * scale), even(image.shape[1] * scale)


def canvas_of(image: NDArray[np.float32], canvas_px: int, picture: SourceLocation) -> Image:
    """The picture at the size at which strokes are planned, with its proportions.

    Args:
        image: (H, W, 3).
        canvas_px: long side of the canvas.
        picture: name for error messages.

    Raises:
        UserError: if it is too slender for any canvas.
    """
    shortest, longest = sorted(image.shape[:2])
    scale = max(canvas_px / longest, _SHORTEST_CANVAS_PX / shortest)
    if round(longest * scale) > _LONGEST_CANVAS_PX:
        most = _LONGEST_CANVAS_PX // _SHORTEST_CANVAS_PX
        raise UserError(
            f"{picture}: {image.shape[1]}x{image.shape[0]} px; one side may be {most} times the other at most"
        )
    height, width = (round(side * scale) for side in image.shape[:2])
    return Framing(height_px=height, width_px=width, fit="stretch").apply(image)


@dataclass(frozen=True, kw_only=True)
class _Composed:
    """`conf/film.yaml` as a user types it; types are checked, ranges are not yet."""

    picture: SourceLocation
    out: Path
    overwrite: bool
    renderer: dict[str, Any]
    size: int | None
    canvas_px: int
    seconds: float
    hold: float
    frames_per_s: float
    spacing: Spacing
    seed: int


def film_config(plain: dict[str, Any]) -> FilmConfig:
    """The typed configuration.

    Raises:
        ConfigError: naming the key, the value and what is allowed.
    """
    composed = typed(_Composed, plain)
    return FilmConfig(**{**vars(composed), "renderer": single_renderer(composed.renderer)})


if __name__ == "__main__":
    leave(command("film", *to_stores(film_config, run), __doc__ or "", out_is_file=True))
