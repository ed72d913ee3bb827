"""Shots and stills of a video: only the longest shot shows the painting grow, and pauses in it are dropped."""

import itertools
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.artists.alignment import same_view
from pipelines.artists.footage import Footage, Frame

_THUMBNAIL_PX = 32
CUT_CHANGE = 25.0  # levels of 255; at a cut, more than half of the picture changes by more
_STILL_CHANGE = 3.0  # levels of 255; no block of a still changes by as much
_MARK_LEVELS = 6.0  # levels of 255; a block that differs by more from most of its frame has something drawn on it
_BLANK_SHARE, _DRAWN_SHARE = 0.01, 0.02  # of a frame: a blank one has fewer blocks with marks, a drawn one more
BLACK = 8.0  # levels of 255; nothing is brighter while the screen is dark
_WHOLE_PERCENTILE = 5  # of blocks; the rest may be black in the picture too
_LIKENESS = 0.6  # correlation; a picture that was hidden for some frames is more like itself


def longest_shot(footage: Footage) -> Footage:
    """The frames of the longest shot, between two cuts."""
    thumbnails = [thumbnail(frame) for frame in footage.frames]
    bounds = [0]
    for at in range(1, len(thumbnails)):
        if _is_cut(footage, thumbnails, bounds[-1], at):
            bounds.append(at)
    bounds.append(len(thumbnails))
    start, end = max(itertools.pairwise(bounds), key=lambda span: span[1] - span[0])
    shot = footage.chosen(range(start, end))
    return shot.changed(shot.frames, shots=len(bounds) - 1, shot=[shot.numbers[0], shot.numbers[-1]])


def without_pauses(footage: Footage, ends: int) -> Footage:
    """One frame of every run of frames that look the same; up to `ends` frames of the first and the last run.

    A hand that rests for long would otherwise outvote the canvas. The ends keep more votes: what is shown for long at
    the end is the finished painting.
    """
    thumbnails = [thumbnail(frame) for frame in footage.frames]
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
    first = thumbnail(frames[0])
    return all(_is_still(first, thumbnail(frame)) for frame in frames[1:])


def thumbnail(frame: Frame) -> NDArray[np.float32]:
    """(32, 32, 3) means of the blocks of a frame, in levels of 255."""
    size = (_THUMBNAIL_PX, _THUMBNAIL_PX)
    small: NDArray[np.float32] = cv2.resize(frame, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    return small


def _is_still(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    return float(np.abs(one - other).max()) < _STILL_CHANGE


def _is_cut(footage: Footage, thumbnails: Sequence[NDArray[np.float32]], start: int, at: int) -> bool:
    """Whether most of the picture changes at this frame, and it does not belong to the shot that began at `start`.

    Where features are found, nothing of the view before is found again. A frame without features ends a shot if it
    wipes out a picture, as a blank canvas does a title before it, or if it is a dark screen before a picture. What
    began blank is a painting, and a sketch in it may be filled over; only a dark screen, or one that stays empty, ends
    it. A blank canvas that is painted on or takes another colour is no cut, and no blank frame is after which the
    picture returns.
    """
    before, after = thumbnails[at - 1], thumbnails[at]
    change = np.abs(before - after).max(-1)
    if float(np.median(change)) < CUT_CHANGE:
        return False
    is_same_view = same_view(footage.frames[at - 1], footage.frames[at])
    if is_same_view is not None:
        return not is_same_view
    is_wiped = _share_marked(before) > _DRAWN_SHARE and is_blank(after)
    if is_wiped and is_blank(thumbnails[start]) and not _is_dark(thumbnails[start]):
        is_wiped = _is_dark(after) or all(map(is_blank, thumbnails[at:]))
    is_lit = _is_dark(before) and float(np.percentile(change, _WHOLE_PERCENTILE)) >= CUT_CHANGE
    return (is_wiped or is_lit) and not _returns(thumbnails, at)


def _returns(thumbnails: Sequence[NDArray[np.float32]], at: int) -> bool:
    """Whether the last picture before a place and the first from there on, blank frames aside, are alike."""
    earlier = next((each for each in reversed(thumbnails[:at]) if not is_blank(each)), None)
    later = next((each for each in thumbnails[at:] if not is_blank(each)), None)
    if earlier is None or later is None:
        return False
    return float(np.corrcoef(_marks(earlier).ravel(), _marks(later).ravel())[0, 1]) > _LIKENESS


def _marks(blocks: NDArray[np.float32]) -> NDArray[np.float32]:
    """The difference of each block from the colour of most."""
    marks: NDArray[np.float32] = blocks - np.median(blocks, axis=(0, 1)).astype(np.float32)
    return marks


def _share_marked(blocks: NDArray[np.float32]) -> float:
    return float((np.abs(_marks(blocks)).max(-1) > _MARK_LEVELS).mean())


def _is_dark(blocks: NDArray[np.float32]) -> bool:
    return float(blocks.max()) <= BLACK


def is_blank(blocks: NDArray[np.float32]) -> bool:
    """Whether hardly anything is drawn on a frame, by its blocks."""
    return _share_marked(blocks) < _BLANK_SHARE
