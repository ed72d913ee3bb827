"""When a painter paints what: its few small frames, read as a time line for strokes on a canvas of any size.

A place has arrived when it stays at most half as far from its final colours as it ever was. Frames in between two of
the painter's are not known; the moment is interpolated.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from renderers.painting import Image

_Field = NDArray[np.float32]

CELLS = 16
"""Places along each side of a canvas for which arrivals are compared: what latents of a painter of 64 px tell apart."""

_ARRIVED = 0.5  # of the largest distance from the final colours
_LEAST_LAB = 6.0  # colours that are nearer count as the same, on a canvas of strokes
_FEWEST_PLACES = 8
_STARTED_LAB = 3.0  # a place that was always nearer than this to its final colours has nothing to do
_SOFT_PX = 0.7  # of the painter's frames, which flicker from pixel to pixel
_FLAT = 2e-3  # variance of lightness below which a neighbourhood has no edge to keep to


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
        """(T, h, w) how much of its way to its final colours each place has gone for good: 0 to 1, never falling."""
        squares = ((lab := _lab(self.frames)) - lab[-1]) ** 2
        far = np.stack([np.sqrt(cv2.GaussianBlur(square.sum(-1), (0, 0), _SOFT_PX)) for square in squares])
        left = np.maximum.accumulate(far[::-1])[::-1]
        gone: _Field = (1.0 - left / np.maximum(left[0], _STARTED_LAB)).astype(np.float32)
        return gone

    def states(self, picture: Image) -> list[Image]:
        """How a canvas of the picture should look at each frame but the first: T - 1 of (H, W, 3) in [0, 1].

        The painter's colours, with edges where the picture has them; and the picture's detail as far as a place has
        gone its way. The last is the picture.
        """
        finished = upsampled(self.frames[-1], picture)
        states = [
            upsampled(frame, picture) + np.clip(upsampled(gone[..., None], picture), 0.0, 1.0) * (picture - finished)
            for frame, gone in zip(self.frames[1:-1], self.progress[1:-1], strict=True)
        ]
        return [*(np.clip(state, 0.0, 1.0).astype(np.float32) for state in states), picture]

    @property
    def arrival(self) -> _Field:
        """(h, w) when each place arrives, from 0 to 1."""
        return self.moments(_ARRIVED)

    def to_do(self, height: int, width: int) -> _Field:
        """(height, width) share of its way that each place has left at the first frame: 1 on a blank canvas."""
        if self.begun is None:
            return np.ones((height, width), np.float32)
        left = cv2.resize(1.0 - self.progress[0], (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(np.clip(left, 0.0, 1.0), np.float32)

    def moments(self, left: float) -> _Field:
        """(h, w) when each place has for good no more than a share of its way `left`, from 0 to 1; 0: nothing to do."""
        far = _far(self.frames, self.frames.shape[1:3])
        return arrivals(far, np.maximum(left * far.max(0), _LEAST_LAB))


def upsampled(field: _Field, guide: Image) -> _Field:
    """A small (h, w, C) field at the size of a picture, its edges where the picture has edges.

    The guided filter (He, Sun and Tang 2013), its coefficients found on the small grid (He and Sun 2015).
    """
    height, width = field.shape[:2]
    light = guide.mean(-1, dtype=np.float32)
    small = np.asarray(cv2.resize(light, (width, height), interpolation=cv2.INTER_AREA), np.float32)
    mean = _around(small)
    variance = _around(np.square(small)) - mean * mean
    grown = []
    for channel in np.moveaxis(field, -1, 0):
        level = _around(channel)
        together = _around(np.asarray(small * channel, np.float32)) - mean * level
        slope = np.asarray(together / (variance + _FLAT), np.float32)
        offset = np.asarray(level - slope * mean, np.float32)
        size = light.shape[::-1]
        gain, base = (cv2.resize(_around(part), size, interpolation=cv2.INTER_LINEAR) for part in (slope, offset))
        grown.append(gain * light + base)
    return np.stack(grown, -1).astype(np.float32)


def arrivals(far: _Field, level: _Field) -> _Field:
    """When places arrive: the last moment at which they are farther than a level from their last colours.

    Args:
        far: (T, rows, columns) distance of each place from its last colours, at even steps of time.
        level: (rows, columns).

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

    There are `CELLS` x `CELLS` places. In each, both are judged by the same level: half of the painter's way. What is
    never farther than that from its last colours has arrived from the beginning.

    Args:
        frames, painter: (T, H, W, 3) and (T', h, w, 3) in [0, 1]. Only the order in which places arrive counts, not
            the pace.

    Returns:
        -1 to 1; 0 where fewer than 8 places are painted, or all at once.
    """
    from scipy.stats import spearmanr

    executed_far, painter_far = (_far(process, (CELLS, CELLS)) for process in (frames, painter))
    level = np.maximum(_ARRIVED * painter_far.max(0), _LEAST_LAB)
    painted = painter_far.max(0) > level
    executed, wanted = (arrivals(far, level)[painted] for far in (executed_far, painter_far))
    if len(wanted) < _FEWEST_PLACES or np.ptp(executed) == 0 or np.ptp(wanted) == 0:
        return 0.0
    return float(spearmanr(executed, wanted).statistic)


def _far(frames: NDArray[np.float32], cells: tuple[int, int]) -> _Field:
    """(T, rows, columns) distance of places from their last colours in CIELAB, as root of the mean square of pixels."""
    squares = (((lab := _lab(frames)) - lab[-1]) ** 2).sum(-1)
    size = (cells[1], cells[0])
    far: _Field = np.sqrt([cv2.resize(square, size, interpolation=cv2.INTER_AREA) for square in squares])
    return far


def _lab(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.stack([cv2.cvtColor(np.ascontiguousarray(frame, np.float32), cv2.COLOR_RGB2LAB) for frame in frames])


def _around(field: _Field) -> _Field:
    """Means over 3 x 3 cells."""
    return np.asarray(cv2.blur(np.ascontiguousarray(field), (3, 3)), np.float32)
