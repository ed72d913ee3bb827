"""A process executed in strokes: the painter says when each place of the canvas gets its colours, a renderer how.

The painter's frames are small; the picture, or what the painter made of an unfinished one, is painted at its own size.
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
from pipelines.inference.config import LONGEST_CANVAS_PX, StrokeExecution
from renderers.painting import Image, Painting, spaced_steps, to_uint8
from renderers.quality import psnr_db, ssim
from renderers.thing_by_thing import by_turns, turns_in_words
from renderers.time_line import TimeLine, arrival_agreement, upsampled

_LONG_PX = 1024  # of a canvas for which there is no picture
_SHORTEST_PX = 64
_COMPARED = 4  # canvases are compared with the painter's frames at so many times their size


@dataclass(frozen=True, kw_only=True)
class Executed:
    """A process in strokes.

    Attributes:
        frames: (F, H, W, 3).
        painting: the strokes, to be painted again at any size, and their pace.
        facts: for the report.
    """

    frames: NDArray[np.uint8]
    painting: Painting
    facts: dict[str, Any]

    @property
    def lines(self) -> list[str]:
        """What to tell of it."""
        facts, (height, width) = self.facts, self.frames.shape[1:3]
        lines = [
            f"  {facts['num_strokes']} strokes of {facts['renderer']} on {width}x{height} px "
            f"in {facts['seconds']:.1f} s: arrival agreement {facts['arrival_agreement']:.2f}, "
            f"PSNR {facts['psnr_db']:.2f} dB, SSIM {facts['ssim']:.3f}"
        ]
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
        execution: with which strokes, how large.
        painted: (T, h, w, 3) the painter's frames; of a completion, from the given one on.
        picture: (H, W, 3) in [0, 1] the given picture that the frames show; None if no picture was given.
        seed: of the strokes.
        begun: whether the picture is what the canvas begins with, not what it ends with.

    Raises:
        ConfigError: if the order, in words, names nothing of the picture, or the renderer's keys do not suit it.
    """
    start = time.process_time()
    frames = painted.astype(np.float32) / np.float32(255)
    height, width = canvas_size(frames.shape[1:3] if picture is None else picture.shape[:2], execution, picture)
    given = None if picture is None else resized(picture, height, width)
    time_line = TimeLine(frames=frames, begun=given if begun else None)
    wanted = resized(frames[-1], height, width) if given is None else given
    if begun and given is not None:
        wanted = _completed(time_line, given)
    choice, facts = execution.renderer, dict[str, Any]()
    if execution.order is not None:
        spoken = turns_in_words(wanted, execution.order)
        bare = frames[:1] if begun else np.full_like(frames[:1], choice.ground)
        in_order = by_turns(np.concatenate([bare, frames[1:]]), spoken.things, spoken.turns)
        time_line = TimeLine(frames=in_order, begun=time_line.begun, thing_by_thing=True)
        facts |= {"order": execution.order, "turns": spoken.names, "not_there": list(spoken.not_there)}
    try:
        painting = choice.renderer.follow(
            wanted, time_line, choice.config, np.random.SeedSequence(seed), choice.assets.content
        )
    except ConfigError as error:
        raise error.under("renderer") from None
    steps = spaced_steps(painting.left, execution.shown_frames or len(frames), "distance")
    if (notes := choice.renderer.notes(painting.program, steps)) is not None:
        facts |= {"phases": [note.phase for note in notes], "doing": [note.doing for note in notes]}
    painted = np.stack([to_uint8(canvas) for canvas in choice.renderer.replay(painting.program, steps)])
    finished = painted[-1].astype(np.float32) / np.float32(255)
    return Executed(
        frames=painted,
        painting=painting,
        facts={
            "renderer": choice.name,
            "num_strokes": len(painting.program.strokes),
            "size_px": [height, width],
            "steps": list(steps),
            "arrival_agreement": round(agreement(execution, painting, time_line.frames), 4),
            "psnr_db": round(float(psnr_db(finished, wanted)), 3),
            "ssim": round(float(ssim(finished, wanted)), 4),
            "seconds": round(time.process_time() - start, 2),
            "peak_memory_mb": round(_peak_memory_mb()),
            **facts,
        },
    )


def refuse_unfit(execution: StrokeExecution, picture: Image, *, finished: bool) -> None:
    """Refuse a picture that is too slender, or finished and without anything that the order, in words, names.

    Raises:
        UserError: it says what is allowed, or what there is in the picture.
    """
    size = canvas_size(picture.shape[:2], execution, picture)
    if finished and execution.order is not None:
        turns_in_words(resized(picture, *size), execution.order)


def canvas_size(shape: Sequence[int], execution: StrokeExecution, picture: Image | None) -> tuple[int, int]:
    """(height, width) of the canvas for something of that (height, width), 64 px or more a side.

    Raises:
        UserError: if it is too slender for that.
    """
    longest, most = max(shape), LONGEST_CANVAS_PX // _SHORTEST_PX
    if longest > most * min(shape):
        raise UserError(f"{shape[1]}x{shape[0]} px: too slender for strokes; at most {most} times as long as wide")
    own = min(longest, LONGEST_CANVAS_PX) if picture is not None else _LONG_PX
    scale = (execution.canvas_px or own) / longest
    scale = max(scale, _SHORTEST_PX / min(shape))
    return round(shape[0] * scale), round(shape[1] * scale)


def _in_words(names: Sequence[str]) -> str:
    """The names of things, each once."""
    counts = Counter(names)
    return ", ".join(name if count == 1 else f"{name} ({count} parts)" for name, count in counts.items())


def _completed(time_line: TimeLine, begun: Image) -> Image:
    """The painter's finished painting as large as the unfinished picture, whose paint stays where it was finished."""
    first, last = (upsampled(time_line.frames[frame], begun) for frame in (0, -1))
    done = np.clip(upsampled(time_line.progress[0][..., None], begun), 0.0, 1.0)
    completed: Image = np.clip(last + done * (begun - first), 0.0, 1.0).astype(np.float32)
    return completed


def agreement(execution: StrokeExecution, painting: Painting, frames: NDArray[np.float32]) -> float:
    """How closely a painting follows the painter's frames (T, h, w, 3); see `arrival_agreement`."""
    steps = spaced_steps(painting.left, len(frames), "distance")
    size_px = (_COMPARED * frames.shape[1], _COMPARED * frames.shape[2])
    canvases = np.stack(list(execution.renderer.renderer.replay(painting.program, steps, size_px)))
    return arrival_agreement(canvases, frames)


def resized(picture: Image, height: int, width: int) -> Image:
    """A picture at another size."""
    if picture.shape[:2] == (height, width):
        return picture
    how = cv2.INTER_AREA if height < picture.shape[0] else cv2.INTER_CUBIC
    resized: Image = np.clip(cv2.resize(picture, (width, height), interpolation=how), 0.0, 1.0).astype(np.float32)
    return resized


def _peak_memory_mb() -> float:
    """The most memory that this process has held so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
