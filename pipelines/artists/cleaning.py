"""Removes hands and tools: a canvas keeps its colour from frame to frame, but a hand moves.

A temporal median would suffice if a pixel had two states; where paint has just been laid, it has three (bare, hand,
paint), and the median of each channel may be the hand. So frames vote on each pixel: the state that most frames of a
window agree on is the canvas. A sleeve that returns to one place may win a vote; but if a pixel looks the same in the
window before and in the window after, it looked so in between too.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.artists.footage import Footage, Frame

_MOVING_SHARE = 0.001  # of a picture; less is noise. A hand or a pointer covers more, and then uncovers it again
_STEPS_TO_RETURN = (1, 2, 4)  # frames
_STROKE_RATIO = 2  # steps at an end change at most this many times as much as those in the middle; hands change more
_TOLERANCE = 20  # levels of 255; noise, compression and the rest of the camera's motion change a canvas by less


def cleaned(
    footage: Footage, places: Sequence[int], window: int, covered: Sequence[NDArray[np.bool_]] | None = None
) -> Footage:  # fmt: skip
    """The canvas at some frames of a footage, without things that cover it for less than half of a window.

    Args:
        footage: N frames that show one canvas from the same viewpoint.
        places: indices of these frames, ascending.
        window: number of frames that vote, odd; there are fewer at the ends of the footage, and only the first and the
            last frame themselves where nothing but paint appears.
        covered: (H, W) for each frame, True where it is known not to show the canvas.
    """
    frames, half = [], window // 2
    shows_start, shows_end = (False, False) if covered else _ends_that_show_canvas(footage.frames, half)
    for place in places:
        from_end = len(footage) - 1 - place
        reach = min(half, place if shows_start else half, from_end if shows_end else half)
        first = max(0, place - reach)
        voters = slice(first, place + reach + 1)
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


def _ends_that_show_canvas(frames: Sequence[Frame], half: int) -> tuple[bool, bool]:
    """Whether the first `half` frames, and the last, are known to show a growing painting and nothing in front of it.

    Nothing may cover a part of any frame and leave it again. As a hand that starts or stops the recording is seen at an
    end alone, no step there may change much more of the picture than the steps in the middle do.
    """
    if any(_share_that_returns(frames, step) > _MOVING_SHARE for step in _STEPS_TO_RETURN):
        return False, False
    changes = [1 - float(_are_alike(one, other).mean()) for one, other in pairwise(frames)]

    margin = min(half, len(changes) // 3)
    most = _STROKE_RATIO * max(changes[margin : len(changes) - margin], default=0.0)
    start, end = changes[:margin], changes[len(changes) - margin :]
    return _MOVING_SHARE < max(start, default=0.0) <= most, _MOVING_SHARE < max(end, default=0.0) <= most


def _share_that_returns(frames: Sequence[Frame], step: int) -> float:
    """The largest share of a frame that differs from the frames `step` before and after it, which are alike."""
    shares = [0.0]
    for before, frame, after in zip(frames, frames[step:], frames[2 * step :], strict=False):
        changed = ~_are_alike(before, frame) & ~_are_alike(frame, after)
        shares.append(float((changed & _are_alike(before, after)).mean()))
        if shares[-1] > _MOVING_SHARE:
            break
    return max(shares)


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
