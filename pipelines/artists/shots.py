"""Shots and stills of a video: only the longest shot shows the painting grow, and pauses in it are dropped."""

import itertools
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.artists.alignment import same_view
from pipelines.artists.footage import Footage, Frame

_THUMBNAIL_PX = 32
_OTHER = 25.0  # of 255: at a cut, more than half of the picture changes by more than this
_STILL = 3.0  # of 255: no block of a still changes by more than this


def longest_shot(footage: Footage) -> Footage:
    """The frames between two cuts, where there are most of them."""
    looks = [_thumbnail(frame) for frame in footage.frames]
    cuts = [at for at in range(1, len(looks)) if _is_cut(footage, looks, at)]
    bounds = [0, *cuts, len(looks)]
    start, end = max(itertools.pairwise(bounds), key=lambda span: span[1] - span[0])
    shot = footage.chosen(range(start, end))
    return shot.changed(shot.frames, shots=len(bounds) - 1, shot=[shot.numbers[0], shot.numbers[-1]])


def without_pauses(footage: Footage, ends: int) -> Footage:
    """One frame of every run of frames that show the same; at the beginning and the end, up to `ends` of them.

    A hand that rests for long would otherwise outvote the canvas; and what is seen for long at the end is what is
    finished.
    """
    looks = [_thumbnail(frame) for frame in footage.frames]
    runs: list[list[int]] = [[0]]
    for at in range(1, len(looks)):
        if _is_still(looks[runs[-1][0]], looks[at]):
            runs[-1].append(at)
        else:
            runs.append([at])
    places_of_runs = [run[-1:] for run in runs]
    places_of_runs[0], places_of_runs[-1] = runs[0][-ends:], runs[-1][-ends:]
    chosen = footage.chosen(sorted({place for run in places_of_runs for place in run}))
    return chosen.changed(chosen.frames, still_frames=len(footage) - len(chosen))


def is_one_still(frames: Sequence[Frame]) -> bool:
    """Whether all frames show the same."""
    first = _thumbnail(frames[0])
    return all(_is_still(first, _thumbnail(frame)) for frame in frames[1:])


def _thumbnail(frame: Frame) -> NDArray[np.float32]:
    size = (_THUMBNAIL_PX, _THUMBNAIL_PX)
    small: NDArray[np.float32] = cv2.resize(frame, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    return small


def _is_still(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    return float(np.abs(one - other).max()) < _STILL


def _is_cut(footage: Footage, looks: Sequence[NDArray[np.float32]], at: int) -> bool:
    """Whether most of the picture changes before this frame, and nothing of the frame before is found again in it."""
    if float(np.median(np.abs(looks[at - 1] - looks[at]).max(-1))) < _OTHER:
        return False
    return same_view(footage.frames[at - 1], footage.frames[at]) is False
