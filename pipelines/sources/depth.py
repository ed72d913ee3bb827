"""Depth maps that are stored beside pictures."""

import posixpath

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.sources.decode import MAX_PIXELS
from pipelines.sources.source import RefusedPicture
from renderers.stored_picture import decoded, size_of

DEPTH_ENDING = ".depth.png"
"""Ending of the names of depth maps, in lower case; in the names, case does not matter."""


def is_called_depth(name: str) -> bool:
    """Whether a picture file is named as a depth map, in any format: `a.depth.png` is read, `a.depth.jpg` is not."""
    return posixpath.splitext(name)[0].lower().endswith(".depth")


def decode_depth(data: bytes) -> NDArray[np.float32]:
    """A stored depth map as (h, w, 3) distances in [0, 1]; stored values are lighter where nearer.

    The three channels are equal, so that it can be framed like a picture; padding adds 1, the farthest distance. A file
    with channels of colour is read if these are equal.

    Raises:
        RefusedPicture: if it is not a PNG, or not grey.
    """
    height_px, width_px = size_of(data) or (0, 0)
    if height_px * width_px > MAX_PIXELS:
        raise RefusedPicture(f"its depth map is of {width_px}x{height_px} px, more than {MAX_PIXELS}")
    values = decoded(data, cv2.IMREAD_UNCHANGED, (height_px, width_px))
    if values is None or not np.issubdtype(values.dtype, np.unsignedinteger):
        raise RefusedPicture("its depth map is damaged, or not a PNG of 8 or 16 bits")
    if values.ndim == 3:
        if (values[..., :3] != values[..., :1]).any() or (values[..., 3:] != np.iinfo(values.dtype).max).any():
            raise RefusedPicture("its depth map is not grey: it has colours or transparent places")
        values = values[..., 0]
    far = 1.0 - values.astype(np.float32) / np.float32(np.iinfo(values.dtype).max)
    return np.repeat(far[..., None], 3, axis=2)
