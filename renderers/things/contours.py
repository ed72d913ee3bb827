"""Label maps at any size, and how much of each pixel a label covers."""

import cv2
import numpy as np
from numpy.typing import NDArray

from renderers.things.graph import Labels

_SOFT_PX = 0.7  # deviation of the soft border, in pixels


def resized_labels(labels: Labels, height: int, width: int) -> Labels:
    """The label map at another size: each pixel gets the region that has most of it, so contours come out smooth."""
    if labels.shape == (height, width):
        return labels
    scale_y, scale_x = height / labels.shape[0], width / labels.shape[1]
    best, resized = np.full((height, width), -1, np.float32), np.zeros((height, width), np.int32)
    for label, box in boxes(labels):
        # whole pixels of both maps meet only at corners of the canvas, so each box is cut with room and warped
        top, left = max(0, box[0].start - 2), max(0, box[1].start - 2)
        mask = (labels[top : box[0].stop + 2, left : box[1].stop + 2] == label).astype(np.float32)
        first_y, last_y = int(top * scale_y), min(height, int(np.ceil((top + mask.shape[0]) * scale_y)))
        first_x, last_x = int(left * scale_x), min(width, int(np.ceil((left + mask.shape[1]) * scale_x)))
        matrix = np.array(
            [
                [1 / scale_x, 0, (first_x + 0.5) / scale_x - 0.5 - left],
                [0, 1 / scale_y, (first_y + 0.5) / scale_y - 0.5 - top],
            ]
        )
        share = cv2.warpAffine(
            mask, matrix, (last_x - first_x, last_y - first_y), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        there = np.s_[first_y:last_y, first_x:last_x]
        better = share > best[there]
        best[there][better] = share[better]
        resized[there][better] = label
    return resized


def boxes(labels: Labels) -> list[tuple[int, tuple[slice, slice]]]:
    """Every label that is there, with its bounding box."""
    from scipy.ndimage import find_objects

    return [(label, box) for label, box in enumerate(find_objects(labels + 1)) if box is not None]


def coverage(labels: NDArray[np.integer], label: int) -> NDArray[np.float32]:
    """(H, W) float32 share of each pixel, in [0, 1], that a label covers; over all labels the shares add up to 1."""
    mask = (labels == label).astype(np.float32)
    share: NDArray[np.float32] = cv2.GaussianBlur(mask, (0, 0), _SOFT_PX, borderType=cv2.BORDER_REPLICATE)
    return share
