"""A painting process as metrics see it, and which processes show the same picture."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.color import rgb2lab

from pipelines.sources.framing import Framing
from renderers.painting import to_uint8

Frames = NDArray[np.uint8]
Lab = NDArray[np.float32]

VISIBLE = 5.0
"""A pixel has changed when its colour is farther than this (CIE76 ΔE). Differences of 2 to 3 can just be seen."""

BLOCKS = 8
"""Parts a side into which pictures are divided where it matters which part is painted when."""


@dataclass(frozen=True, kw_only=True)
class Process:
    """Frames of one painting, earliest first.

    Attributes:
        name: where it was found.
        frames: (T, H, W, 3) uint8 RGB.
        caption: empty when there is none.
        source: what was painted, as a hash or a name that other sets use too; None when not known.
    """

    name: str
    frames: Frames
    caption: str = ""
    source: str | None = None

    @cached_property
    def lab(self) -> Lab:
        """(T, H, W, 3) CIELAB (D65, sRGB)."""
        colours: Lab = rgb2lab(self.frames.astype(np.float32) / np.float32(255)).astype(np.float32)
        return colours

    @cached_property
    def to_end(self) -> NDArray[np.float32]:
        """(T, H, W) colour difference of every pixel from its finished colour."""
        return colour_difference(self.lab, self.lab[-1])

    @cached_property
    def changed(self) -> NDArray[np.bool_]:
        """(T - 1, H, W) which pixels each step changes visibly."""
        return self.steps > VISIBLE

    @cached_property
    def steps(self) -> NDArray[np.float32]:
        """(T - 1, H, W) colour difference that each step makes."""
        return colour_difference(self.lab[1:], self.lab[:-1])

    @cached_property
    def from_blank(self) -> NDArray[np.float32]:
        """(T, H, W) colour difference from the ground, which is the median colour of the first frame.

        A generated first frame is never quite blank, and a process that begins elsewhere has no blank frame at all.
        """
        ground = np.median(self.lab[0].reshape(-1, 3), axis=0)
        return colour_difference(self.lab, ground.astype(np.float32))

    def altered(self, frames: Frames) -> "Process":
        """Other frames of the same picture."""
        return replace(self, frames=frames)

    def named(self, name: str) -> "Process":
        """The same process under another name."""
        return replace(self, name=name)

    def prepared(self, num_frames: int, size_px: int) -> "Process":
        """The same at a common length and size.

        Frames are those nearest to equal steps of time, the first and the last always among them; a process with fewer
        frames shows some of them twice. Pictures are cropped to their central square and scaled by area.
        """
        moments = np.linspace(0, len(self.frames) - 1, num_frames).round().astype(int)
        if self.frames.shape[1:3] == (size_px, size_px):
            return self.altered(self.frames[moments])
        framing = Framing(height_px=size_px, width_px=size_px, fit="crop")
        chosen = (self.frames[moment].astype(np.float32) / np.float32(255) for moment in moments)
        return self.altered(np.stack([to_uint8(framing.apply(frame)) for frame in chosen]))


def colour_difference(one: Lab, two: Lab) -> NDArray[np.float32]:
    """CIE76 ΔE: the Euclidean distance in CIELAB (CIE 15). Unlike CIEDE2000 it is a metric, as DTW and sets need."""
    lightness, green_red, blue_yellow = np.moveaxis((one - two) ** 2, -1, 0)
    # Added one by one: numpy's sum over so short an axis takes ten times as long.
    difference: NDArray[np.float32] = np.sqrt(lightness + green_red + blue_yellow)
    return difference


def block_means(values: NDArray[Any], blocks: int) -> NDArray[np.float32]:
    """(blocks, blocks, ...) means of an (H, W, ...) array."""
    means: NDArray[np.float32] = cv2.resize(values.astype(np.float32), (blocks, blocks), interpolation=cv2.INTER_AREA)
    return means


def mates(process: Process, others: Sequence[Process]) -> list[Process]:
    """The other processes that paint the same picture.

    Sources decide where both are known, and then of several media the one that the caption names; else a caption that
    belongs to one picture only; else equal names.
    """
    same_source = [other for other in others if process.source is not None and other.source == process.source]
    if same_source:
        return [other for other in same_source if other.caption == process.caption] or same_source
    unknown = [other for other in others if process.source is None or other.source is None]
    same_caption = [other for other in unknown if process.caption and other.caption == process.caption]
    if same_caption and len({picture(other) for other in same_caption}) == 1:
        return same_caption
    return [other for other in unknown if other.name == process.name]


def picture(process: Process) -> str:
    """An identifier of the picture that is painted."""
    return process.source or process.name
