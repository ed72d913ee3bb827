"""A painting process as metrics use it, and the search for processes that show the same picture."""

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
"""CIE76 ΔE above which a pixel counts as changed. Differences of 2 to 3 are just visible."""

BLOCKS = 8
"""Number of blocks per side into which pictures are divided to measure which part is painted when."""


@dataclass(frozen=True, kw_only=True)
class Process:
    """Frames of one painting, earliest first.

    Attributes:
        name: name of the sequence in its set.
        frames: (T, H, W, 3) uint8 RGB.
        caption: the caption; empty without one.
        source: hash or name of the painted picture, which other sets use too; None if unknown.
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
        """(T - 1, H, W), True where a step changes a pixel visibly."""
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
        """A process of the same picture with other frames."""
        return replace(self, frames=frames)

    def named(self, name: str) -> "Process":
        """The same process under another name."""
        return replace(self, name=name)

    def prepared(self, num_frames: int, size_px: int) -> "Process":
        """The same process at a common length and size.

        The frames nearest to equal steps of time are chosen, including the first and the last; in a process with fewer
        frames, some are used twice. Pictures are cropped to their central square and scaled by area.
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
    # NumPy's sum over such a short axis would take ten times as long.
    difference: NDArray[np.float32] = np.sqrt(lightness + green_red + blue_yellow)
    return difference


def block_means(values: NDArray[Any], blocks: int) -> NDArray[np.float32]:
    """(blocks, blocks, ...) means of an (H, W, ...) array."""
    means: NDArray[np.float32] = cv2.resize(values.astype(np.float32), (blocks, blocks), interpolation=cv2.INTER_AREA)
    return means


def mates(process: Process, others: Sequence[Process]) -> list[Process]:
    """Those of `others` that paint the same picture.

    If both sources are known, they decide; of several paintings of the source, those with the same caption, which names
    the medium, are preferred. Otherwise an equal caption decides if it belongs to a single picture, else an equal name.
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


def pictures_of(pairs: Sequence[tuple[Process, Sequence[Process]]]) -> list[str]:
    """Identifiers of the pictures that processes of one set paint, by which other sets know the same pictures, too.

    Args:
        pairs: processes and, for each, the references of the same picture. Where there are some, the picture goes by
            the identifier in the reference, because the process's own source may be unknown.
    """
    known_as: dict[str, str] = {}
    for process, same_picture in pairs:
        if same_picture:
            known_as.setdefault(picture(process), picture(same_picture[0]))
    return [known_as.get(picture(process), picture(process)) for process, _ in pairs]
