"""Quality of a sequence, by measures that need no weights."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from renderers.painting import Image

_UNTOUCHED = 8  # of 255: a channel must differ by more than this before a pixel counts as painted
_WINDOW_PX = 7
_LEAST_WAY = 0.05
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def psnr_db(painted: Image, source: Image) -> float:
    """Peak signal-to-noise ratio of two images in [0, 1]; 99 dB when they are the same."""
    error = float(np.mean((painted.astype(np.float64) - source) ** 2))
    return 99.0 if error < 10**-9.9 else -10.0 * float(np.log10(error))


def ssim(painted: Image, source: Image) -> float:
    """Structural similarity of luma (Wang et al. 2004; 7 x 7 window), at most 1; smaller pictures are padded."""
    padding = [(0, max(0, _WINDOW_PX - side)) for side in painted.shape[:2]]
    lumas = [np.pad(picture @ _LUMA, padding, mode="edge") for picture in (painted, source)]
    return float(structural_similarity(*lumas, win_size=_WINDOW_PX, data_range=1.0))


def coverage(frame: NDArray[np.uint8], blank: NDArray[np.uint8]) -> float:
    """Share of pixels of a (H, W, 3) frame that differ visibly from the blank canvas."""
    difference = cv2.absdiff(frame, blank)
    strongest = np.maximum(np.maximum(difference[..., 0], difference[..., 1]), difference[..., 2])
    return float(np.count_nonzero(strongest > _UNTOUCHED) / strongest.size)


def progress_violation(distances: Sequence[float]) -> float:
    """Sum of all rises of the distance, which should fall, as a share of `whole_way`: 0 if it never rises."""
    rises = np.diff(distances).clip(min=0)
    return float(rises.sum() / whole_way(distances)) if rises.any() else 0.0


def whole_way(distances: Sequence[float]) -> float:
    """How far the first canvas is from the finished one, but at least a 20th of the largest distance on the way.

    So the rises of a process that ends about as it began, and has no way to go, are not divided by nothing.
    """
    return max(distances[0] - distances[-1], _LEAST_WAY * max(distances))


def sequence_quality(
    frames: NDArray[np.uint8], source: Image, distances: Sequence[float]
) -> dict[str, float | list[float]]:
    """The quality measures of one sequence.

    Args:
        frames: (T, H, W, 3) uint8, from the blank canvas to the finished painting.
        source: (H, W, 3) what was painted, in [0, 1].
        distances: (T,) of each frame from the last (see `renderers.distance`).
    """
    finished = frames[-1].astype(np.float32) / 255.0
    return {
        "psnr_db": round(psnr_db(finished, source), 4),
        "ssim": round(ssim(finished, source), 5),
        "coverage": [round(coverage(frame, frames[0]), 5) for frame in frames],
        "distance": [round(float(value), 6) for value in distances],
        "progress_violation": round(progress_violation(distances), 6),
    }
