"""In-between pictures for a video that runs smoothly. They were not painted, so only the video has them."""

from collections.abc import Iterable, Iterator
from itertools import pairwise, repeat
from math import ceil
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Smoothing = Literal["none", "dissolve", "flow"]

_SMOOTH_PER_S = 24
_LAST_FRAME_TIMES = 3  # frame times that the finished picture is shown for, as in a video that is not smoothed
_LEAST_PX = 32  # optical flow is searched on patches over several octaves; smaller pictures are dissolved

Frame = NDArray[np.uint8]
Flow = NDArray[np.float32]


def smooth(frames: NDArray[np.uint8], frames_per_s: float, smoothing: Smoothing) -> tuple[Iterable[Frame], float]:
    """Frames for a video of the same length, at 24 or more a second; those in between are made one by one.

    Args:
        frames: (T, H, W, 3).
        frames_per_s: their frame rate.
        smoothing: `dissolve` fades from each frame to the next; `flow` also shifts parts that moved (DIS optical flow,
            Kroeger et al. 2016).

    Returns:
        All the frames and those in between, (H, W, 3) each, the last one repeated; and their frame rate. Without
        smoothing, the frames and the rate as given.
    """
    factor = ceil(_SMOOTH_PER_S / frames_per_s)
    if smoothing == "none" or factor == 1:
        return frames, frames_per_s
    return _smoothed(frames, factor, smoothing), frames_per_s * factor


def _smoothed(frames: NDArray[np.uint8], factor: int, smoothing: Smoothing) -> Iterator[Frame]:
    inner = _flowing if smoothing == "flow" and min(frames.shape[1:3]) >= _LEAST_PX else _dissolving
    shares = np.arange(1, factor) / factor
    for left, right in pairwise(frames):
        yield left
        yield from inner(left, right, shares)
    yield from repeat(frames[-1], _LAST_FRAME_TIMES * (factor - 1) + 1)  # the writer of the video repeats it too


def _dissolving(left: Frame, right: Frame, shares: NDArray[np.float64]) -> Iterator[Frame]:
    for share in shares:
        yield cv2.addWeighted(left, 1 - share, right, share, 0).astype(np.uint8)


def _flowing(left: Frame, right: Frame, shares: NDArray[np.float64]) -> Iterator[Frame]:
    """Both frames warped to the moment in between and blended; its flows are those of Jiang et al. 2018, equation 4."""
    forth, back = _flow(left, right), _flow(right, left)
    for share in shares:
        late, early = np.float32(share), np.float32(1 - share)
        to_left = -early * late * forth + late * late * back
        to_right = early * early * forth - early * late * back
        yield cv2.addWeighted(_moved(left, to_left), 1 - share, _moved(right, to_right), share, 0).astype(np.uint8)


def _flow(one: Frame, other: Frame) -> Flow:
    """(H, W, 2) where each pixel of `one` is in `other`, in pixels from where it was."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (one, other)]
    flow: Flow = search.calc(grey[0], grey[1], np.zeros((*grey[0].shape, 2), np.float32))
    return flow


def _moved(frame: Frame, flow: Flow) -> Frame:
    """The picture that shows at each pixel what `frame` shows at the place that the flow points to."""
    rows, columns = np.indices(frame.shape[:2], np.float32)
    moved: Frame = cv2.remap(
        frame, columns + flow[..., 0], rows + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    ).astype(np.uint8)
    return moved
