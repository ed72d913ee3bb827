"""Depth maps that lie beside pictures."""

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.sources.base import RefusedPicture

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
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if values is None or values.ndim != 2 or not np.issubdtype(values.dtype, np.unsignedinteger):
        raise RefusedPicture("its depth map is not a grey PNG of 8 or 16 bits")
    far = 1.0 - values.astype(np.float32) / np.float32(np.iinfo(values.dtype).max)
    return np.repeat(far[..., None], 3, axis=2)
