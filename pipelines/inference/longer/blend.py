"""In-between frames that blend two key frames; a painted sequence decides where and when each pixel changes.

A sequence that is painted between two key frames does not begin and end exactly at them, and from frame to frame it
flickers by more than they differ. What it shows reliably is which parts of the change come first. So each pixel is
blended from its colour in the left key to its colour in the right one, once, at the time at which the painted sequence
changes there. No pixel changes back, the keys are met exactly, and what is the same in both keys stays the same.
docs/decisions/013 has the measurements.
"""

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from renderers.distance import step_distances

Picture = NDArray[np.float32]

_BLUR_DIVISOR = 32  # changes are blurred by a 32nd of the shorter side, a small stroke's breadth: they go together
_GAIN = 2.5  # a pixel changes this many times faster than in the painted sequence: paint covers at once
_NEGLIGIBLE_CHANGE = 1e-4  # squared colour difference below which the painted sequence is ignored


@dataclass(frozen=True, kw_only=True)
class BlendPath:
    """The way from one picture to another.

    Attributes:
        left, right: (H, W, 3) in [0, 1].
        done: (M + 1, H, W) share of the change that each pixel has made; from 0 to 1, never falling.
    """

    left: Picture
    right: Picture
    done: NDArray[np.float32]

    @classmethod
    def between(cls, left: Picture, right: Picture, painted: Picture) -> Self:
        """Blend two key frames; a painted sequence decides where and when pixels change.

        Args:
            left, right: (H, W, 3) keys, in [0, 1].
            painted: (M + 1, H, W, 3) sequence whose first and last frames should be the keys.
        """
        time = np.linspace(0, 1, len(painted), dtype=np.float32)[:, None, None, None]
        corrected = painted + (1 - time) * (left - painted[0]) + time * (right - painted[-1])
        change = right - left
        sigma = min(left.shape[:2]) / _BLUR_DIVISOR
        change_energy = cv2.GaussianBlur(np.square(change).sum(-1), (0, 0), sigma) + np.float32(_NEGLIGIBLE_CHANGE)
        shares = [
            cv2.GaussianBlur(((state - left) * change).sum(-1), (0, 0), sigma) / change_energy for state in corrected
        ]
        done = np.clip(np.stack(shares), 0, 1)
        done[0], done[-1] = 0, 1
        # Neither of the two ever falls: the largest share so far, and the smallest from here on.
        upper, lower = np.maximum.accumulate(done), np.minimum.accumulate(done[::-1])[::-1]
        done = np.clip(((upper + lower) / 2 - 0.5) * _GAIN + 0.5, 0, 1).astype(np.float32)
        done[0], done[-1] = 0, 1
        return cls(left=left, right=right, done=done)

    @classmethod
    def straight(cls, left: Picture, right: Picture) -> Self:
        """A plain cross-fade from one frame to the next."""
        return cls(left=left, right=right, done=np.stack([np.zeros_like(left[..., 0]), np.ones_like(left[..., 0])]))

    def states(self) -> Picture:
        """(M + 1, H, W, 3) the blended sequence; its first and last are the keys."""
        return self._states(self.done)

    def lengths(self, blank: Picture, finished: Picture) -> NDArray[np.float64]:
        """(M,) distances between neighbouring states, in units of the distance from blank to finished."""
        return step_distances(list(self.states()), blank, finished)

    def along(self, shares: NDArray[np.floating], blank: Picture, finished: Picture) -> Picture:
        """(S, H, W, 3) states at shares of the path's length (see `lengths`), from 0 for left to 1 for right."""
        travelled = np.concatenate([[0.0], np.cumsum(self.lengths(blank, finished) + 1e-9)])
        times = np.interp(shares * travelled[-1], travelled, np.arange(len(travelled)))
        before = np.minimum(times.astype(int), len(self.done) - 2)
        weight = (times - before).astype(np.float32)[:, None, None]
        return self._states((1 - weight) * self.done[before] + weight * self.done[before + 1])

    def _states(self, done: NDArray[np.float32]) -> Picture:
        share = done[..., None]
        states: Picture = (1 - share) * self.left + share * self.right
        return states
