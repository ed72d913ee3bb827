"""Removes hands and tools: a canvas keeps its colour from frame to frame, but a hand moves.

A temporal median would suffice if a pixel had two states; where paint has just been laid, it has three (bare, hand,
paint), and the median of each channel may be the hand. So frames vote on each pixel: the state that most frames of a
window agree on is the canvas. A sleeve that returns to one place may win a vote; but if a pixel looks the same in the
window before and in the window after, it looked so in between too.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.artists.footage import Footage, Frame

_TOLERANCE = 20  # levels of 255; noise, compression and the rest of the camera's motion change a canvas by less


def cleaned(
    footage: Footage, places: Sequence[int], window: int, covered: Sequence[NDArray[np.bool_]] | None = None
) -> Footage:  # fmt: skip
    """The canvas at some frames of a footage, without things that cover it for less than half of a window.

    Args:
        footage: N frames that show one canvas from the same viewpoint.
        places: indices of these frames, ascending.
        window: number of frames that vote, odd; there are fewer at the ends of the footage.
        covered: (H, W) for each frame, True where it is known not to show the canvas.
    """
    frames = []
    for place in places:
        first = max(0, place - window // 2)
        voters = slice(first, place + window // 2 + 1)
        frames.append(consensus(footage.frames[voters], place - first, covered and covered[voters]))
    return footage.chosen(places).changed(without_returns(frames, places, window), cleaned_over=window)


def consensus(frames: Sequence[Frame], place: int, covered: Sequence[NDArray[np.bool_]] | None = None) -> Frame:
    """The state that most frames agree on, pixel by pixel, averaged over the frames that agree.

    Of two equally frequent states, the one nearest in time to `place` is chosen. Where a frame is covered, it neither
    votes nor can be chosen, unless all frames are covered there.
    """
    # Frames are blurred by a little more than a pixel, so that edges which are half a pixel off still agree.
    blurred = [cv2.GaussianBlur(frame, (0, 0), 0.8).astype(np.uint8) for frame in frames]
    count, (height, width) = len(frames), frames[0].shape[:2]
    agree = np.ones((count, count, height, width), bool)
    for one in range(count):
        for other in range(one + 1, count):
            agree[one, other] = agree[other, one] = _are_alike(blurred[one], blurred[other])
    if covered:
        hidden = np.stack(covered)
        visible = ~hidden | hidden.all(0)
        agree &= visible[:, None] & visible[None]
    distance = np.abs(np.arange(count) - place).reshape(-1, 1, 1)
    elected = np.argmax(agree.sum(0) * count - distance, axis=0)
    weights = np.take_along_axis(agree, elected[None, None], axis=0)[0].astype(np.float32)
    total = np.zeros((height, width, 3), np.float32)
    for frame, weight in zip(frames, weights, strict=True):
        total += frame * weight[..., None]
    canvas: Frame = np.rint(total / weights.sum(0)[..., None]).astype(np.uint8)
    return canvas


def without_returns(frames: Sequence[Frame], places: Sequence[int], window: int) -> list[Frame]:
    """Canvases with changes undone that have vanished again a window later.

    Args:
        frames: canvases at `places`, ascending.
        window: canvases at least this far apart were voted on by different frames.
    """
    corrected = []
    for frame, place in zip(frames, places, strict=True):
        before = bisect_right(places, place - window) - 1
        after = bisect_left(places, place + window)
        if before >= 0 and after < len(places):
            same = _are_alike(frames[before], frames[after]) & ~_are_alike(frames[before], frame)
            frame = np.where(same[..., None], frames[before], frame)
        corrected.append(frame)
    return corrected


def _are_alike(one: Frame, other: Frame) -> NDArray[np.bool_]:
    """(H, W), True where two frames differ by less than the tolerance in every channel."""
    red, green, blue = cv2.split(cv2.absdiff(one, other))
    alike: NDArray[np.bool_] = (cv2.max(cv2.max(red, green), blue) < _TOLERANCE).astype(bool)
    return alike
