"""Controls: sequences that reach the right picture in a wrong way. A metric that does not rank them below real
processes does not measure painting."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import cv2
import numpy as np

from pipelines.evaluation.process import Frames

Control = Callable[[Frames, np.random.Generator], Frames]

_TILES = 8  # per side of the random reveal
_BLUR_DIVISOR = 4  # the first frame of blur-to-sharp is blurred by a quarter of the side
_SHARP_PX = 0.5


def cross_fade(frames: Frames, rng: np.random.Generator) -> Frames:
    """Every pixel changes at an even pace from the first frame to the last."""
    first, last = frames[0].astype(np.float64), frames[-1].astype(np.float64)
    faded: Frames = np.stack([np.rint(first + (last - first) * share) for share in _shares(frames)]).astype(np.uint8)
    return faded


def random_reveal(frames: Frames, rng: np.random.Generator) -> Frames:
    """The last frame replaces the first in finished square tiles, in a random order."""
    height, width = frames.shape[1:3]
    ranks = rng.permutation(_TILES**2).reshape(_TILES, _TILES) / _TILES**2
    when = ranks[np.ix_(np.arange(height) * _TILES // height, np.arange(width) * _TILES // width)]
    return np.stack([np.where((when < share)[..., None], frames[-1], frames[0]) for share in _shares(frames)])


def blur_to_sharp(frames: Frames, rng: np.random.Generator) -> Frames:
    """The last frame, blurred less and less, by equal factors."""
    widest = min(frames.shape[1:3]) / _BLUR_DIVISOR
    sigmas = widest * (_SHARP_PX / widest) ** _shares(frames)[:-1]
    blurred = [cv2.GaussianBlur(frames[-1], (0, 0), float(sigma)) for sigma in sigmas]
    return np.stack([*blurred, frames[-1]])


def reversed_reference(frames: Frames, rng: np.random.Generator) -> Frames:
    """A real process run backwards: from the finished picture to the blank canvas."""
    return frames[::-1]


CONTROLS: Mapping[str, Control] = MappingProxyType(
    {
        "cross-fade": cross_fade,
        "random reveal": random_reveal,
        "blur to sharp": blur_to_sharp,
        "reversed": reversed_reference,
    }
)


def _shares(frames: Frames) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.linspace(0.0, 1.0, len(frames))
