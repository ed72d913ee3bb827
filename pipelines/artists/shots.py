"""Shots and stills of a video: only the longest shot shows the painting grow, and pauses in it are dropped."""

import itertools
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.artists.alignment import same_view
from pipelines.artists.footage import Footage, Frame

_THUMBNAIL_PX = 32
_CUT_CHANGE = 25.0  # levels of 255; at a cut, more than half of the picture changes by more
_STILL_CHANGE = 3.0  # levels of 255; no block of a still changes by as much


def longest_shot(footage: Footage) -> Footage:
    """The frames of the longest shot, between two cuts."""
    thumbnails = [_thumbnail(frame) for frame in footage.frames]
    cuts = [at for at in range(1, len(thumbnails)) if _is_cut(footage, thumbnails, at)]
    bounds = [0, *cuts, len(thumbnails)]
    start, end = max(itertools.pairwise(bounds), key=lambda span: span[1] - span[0])
    shot = footage.chosen(range(start, end))
    return shot.changed(shot.frames, shots=len(bounds) - 1, shot=[shot.numbers[0], shot.numbers[-1]])


def without_pauses(footage: Footage, ends: int) -> Footage:
    """One frame of every run of frames that look the same; up to `ends` frames of the first and the last run.

    A hand that rests for long would otherwise outvote the canvas. The ends keep more votes: what is shown for long at
    the end is the finished painting.
    """
    thumbnails = [_thumbnail(frame) for frame in footage.frames]
    runs: list[list[int]] = [[0]]
    for at in range(1, len(thumbnails)):
        if _is_still(thumbnails[runs[-1][0]], thumbnails[at]):
            runs[-1].append(at)
        else:
            runs.append([at])
    places_of_runs = [run[-1:] for run in runs]
    places_of_runs[0], places_of_runs[-1] = runs[0][-ends:], runs[-1][-ends:]
    chosen = footage.chosen(sorted({place for run in places_of_runs for place in run}))
    return chosen.changed(chosen.frames, still_frames=len(footage) - len(chosen))


def is_one_still(frames: Sequence[Frame]) -> bool:
    """Whether all frames look the same."""
    first = _thumbnail(frames[0])
    return all(_is_still(first, _thumbnail(frame)) for frame in frames[1:])


def _thumbnail(frame: Frame) -> NDArray[np.float32]:
    size = (_THUMBNAIL_PX, _THUMBNAIL_PX)
    small: NDArray[np.float32] = cv2.resize(frame, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    return small


def _is_still(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    return float(np.abs(one - other).max()) < _STILL_CHANGE


def _is_cut(footage: Footage, thumbnails: Sequence[NDArray[np.float32]], at: int) -> bool:
    """Whether most of the picture changes at this frame, and it does not show the view of the frame before."""
    if float(np.median(np.abs(thumbnails[at - 1] - thumbnails[at]).max(-1))) < _CUT_CHANGE:
        return False
    return same_view(footage.frames[at - 1], footage.frames[at]) is False
