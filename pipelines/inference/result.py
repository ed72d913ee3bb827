"""Writes one process: frames, in strokes if asked, and a report. Also returns the lines that are printed about it."""

from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from conf.errors import ConfigError, UserError
from conf.printable import without_secrets
from pipelines.inference.config import PaintConfig
from pipelines.inference.own_files import PROVENANCE
from pipelines.sources.framing import WHITE, Framing
from pipelines.sources.picture_file import read_picture
from renderers.painting import Image, to_uint8
from training.data.manifest import stored_hash

if TYPE_CHECKING:
    from pipelines.inference.execution import Executed
    from pipelines.inference.longer.in_between import Pieces
    from pipelines.inference.output_folder import ProcessFolder

_UNREPORTED_CUT = 0.02  # share of a picture that may be cut off without a printed line
_LEAST_SEEN_PX = 2  # a side of a padded picture in its frame: less shows nothing, and a video halves its sides

Pictures = Mapping[int, NDArray[np.float32]]
"""Frame -> (H, W, 3) in [0, 1], framed."""


class CannotFollow(UserError):
    """What was painted cannot be painted again in strokes as asked: for example, nothing in it is what order= names."""


def write_result(
    config: PaintConfig,
    framing: Framing,
    frames: NDArray[np.uint8],
    pictures: Pictures,
    pieces: "Pieces | None",
    request: str,
    cut_end: str | None = None,
) -> list[str]:
    """Write a process.

    Args:
        config: the request.
        framing: how given pictures were cut or padded for the painter.
        frames: (T, H, W, 3) all painted frames; with task=complete, those before the given one are not written.
        pictures: the given pictures, framed.
        pieces: the sequences that a long process was painted in; None for a short process.
        request: hash of the request, stored in the report.
        cut_end: the end of the prompt that the painter did not read; None if it read all.

    Returns:
        The lines to print.

    Raises:
        UserError: if the folder cannot be written.
        CannotFollow: if the frames cannot be painted in strokes as asked; nothing is written then.
    """
    from pipelines.inference.longer.seams import measure_seams
    from pipelines.inference.output_folder import adherence, progress

    first = _first_written_frame(config)
    executed = None if config.strokes is None else _executed(config, framing, frames[first:])
    visible = _unpadded(config, framing)
    frames, pictures = frames[:, *visible], {frame: picture[visible] for frame, picture in pictures.items()}
    conditions = [
        {"frame": frame, "strength": config.pinned[frame].strength, "picture": config.pinned[frame].path.name,
         **adherence(frames[frame], picture)}
        for frame, picture in pictures.items()
    ]  # fmt: skip
    seams = measure_seams(frames[first:], [seam - first for seam in pieces.seams if seam > first] if pieces else [])
    report = {
        "note": PROVENANCE,
        "task": config.task,
        "prompt": config.prompt,
        "negative": config.negative,
        "painter": without_secrets(config.painter.name),
        "loras": dict(config.loras),
        "seed": config.seed,
        "steps": config.steps,
        "guidance": config.guidance,
        "guidance_rescale": config.guidance_rescale,
        "num_frames": config.num_frames,
        "first_frame": first,
        "size_px": list(frames.shape[1:3]),
        "fit": config.fit,
        "network": config.network,
        "inversion": config.inversion,
        "keep": config.keep,
        "shared": config.shared,
        "inverted": config.inverted,
        "dtype": config.dtype,
        "conditions": conditions,
        "progress": progress(frames[first:]),
        "pieces": None if pieces is None else {"sequences": pieces.sequences, "seams": asdict(seams)},
        "smoothing": config.smoothing,
        "source": None if config.image is None else stored_hash(config.image),
        "request": request,
        "code_version": version("process-painter"),
    }
    if cut_end is not None:
        report["prompt_left_out"] = cut_end
    given_pictures = {frame: to_uint8(picture) for frame, picture in pictures.items()}
    try:
        if config.strokes is None or executed is None:
            output_folder(config).write(frames[first:], report, given_pictures)
        else:
            painters = {key: report[key] for key in ("num_frames", "first_frame", "size_px")}
            written = {"num_frames": len(executed.frames), "first_frame": 0, "size_px": executed.facts["size_px"]}
            strokes = {"recipe": config.strokes.renderer.recipe(), **executed.facts}
            report |= {**written, "progress": progress(executed.frames), "painter_frames": painters, "strokes": strokes}
            output_folder(config).write(executed.frames, report, strokes=executed.painting.program.to_bytes())
    except OSError as error:
        raise UserError(f"out={config.out}: {error.filename or config.out}: {error.strerror or error}") from error
    num_written = len(frames) - first if executed is None else len(executed.frames)
    lines = [f"painted {num_written} frames: {config.out}", *(executed.lines if executed is not None else [])]
    owner = "" if executed is None else "painter's "
    lines += [
        f"  {owner}frame {fit['frame']} against {fit['picture']}: PSNR {fit['psnr_db']:.2f} dB, SSIM {fit['ssim']:.3f}"
        for fit in conditions
    ]
    lines += _cuts(config, framing)
    if pieces is not None:
        lines.append(
            f"  {sum(pieces.sequences)} sequences on {len(pieces.sequences)} levels; steps at {seams.num} seams are "
            f"{seams.mean_ratio:.2f} times the median, at most {seams.max_ratio:.2f}"
        )
    return lines


def _cuts(config: PaintConfig, framing: Framing) -> list[str]:
    """A line about each given picture of which a noticeable part is cut off."""
    lines = []
    for path in dict.fromkeys(file.path for file in config.pinned.values()):
        picture = read_picture(path)
        (height, width), (seen_height, seen_width) = picture.shape[:2], framing.seen(picture).shape[:2]
        if seen_height * seen_width < (1 - _UNREPORTED_CUT) * height * width:
            lines.append(
                f"  {path.name}: {width}x{height} px cut to the middle {seen_width}x{seen_height}; fit=pad keeps all"
            )
    return lines


def _unpadded(config: PaintConfig, framing: Framing) -> tuple[slice, slice]:
    """Rows and columns of a frame that show the given pictures; all if the pictures' shapes differ or none is given."""
    insides = _insides(config, framing)
    first = next(iter(insides.values()), None)
    if first is None or any(inside != first for inside in insides.values()):
        return slice(None), slice(None)
    return first


def _insides(config: PaintConfig, framing: Framing) -> dict[Path, tuple[slice, slice]]:
    """Rows and columns of a frame that show each given picture, the last one first."""
    paths = [file.path for file in config.pinned.values()][::-1]
    return {path: framing.inside(*read_picture(path).shape[:2]) for path in paths}


def _executed(config: PaintConfig, framing: Framing, frames: NDArray[np.uint8]) -> "Executed":
    """Paint whole frames (T, H, W, 3) of the painter again in strokes: the part of them that shows the picture."""
    from pipelines.inference.execution import execute
    from pipelines.kernels import compile_kernels
    from pipelines.synthesis.run_config import ClusterConfig

    assert config.strokes is not None
    compile_kernels({config.strokes.renderer.family}, ClusterConfig(kind="inline"))
    picture = _picture_in_strokes(config, framing)
    try:
        return execute(
            config.strokes,
            frames[:, *_unpadded(config, framing)],
            picture,
            config.seed,
            begun=config.task == "complete",
        )
    except ConfigError as error:
        raise CannotFollow(f"{error}, in {config.image or config.prompt}") from None


def check_slenderness(config: PaintConfig, framing: Framing) -> None:
    """Refuse a picture of which `fit=pad` would leave next to nothing in its frame, before it is painted.

    Raises:
        ConfigError: naming the picture.
    """
    if framing.fit != "pad":
        return
    for file in config.pinned.values():
        height, width = read_picture(file.path).shape[:2]
        rows, columns = (part.stop - part.start for part in framing.inside(height, width))
        if min(rows, columns) < _LEAST_SEEN_PX:
            frame = f"{framing.width_px}x{framing.height_px}"
            raise ConfigError(
                "fit",
                "pad",
                f"crop, stretch or a larger size= for {file.path.name}: of its {width}x{height} px a frame of {frame} "
                f"px would show {columns}x{rows}, and {_LEAST_SEEN_PX} a side are needed",
            )


def check_strokes(config: PaintConfig, framing: Framing) -> None:
    """Refuse pictures that strokes cannot paint as asked, where that is known before they are painted.

    Raises:
        UserError: naming the picture.
    """
    if config.strokes is None:
        return
    insides = list(_insides(config, framing).items())
    for other, inside in insides[1:]:
        if inside != insides[0][1]:  # strokes would paint the borders beside it into the picture
            allowed = (
                f"crop or stretch with execution=strokes, as {other.name} has another shape than {insides[0][0].name}"
            )
            raise ConfigError("fit", "pad", allowed)
    picture = _picture_in_strokes(config, framing)
    if picture is None:
        return
    from pipelines.inference.execution import refuse_unfit

    try:
        refuse_unfit(config.strokes, picture, finished=config.task == "reconstruct")
    except UserError as error:
        raise UserError(f"{error}, in {config.image}") from None


def _picture_in_strokes(config: PaintConfig, framing: Framing) -> Image | None:
    """The part of the given picture that the painter sees, at its own size; None without a picture or strokes."""
    if config.image is None or config.strokes is None:
        return None
    return framing.seen(given_picture(config, config.image))


def given_picture(config: PaintConfig, path: Path) -> Image:
    """A given picture, (H, W, 3); where it is transparent, the ground that strokes are painted on shows, or white."""
    return read_picture(path, WHITE if config.strokes is None else config.strokes.renderer.ground)


def _first_written_frame(config: PaintConfig) -> int:
    """The first frame that is written: with task=complete, the frame that shows the unfinished picture."""
    return config.at if config.task == "complete" else 0


def num_written(config: PaintConfig) -> int:
    """How many frames a process will have on disk."""
    if config.strokes is not None and config.strokes.shown_frames is not None:
        return config.strokes.shown_frames
    return config.length - _first_written_frame(config)


def output_folder(config: PaintConfig) -> "ProcessFolder":
    """The folder of a process; it is not made yet."""
    from pipelines.inference.output_folder import ProcessFolder

    return ProcessFolder(
        root=config.out, frames_per_s=config.frames_per_s, lossless=config.lossless, smoothing=config.smoothing,
        has_strokes=config.strokes is not None,
    )  # fmt: skip
