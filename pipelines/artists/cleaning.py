"""Removal of hands and tools: a canvas keeps its colour from frame to frame, a hand does not stay.

A temporal median would do where a pixel has two states; where paint has just been laid, it has three (bare, hand,
paint), and the median of each channel may well be the hand. So pixels vote: the state that most frames of a window
agree on is the canvas. A sleeve that comes back to one place may win a vote; but what looked the same in the window
before and looks the same in the one after has looked so in between.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.artists.footage import Footage, Frame

_ALIKE = 20  # of 255: noise, compression and what is left of the camera's motion change a canvas by less


def cleaned(
    footage: Footage, places: Sequence[int], window: int, covered: Sequence[NDArray[np.bool_]] | None = None
) -> Footage:  # fmt: skip
    """The canvas at some places of a footage, without what covers it for less than half of a window.

    Args:
        footage: N frames that show one canvas from one place.
        places: ascending, of range(N).
        window: frames that vote, odd; fewer at the ends of the footage.
        covered: of each frame, (H, W) where it is known to show something else than the canvas.
    """
    frames = []
    for place in places:
        first = max(0, place - window // 2)
        voters = slice(first, place + window // 2 + 1)
        frames.append(consensus(footage.frames[voters], place - first, covered and covered[voters]))
    return footage.chosen(places).changed(without_returns(frames, places, window), cleaned_over=window)


def consensus(frames: Sequence[Frame], place: int, covered: Sequence[NDArray[np.bool_]] | None = None) -> Frame:
    """What most frames agree on, pixel by pixel, averaged over those that agree.

    Of two equally frequent states, the one seen nearest to the place counts. Where a frame is covered it neither votes
    nor is voted for, unless all of them are.
    """
    # Judged by a little more than one pixel, edges that are half a pixel off still agree.
    looks = [cv2.GaussianBlur(frame, (0, 0), 0.8).astype(np.uint8) for frame in frames]
    count, (height, width) = len(frames), frames[0].shape[:2]
    agree = np.ones((count, count, height, width), bool)
    for one in range(count):
        for other in range(one + 1, count):
            agree[one, other] = agree[other, one] = _alike(looks[one], looks[other])
    if covered:
        hidden = np.stack(covered)
        visible = ~hidden | hidden.all(0)
        agree &= visible[:, None] & visible[None]
    away = np.abs(np.arange(count) - place).reshape(-1, 1, 1)
    elected = np.argmax(agree.sum(0) * count - away, axis=0)
    share = np.take_along_axis(agree, elected[None, None], axis=0)[0].astype(np.float32)
    total = np.zeros((height, width, 3), np.float32)
    for frame, given in zip(frames, share, strict=True):
        total += frame * given[..., None]
    canvas: Frame = np.rint(total / share.sum(0)[..., None]).astype(np.uint8)
    return canvas


def without_returns(frames: Sequence[Frame], places: Sequence[int], window: int) -> list[Frame]:
    """Canvases with what they show only in between undone.

    Args:
        frames: canvases at `places`, ascending.
        window: those at least so far apart were voted on by different frames.
    """
    firm = []
    for frame, place in zip(frames, places, strict=True):
        before = bisect_right(places, place - window) - 1
        after = bisect_left(places, place + window)
        if before >= 0 and after < len(places):
            same = _alike(frames[before], frames[after]) & ~_alike(frames[before], frame)
            frame = np.where(same[..., None], frames[before], frame)
        firm.append(frame)
    return firm


def _alike(one: Frame, other: Frame) -> NDArray[np.bool_]:
    """(H, W) where two frames differ by little in every channel."""
    red, green, blue = cv2.split(cv2.absdiff(one, other))
    alike: NDArray[np.bool_] = (cv2.max(cv2.max(red, green), blue) < _ALIKE).astype(bool)
    return alike
