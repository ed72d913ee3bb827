"""The process that is exported: the frames of one painting, what each of them shows, and its strokes if known."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from conf.printable import printable
from renderers import renderer
from renderers.painting import StrokeProgram

_LONGEST_LABEL = 100  # letters; the name of a PSD's layer may have 255

Picture = NDArray[np.uint8]
Paint = Literal["opaque", "transparent", "dry"]


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One frame.

    Attributes:
        picture: (H, W, 3) sRGB.
        step: number of strokes, or steps of regions, so far; None if unknown.
        phase: phase of the painting, such as `block_in`; empty for methods without phases.
        doing: what is being done, in words; empty if unknown.
    """

    picture: Picture
    step: int | None = None
    phase: str = ""
    doing: str = ""


@dataclass(frozen=True, kw_only=True)
class Process:
    """The process of one painting.

    Attributes:
        name: name for files and titles.
        caption: what is painted, and how; may be empty.
        credit: origin and licence, or the statement that a model made it.
        frames: at least one, all of the same size; the last is the finished painting.
        program: its strokes; None if a model or a person painted it.
    """

    name: str
    caption: str
    credit: str
    frames: tuple[Frame, ...]
    program: StrokeProgram | None = None

    @property
    def title(self) -> str:
        """The caption with a capital letter, or else the name."""
        return self.caption[:1].upper() + self.caption[1:] or self.name

    @property
    def size_px(self) -> tuple[int, int]:
        """(height, width) of the frames."""
        height, width = self.frames[0].picture.shape[:2]
        return height, width

    @property
    def paint(self) -> Paint:
        """How its paint covers, by the medium that its caption names, or by its program."""
        from renderers.studio.media import MEDIA

        density = self.program.arrays.get("density", 0.0) if self.program is not None else 0.0
        for medium in MEDIA.values():
            if medium.phrase in self.caption:
                if not medium.paints:
                    return "dry"
                density = medium.density
        return "transparent" if density > 0 else "opaque"

    def doing_between(self, before: Frame, after: Frame) -> list[str]:
        """What each stroke after one frame up to another does, in words; nothing where that is unknown."""
        if self.program is None or before.step is None or after.step is None or after.step <= before.step:
            return []
        steps = range(before.step, after.step + 1)
        notes = renderer(self.program.family).notes(self.program, steps)
        return [printable(note.doing) for note in notes[1:]] if notes is not None else []

    def phases(self) -> Iterator[tuple[str, list[int]]]:
        """Runs of consecutive frames of the same phase: the phase's name, and the frames' numbers."""
        for phase, numbers in groupby(range(len(self.frames)), lambda number: self.frames[number].phase):
            yield phase.replace("_", " ")[:_LONGEST_LABEL], list(numbers)

    def label(self, number: int) -> str:
        """A line about a frame: its number, its number of strokes, and what is being done."""
        frame = self.frames[number]
        strokes = "" if frame.step is None else f"{frame.step} {self.step_word}{'' if frame.step == 1 else 's'}"
        return " · ".join(part for part in (str(number), strokes, frame.doing) if part)[:_LONGEST_LABEL]

    @property
    def step_word(self) -> str:
        """The word for a step of the program."""
        return "step" if self.program is not None and self.program.family == "region" else "stroke"
