"""What is exported: the frames of one painting, what each of them shows, and its strokes where they are known."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from renderers.painting import StrokeProgram

_LONGEST_LABEL = 100  # in letters, of which a PSD's layer may have 255

Picture = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One frame.

    Attributes:
        picture: (H, W, 3) sRGB.
        step: strokes, or steps of regions, laid so far; None where nobody knows.
        phase: of the painting, such as `block_in`; empty in methods that know none.
        doing: what is at work, in words; empty where nobody knows.
    """

    picture: Picture
    step: int | None = None
    phase: str = ""
    doing: str = ""


@dataclass(frozen=True, kw_only=True)
class Process:
    """One painting as it comes about.

    Attributes:
        name: for files and titles.
        caption: what is painted, and how; may be empty.
        credit: where it comes from and under which licence, or that a model made it.
        frames: at least one, all of one size; the last is the finished painting.
        program: its strokes; None where it was painted by a model or a person.
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

    def phases(self) -> Iterator[tuple[str, list[int]]]:
        """Runs of frames of one phase, in order: its name, and the frames' numbers."""
        for phase, numbers in groupby(range(len(self.frames)), lambda number: self.frames[number].phase):
            yield phase.replace("_", " ")[:_LONGEST_LABEL], list(numbers)

    def label(self, number: int) -> str:
        """A line about a frame: its number, its strokes so far, what is at work."""
        frame = self.frames[number]
        strokes = "" if frame.step is None else f"{frame.step} {self.step_word}{'' if frame.step == 1 else 's'}"
        return " · ".join(part for part in (str(number), strokes, frame.doing) if part)[:_LONGEST_LABEL]

    @property
    def step_word(self) -> str:
        """What a step of the program is called."""
        return "step" if self.program is not None and self.program.family == "region" else "stroke"
