"""When a painter paints what: its few small frames, read as a time line for strokes on a canvas of any size.

A place has arrived once it stays within half of the largest distance that it ever had from its final colours. What
happens between two of the painter's frames is not known, so moments are interpolated.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from renderers.painting import Image

_Field = NDArray[np.float32]

CELLS = 16
"""Places along each side of a canvas at which arrivals are compared: latents of a painter of 64 px resolve no more."""

_ARRIVED = 0.5  # of the largest distance from the final colours
_LEAST_LAB = 6.0  # on a canvas of strokes, colours that are nearer count as the same
_FEWEST_PLACES = 8
_STARTED_LAB = 3.0  # a place that was always nearer than this to its final colours needs no paint
_SOFT_PX = 0.7  # blur of the painter's frames, which flicker from pixel to pixel
_FLAT = 2e-3  # variance of lightness below which a neighbourhood has no edge to follow


@dataclass(frozen=True, kw_only=True)
class TimeLine:
    """A painter's process.

    Attributes:
        frames: (T, h, w, 3) float32 RGB in [0, 1]; the last is the finished painting.
        begun: (H, W, 3) what is on the canvas already, of the size of the picture; None for a blank canvas.
        thing_by_thing: whether one thing after another is painted, and finished, before the next is begun.
    """

    frames: NDArray[np.float32]
    begun: Image | None = None
    thing_by_thing: bool = False

    @property
    def progress(self) -> _Field:
        """(T, h, w) share of its way to the final colours that each place has gone for good: 0 to 1, never falling."""
        squares = ((lab := _lab(self.frames)) - lab[-1]) ** 2
        distances = np.stack([np.sqrt(cv2.GaussianBlur(square.sum(-1), (0, 0), _SOFT_PX)) for square in squares])
        remaining = np.maximum.accumulate(distances[::-1])[::-1]
        covered: _Field = (1.0 - remaining / np.maximum(remaining[0], _STARTED_LAB)).astype(np.float32)
        return covered

    def states(self, picture: Image) -> list[Image]:
        """How a canvas of the picture should look at each frame but the first: T - 1 of (H, W, 3) in [0, 1].

        A state has the painter's colours, with edges where the picture has them, and of the picture's detail the share
        of its way that each place has gone. The last state is the picture.
        """
        finished = upsampled(self.frames[-1], picture)
        states = [
            upsampled(frame, picture) + np.clip(upsampled(share[..., None], picture), 0.0, 1.0) * (picture - finished)
            for frame, share in zip(self.frames[1:-1], self.progress[1:-1], strict=True)
        ]
        return [*(np.clip(state, 0.0, 1.0).astype(np.float32) for state in states), picture]

    @property
    def arrival(self) -> _Field:
        """(h, w) when each place arrives, from 0 to 1."""
        return self.moments(_ARRIVED)

    def to_do(self, height: int, width: int) -> _Field:
        """(height, width) share of its way that each place has still to go at the first frame: 1 on a blank canvas."""
        if self.begun is None:
            return np.ones((height, width), np.float32)
        remaining = cv2.resize(1.0 - self.progress[0], (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(np.clip(remaining, 0.0, 1.0), np.float32)

    def moments(self, left: float) -> _Field:
        """(h, w) from when on, 0 to 1, a place has at most a share `left` of its way to go; 0 if it never had more."""
        distances = _distances_to_last(self.frames, self.frames.shape[1:3])
        return arrivals(distances, np.maximum(left * distances.max(0), _LEAST_LAB))


def upsampled(field: _Field, guide: Image) -> _Field:
    """A small (h, w, C) field, enlarged to the size of a picture, with edges where the picture has edges.

    The guided filter (He, Sun and Tang 2013), its coefficients found on the small grid (He and Sun 2015).
    """
    height, width = field.shape[:2]
    grey = guide.mean(-1, dtype=np.float32)
    small = np.asarray(cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA), np.float32)
    mean = _around(small)
    variance = _around(np.square(small)) - mean * mean
    channels = []
    for channel in np.moveaxis(field, -1, 0):
        channel_mean = _around(channel)
        covariance = _around(np.asarray(small * channel, np.float32)) - mean * channel_mean
        slope = np.asarray(covariance / (variance + _FLAT), np.float32)
        offset = np.asarray(channel_mean - slope * mean, np.float32)
        size = grey.shape[::-1]
        gain, base = (cv2.resize(_around(part), size, interpolation=cv2.INTER_LINEAR) for part in (slope, offset))
        channels.append(gain * grey + base)
    return np.stack(channels, -1).astype(np.float32)


def arrivals(far: _Field, level: _Field) -> _Field:
    """When places arrive: the last moment at which they are farther than a level from their last colours.

    Args:
        far: (T, rows, columns) distance of each place from its last colours, at even steps of time.
        level: (rows, columns) the level of each place.

    Returns:
        (rows, columns) from 0 = at the first frame to 1 = at the last.
    """
    last = len(far) - 1
    above = far > level
    before = np.where(above.any(0), last - np.argmax(above[::-1], 0), 0)
    after = np.minimum(before + 1, last)
    far_before, far_after = (np.take_along_axis(far, frame[None], 0)[0] for frame in (before, after))
    part = np.clip((far_before - level) / np.maximum(far_before - far_after, 1e-6), 0.0, 1.0)
    moments: _Field = np.where(above.any(0), (before + part) / last, 0.0).astype(np.float32)
    return moments


def arrival_agreement(frames: NDArray[np.float32], painter: NDArray[np.float32]) -> float:
    """Spearman's rho of when places arrive in a process and in the painter's, where the painter paints.

    There are `CELLS` x `CELLS` places. At each, both processes are judged by the same level: half of the painter's
    largest distance. A place that is never farther than that from its last colours has arrived from the beginning.

    Args:
        frames, painter: (T, H, W, 3) and (T', h, w, 3) in [0, 1]. Only the order in which places arrive counts, not
            the pace.

    Returns:
        -1 to 1; 0 where fewer than 8 places are painted, or all at once.
    """
    from scipy.stats import spearmanr

    executed_far, painter_far = (_distances_to_last(process, (CELLS, CELLS)) for process in (frames, painter))
    level = np.maximum(_ARRIVED * painter_far.max(0), _LEAST_LAB)
    painted = painter_far.max(0) > level
    executed, wanted = (arrivals(far, level)[painted] for far in (executed_far, painter_far))
    if len(wanted) < _FEWEST_PLACES or np.ptp(executed) == 0 or np.ptp(wanted) == 0:
        return 0.0
    return float(spearmanr(executed, wanted).statistic)


def _distances_to_last(frames: NDArray[np.float32], cells: tuple[int, int]) -> _Field:
    """(T, rows, columns) distance of places from their last colours in CIELAB, root mean square of their pixels."""
    squares = (((lab := _lab(frames)) - lab[-1]) ** 2).sum(-1)
    size = (cells[1], cells[0])
    distances: _Field = np.sqrt([cv2.resize(square, size, interpolation=cv2.INTER_AREA) for square in squares])
    return distances


def _lab(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.stack([cv2.cvtColor(np.ascontiguousarray(frame, np.float32), cv2.COLOR_RGB2LAB) for frame in frames])


def _around(field: _Field) -> _Field:
    """Means over 3 x 3 cells."""
    return np.asarray(cv2.blur(np.ascontiguousarray(field), (3, 3)), np.float32)
