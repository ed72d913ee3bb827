"""Smaller copies of pictures."""

import cv2
import numpy as np

from renderers.painting import Image


def shrunk_size(height: int, width: int, short_px: int) -> tuple[int, int]:
    """Height and width of a picture that is averaged down to `short_px` along its shorter side."""
    scale = short_px / min(height, width)
    return max(short_px, round(height * scale)), max(short_px, round(width * scale))


def shrink(image: Image, short_px: int) -> Image:
    """The image, averaged down to `short_px` along its shorter side."""
    height, width = image.shape[:2]
    if short_px >= min(height, width):
        return np.ascontiguousarray(image, np.float32)
    rows, columns = shrunk_size(height, width, short_px)
    return np.ascontiguousarray(cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)
