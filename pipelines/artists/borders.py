"""Removes mats and bars: a plain border, the same in every frame, into which frames were set.

A drawing on white paper has a plain border too, and so has a thing on a plain ground. A border is a mat only if it is
equally broad on two opposite sides, as letterboxing makes it, and has a straight edge: the picture begins along a whole
line.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.artists.footage import Footage, Frame

_UNIFORM = 20  # levels of 255 by which a mat differs from the corner's colour at most
_MOST_STRAYS = 0.002  # share of a mat's pixels that compression may have disturbed
_UNEVEN = 0.01  # of a side: two sides of a mat differ by no more than this and 2 px
_LARGEST_MAT = 0.4  # of a side
_SOFT_PX = 2  # width of the soft edge of a picture that was resampled into its mat
_STRAIGHT = 0.5  # share of the picture's edge that must differ from the mat, in the frame where most differs


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
    """Numbers of lines at the two ends of the first axis that are mat, or (0, 0)."""
    length = len(frames[0])
    first = _plain_until(frames)
    last = _plain_until([frame[::-1] for frame in frames])
    if not first or not last or abs(first - last) > _UNEVEN * length + 2:
        return 0, 0
    return min(first + _SOFT_PX, length), min(last + _SOFT_PX, length)


def _plain_until(frames: Sequence[Frame]) -> int:
    """Number of lines from the first on that are mat: of one colour, the same in all frames, up to a straight edge.

    0 if they are too many for a mat, or the picture does not begin along most of a line.
    """
    colour = frames[0][0, 0].astype(np.int16)
    plain = len(frames[0])
    for frame in frames:
        differing = np.flatnonzero(_differing_share(frame[:plain], colour) > _MOST_STRAYS)
        plain = int(differing[0]) if len(differing) else plain
    edge = slice(plain, plain + _SOFT_PX + 1)
    edge_share = max(float(_differing_share(frame[edge], colour).max(initial=0.0)) for frame in frames)
    return plain if plain <= _LARGEST_MAT * len(frames[0]) and edge_share >= _STRAIGHT else 0


def _differing_share(lines: Frame, colour: NDArray[np.int16]) -> NDArray[np.float64]:
    """(L,) share of each line's pixels that differ from a colour."""
    share: NDArray[np.float64] = (np.abs(lines.astype(np.int16) - colour).max(-1) > _UNIFORM).mean(-1)
    return share
