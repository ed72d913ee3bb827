"""Hands and tools, taken out: a canvas keeps its colour from frame to frame, a hand does not stay.

A temporal median would do where a pixel has two states; where paint has just been laid, it has three (bare, hand,
paint), and the median of each channel may well be the hand. So pixels vote: the state that most frames of a window
agree on is the canvas.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.artists.footage import Footage, Frame

_ALIKE = 20  # of 255: noise, compression and what is left of the camera's motion change a canvas by less


def cleaned(footage: Footage, places: Sequence[int], window: int) -> Footage:
    """The canvas at some places of a footage, without what covers it for less than half of a window.

    Args:
        footage: N frames that show one canvas from one place.
        places: ascending, of range(N).
        window: frames that vote, odd; at the ends of the footage, the window is the first or the last so many.
    """
    frames = [consensus(footage.frames, place, window) for place in places]
    return footage.chosen(places).changed(frames, cleaned_over=min(window, len(footage)))


def consensus(frames: Sequence[Frame], place: int, window: int) -> Frame:
    """What most frames around a place agree on, pixel by pixel, averaged over those that agree.

    Of two equally frequent states, the one seen nearest to the place counts.
    """
    start = max(0, min(place - window // 2, len(frames) - window))
    voters = frames[start : start + window]
    # Judged by a little more than one pixel, edges that are half a pixel off still agree.
    looks = [cv2.GaussianBlur(frame, (0, 0), 0.8).astype(np.uint8) for frame in voters]
    count, (height, width) = len(voters), voters[0].shape[:2]
    votes = np.ones((count, height, width), np.int32)
    agree = np.ones((count, count, height, width), bool)
    for one in range(count):
        for other in range(one + 1, count):
            alike = _alike(looks[one], looks[other])
            agree[one, other] = agree[other, one] = alike
            votes[one] += alike
            votes[other] += alike
    away = np.abs(np.arange(start, start + count) - place).reshape(-1, 1, 1)
    elected = np.argmax(votes * 2 * count - away, axis=0)
    share = np.take_along_axis(agree, elected[None, None], axis=0)[0].astype(np.float32)
    total = np.zeros((height, width, 3), np.float32)
    for voter, given in zip(voters, share, strict=True):
        total += voter * given[..., None]
    canvas: Frame = np.rint(total / share.sum(0)[..., None]).astype(np.uint8)
    return canvas


def _alike(one: Frame, other: Frame) -> NDArray[np.bool_]:
    """(H, W) where two frames differ by little in every channel."""
    red, green, blue = cv2.split(cv2.absdiff(one, other))
    alike: NDArray[np.bool_] = (cv2.max(cv2.max(red, green), blue) < _ALIKE).astype(bool)
    return alike
