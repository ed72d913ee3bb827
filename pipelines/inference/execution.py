"""Executes a process in strokes.

The painter's frames decide when each place of the canvas gets its colours; a renderer decides with which strokes. The
painter's frames are small; the given picture, or the painter's completion of an unfinished one, is painted at its own
size.
"""

import resource
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from conf.errors import ConfigError, UserError
from pipelines.evaluation.process import VISIBLE, colour_difference
from pipelines.inference.config import LONGEST_CANVAS_PX, StrokeExecution
from renderers.painting import Image, Painting, spaced_steps, to_uint8
from renderers.quality import psnr_db, ssim
from renderers.thing_by_thing import by_turns, turns_in_words
from renderers.things.colour import lab_of
from renderers.time_line import TimeLine, arrival_agreement, upsampled

_DEFAULT_LONG_PX = 1024  # long side of the canvas where no picture is given
_SHORTEST_PX = 64
_COMPARED_SCALE = 4  # canvases are compared with the painter's frames at this multiple of the frames' size


@dataclass(frozen=True, kw_only=True)
class Executed:
    """A process in strokes.

    Attributes:
        frames: (F, H, W, 3).
        painting: the strokes, which can be painted again at any size, and their pace.
        facts: entries of the report.
    """

    frames: NDArray[np.uint8]
    painting: Painting
    facts: dict[str, Any]

    @property
    def lines(self) -> list[str]:
        """The lines to print about it."""
        facts, (height, width) = self.facts, self.frames.shape[1:3]
        lines = [
            f"  {facts['num_strokes']} strokes of {facts['renderer']} on {width}x{height} px "
            f"in {facts['seconds']:.1f} s: arrival agreement {facts['arrival_agreement']:.2f}, "
            f"PSNR {facts['psnr_db']:.2f} dB, SSIM {facts['ssim']:.3f}"
        ]
        if (share := facts.get("painted_share")) is not None:
            lines.append(f"  {share:.0%} of the unfinished picture was painted over")
        if "turns" in facts:
            lines.append(f"  in this order: {'; then '.join(map(_in_words, facts['turns']))}")
        if facts.get("not_there"):
            lines.append(f"  not in the picture: {', '.join(facts['not_there'])}")
        return lines


def execute(
    execution: StrokeExecution, painted: NDArray[np.uint8], picture: Image | None, seed: int, *, begun: bool
) -> Executed:
    """Paint in strokes what a painter painted.

    Args:
        execution: which strokes are painted, and at which size.
        painted: (T, h, w, 3) the painter's frames; of a completion, those from the given frame on.
        picture: (H, W, 3) in [0, 1] the given picture that the frames show; None if no picture was given.
        seed: seed of the strokes.
        begun: whether the canvas begins with the picture; otherwise it ends with it.

    Raises:
        ConfigError: if the order names nothing that is in the picture, or the renderer's keys do not suit the picture.
    """
    start = time.process_time()
    frames = painted.astype(np.float32) / np.float32(255)
    height, width = canvas_size(frames.shape[1:3] if picture is None else picture.shape[:2], execution, picture)
    given = None if picture is None else resized(picture, height, width)
    time_line = TimeLine(frames=frames, begun=given if begun else None)
    target = resized(frames[-1], height, width) if given is None else given
    if begun and given is not None:
        target = _completed(time_line, given)
    choice, facts = execution.renderer, dict[str, Any]()
    if execution.order is not None:
        spoken = turns_in_words(target, execution.order)
        first_frame = frames[:1] if begun else np.full_like(frames[:1], choice.ground)
        in_order = by_turns(np.concatenate([first_frame, frames[1:]]), spoken.things, spoken.turns)
        time_line = TimeLine(frames=in_order, begun=time_line.begun, thing_by_thing=True)
        facts |= {"order": execution.order, "turns": spoken.names, "not_there": list(spoken.not_there)}
    try:
        painting = choice.renderer.follow(
            target, time_line, choice.config, np.random.SeedSequence(seed), choice.assets.content
        )
    except ConfigError as error:
        raise error.under("renderer") from None
    steps = spaced_steps(painting.left, execution.shown_frames or len(frames), "distance")
    if (notes := choice.renderer.notes(painting.program, steps)) is not None:
        facts |= {"phases": [note.phase for note in notes], "doing": [note.doing for note in notes]}
    painted = np.stack([to_uint8(canvas) for canvas in choice.renderer.replay(painting.program, steps)])
    finished = painted[-1].astype(np.float32) / np.float32(255)
    if begun and given is not None:
        facts["painted_share"] = round(_changed_share(given, finished), 4)
    return Executed(
        frames=painted,
        painting=painting,
        facts={
            "renderer": choice.name,
            "num_strokes": len(painting.program.strokes),
            "size_px": [height, width],
            "steps": list(steps),
            "arrival_agreement": round(agreement(execution, painting, time_line.frames), 4),
            "psnr_db": round(float(psnr_db(finished, target)), 3),
            "ssim": round(float(ssim(finished, target)), 4),
            "seconds": round(time.process_time() - start, 2),
            "peak_memory_mb": round(_peak_memory_mb()),
            **facts,
        },
    )


def refuse_unfit(execution: StrokeExecution, picture: Image, *, finished: bool) -> None:
    """Refuse a picture that is too slender, or a finished picture that holds nothing that an order names.

    Args:
        execution: which strokes are to be painted.
        picture: (H, W, 3) in [0, 1].
        finished: whether the strokes end with the picture, so that an order is about what it holds.

    Raises:
        UserError: its message says what is allowed, or what the picture holds.
    """
    size = canvas_size(picture.shape[:2], execution, picture)
    if not finished:
        return
    target, choice = resized(picture, *size), execution.renderer
    if execution.order is not None:
        turns_in_words(target, execution.order)
    try:
        choice.renderer.check_image(target, choice.config, choice.assets.content)
    except ConfigError as error:
        raise error.under("renderer") from None


def canvas_size(shape: Sequence[int], execution: StrokeExecution, picture: Image | None) -> tuple[int, int]:
    """(height, width) of the canvas for a picture or frames of that shape (height, width): 64 px or more a side.

    Raises:
        UserError: if the shape is too slender for that.
    """
    longest, largest_ratio = max(shape), LONGEST_CANVAS_PX // _SHORTEST_PX
    if longest > largest_ratio * min(shape):
        raise UserError(
            f"{shape[1]}x{shape[0]} px: too slender for strokes; at most {largest_ratio} times as long as wide"
        )
    default_px = min(longest, LONGEST_CANVAS_PX) if picture is not None else _DEFAULT_LONG_PX
    scale = (execution.canvas_px or default_px) / longest
    scale = max(scale, _SHORTEST_PX / min(shape))
    return round(shape[0] * scale), round(shape[1] * scale)


def _in_words(names: Sequence[str]) -> str:
    """The names of things, each once."""
    counts = Counter(names)
    return ", ".join(name if count == 1 else f"{name} ({count} parts)" for name, count in counts.items())


def _completed(time_line: TimeLine, begun: Image) -> Image:
    """The painter's last frame at the unfinished picture's size, with that picture's paint where it was finished."""
    first, last = (upsampled(time_line.frames[frame], begun) for frame in (0, -1))
    done = np.clip(upsampled(time_line.progress[0][..., None], begun), 0.0, 1.0)
    completed: Image = np.clip(last + done * (begun - first), 0.0, 1.0).astype(np.float32)
    return completed


def _changed_share(before: Image, after: Image) -> float:
    """The share of pixels whose colours differ visibly."""
    return float((colour_difference(lab_of(before), lab_of(after)) > VISIBLE).mean())


def agreement(execution: StrokeExecution, painting: Painting, frames: NDArray[np.float32]) -> float:
    """How closely a painting follows the painter's (T, h, w, 3) frames; see `arrival_agreement`."""
    steps = spaced_steps(painting.left, len(frames), "distance")
    size_px = (_COMPARED_SCALE * frames.shape[1], _COMPARED_SCALE * frames.shape[2])
    canvases = np.stack(list(execution.renderer.renderer.replay(painting.program, steps, size_px)))
    return arrival_agreement(canvases, frames)


def resized(picture: Image, height: int, width: int) -> Image:
    """A picture at another size."""
    if picture.shape[:2] == (height, width):
        return picture
    interpolation = cv2.INTER_AREA if height < picture.shape[0] else cv2.INTER_CUBIC
    resized: Image = np.clip(cv2.resize(picture, (width, height), interpolation=interpolation), 0.0, 1.0).astype(
        np.float32
    )
    return resized


def _peak_memory_mb() -> float:
    """The most memory that this process has held so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
