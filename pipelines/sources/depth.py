"""Depth maps that lie beside pictures."""

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.sources.decode import MAX_PIXELS
from pipelines.sources.source import RefusedPicture
from renderers.stored_picture import decoded, size_of

DEPTH_ENDING = ".depth.png"


def is_depth_map(name: str) -> bool:
    """Whether a file is the depth map of another, and no picture of its own."""
    return name.lower().endswith(DEPTH_ENDING)


def decode_depth(data: bytes) -> NDArray[np.float32]:
    """A depth map, lighter where nearer as monocular networks give it, as (h, w, 3) distances in [0, 1], all alike.

    Three channels so that it is framed like a picture; what padding adds, 1, is farthest.

    Raises:
        RefusedPicture: if it is not a grey PNG.
    """
    height_px, width_px = size_of(data) or (0, 0)
    if height_px * width_px > MAX_PIXELS:
        raise RefusedPicture(f"its depth map is of {width_px}x{height_px} px, more than {MAX_PIXELS}")
    values = decoded(data, cv2.IMREAD_UNCHANGED, (height_px, width_px))
    if values is None or values.ndim != 2 or not np.issubdtype(values.dtype, np.unsignedinteger):
        raise RefusedPicture("its depth map is not a grey PNG of 8 or 16 bits")
    far = 1.0 - values.astype(np.float32) / np.float32(np.iinfo(values.dtype).max)
    return np.repeat(far[..., None], 3, axis=2)
