"""Mats and bars: the plain border, the same in every frame, that a frame was set into. It is not part of the painting.

A drawing on white paper has a plain border, too, and so has a thing on a plain ground. What makes a
border a mat is that it stands on two opposite sides, equally broad, as letterboxing makes it, and has a straight edge:
the picture begins in all of a line.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.artists.footage import Footage, Frame

_UNIFORM = 20  # of 255, around the corner's colour
_STRAYS = 0.002  # share of a border's pixels that compression may have disturbed
_UNEVEN = 0.01  # of a side: two sides of a mat differ by no more than this and 2 px
_LARGEST = 0.4  # of a side
_SOFT_PX = 2  # of the picture's edge, where it was resampled into its mat
_STRAIGHT = 0.5  # share of the picture's edge that must differ from the mat, in the frame where most does


def without_mats(footage: Footage) -> Footage:
    """The same frames without the mat that all of them have."""
    top, bottom = _mats(footage.frames)
    left, right = _mats([frame.transpose(1, 0, 2) for frame in footage.frames])
    if not top and not left:
        return footage
    height, width = footage.frames[0].shape[:2]
    frames = [np.ascontiguousarray(frame[top : height - bottom, left : width - right]) for frame in footage.frames]
    before = footage.notes.get("mat_px", {})
    sides = {"top": top, "bottom": bottom, "left": left, "right": right}
    return footage.changed(frames, mat_px={side: before.get(side, 0) + px for side, px in sides.items()})


def _mats(frames: Sequence[Frame]) -> tuple[int, int]:
    """(first, last) lines along the first axis that are mat, or (0, 0)."""
    length = len(frames[0])
    first = _plain_until(frames)
    last = _plain_until([frame[::-1] for frame in frames])
    if not first or not last or abs(first - last) > _UNEVEN * length + 2:
        return 0, 0
    return min(first + _SOFT_PX, length), min(last + _SOFT_PX, length)


def _plain_until(frames: Sequence[Frame]) -> int:
    """How many lines from the first on are mat: of one colour, the same in all frames, up to a straight edge.

    0 if they are too many for a mat, or end in something that stands on them.
    """
    colour = frames[0][0, 0].astype(np.int16)
    plain = len(frames[0])
    for frame in frames:
        other = np.flatnonzero(_differing(frame[:plain], colour) > _STRAYS)
        plain = int(other[0]) if len(other) else plain
    edge = slice(plain, plain + _SOFT_PX + 1)
    begun = max(float(_differing(frame[edge], colour).max(initial=0.0)) for frame in frames)
    return plain if plain <= _LARGEST * len(frames[0]) and begun >= _STRAIGHT else 0


def _differing(lines: Frame, colour: NDArray[np.int16]) -> NDArray[np.float64]:
    """(L,) share of each line's pixels that differ from a colour."""
    share: NDArray[np.float64] = (np.abs(lines.astype(np.int16) - colour).max(-1) > _UNIFORM).mean(-1)
    return share
