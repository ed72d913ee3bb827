"""The recording of one painting: its pictures in the order of time, as many as fit into memory."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.sources.source import RefusedPicture
from renderers.painting import Image

Frame = NDArray[np.uint8]
"""(H, W, 3) RGB."""

Pixels = NDArray[np.uint8] | NDArray[np.uint16]
"""(H, W, 3) RGB as a decoder gives it, in 8 or 16 bits."""

_MEMORY_BYTES = 1_000_000_000  # of all frames of one sequence; treating them takes twice as much
_SPARE = 1.5  # frames are kept larger than the canvas by this factor, because borders may still be cut off


@dataclass(frozen=True, kw_only=True)
class Footage:
    """Pictures of one painting, earliest first.

    Attributes:
        frames: (H, W, 3) uint8, all of one size.
        before: the same frames before any treatment, for comparison.
        numbers: numbers of the frames in the recording, from 0; a frame that was shown for long occurs several times.
        notes: what was done so far, for the sequence's json.
    """

    frames: Sequence[Frame]
    before: Sequence[Frame]
    numbers: Sequence[int]
    notes: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def num_moments(self) -> int:
        """Number of different frames; one that was shown for long counts once."""
        return len(set(self.numbers))

    def moments(self) -> "Footage":
        """The same footage with every frame once."""
        last_places = {number: place for place, number in enumerate(self.numbers)}
        return self.chosen(last_places.values())

    def chosen(self, places: Iterable[int]) -> "Footage":
        """Only the frames at these places."""
        chosen_places = list(places)
        return replace(
            self,
            frames=[self.frames[place] for place in chosen_places],
            before=[self.before[place] for place in chosen_places],
            numbers=[self.numbers[place] for place in chosen_places],
        )

    def changed(self, frames: Sequence[Frame], **notes: Any) -> "Footage":
        """The same moments with other pixels, and more notes."""
        return replace(self, frames=frames).noted(**notes)

    def noted(self, **notes: Any) -> "Footage":
        """The same footage with more notes."""
        return replace(self, notes={**self.notes, **notes})


def gather(
    frames: Iterable[Pixels],
    canvas_px: int,
    num_frames: range,
    developed: Callable[[Pixels], Frame] = lambda pixels: pixels.astype(np.uint8, copy=False),
) -> Footage:
    """Keep a number of frames that fits into memory, evenly spaced in time, always including the last one.

    Frames are read in one pass with bounded memory: when there is no room for more, every other frame is dropped.

    Args:
        frames: all frames in order of time; a repeated frame must be the same array object.
        canvas_px: longer side of the canvas that they are for; larger frames are shrunk.
        num_frames: how many frames of a long recording are kept: the least, whatever their size, and the most.
        developed: returns the sRGB values of a frame; it is called for the frames that are kept, after shrinking.

    Raises:
        RefusedPicture: if there is no frame, or frames differ in size.
    """
    numbered_frames: list[tuple[int, Frame]] = []
    stride, most, last, number = 1, num_frames[-1], None, -1
    for moment, frame in enumerate(frames):
        if last is None:
            most = max(2 * num_frames[0], min(most, _MEMORY_BYTES // _smaller(frame, canvas_px).nbytes))
        elif frame.shape != last.shape:
            raise RefusedPicture(f"mixed sizes: frame {moment + 1} is not of the first one's size")
        number += frame is not last
        last = frame
        if moment % stride == 0:
            if len(numbered_frames) == most:
                numbered_frames, stride = numbered_frames[::2], 2 * stride
            if moment % stride == 0:
                numbered_frames.append((number, developed(_smaller(frame, canvas_px))))
    if last is None:
        raise RefusedPicture("holds no frames")
    if numbered_frames[-1][0] != number:
        numbered_frames.append((number, developed(_smaller(last, canvas_px))))
    pictures = [frame for _, frame in numbered_frames]
    return Footage(frames=pictures, before=pictures, numbers=[number for number, _ in numbered_frames])


def unit(frame: Frame) -> Image:
    """A frame with values in [0, 1]."""
    return frame.astype(np.float32) / np.float32(255)


def _smaller(frame: Pixels, canvas_px: int) -> Pixels:
    scale = _SPARE * canvas_px / min(frame.shape[:2])
    if scale >= 1.0:
        return frame
    shrunk: Pixels = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return shrunk
