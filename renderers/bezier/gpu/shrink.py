"""Averaging pictures down, many at once: what `renderers.shrink.shrink` does with OpenCV, on any device."""

import numpy as np
import torch
from torch import Tensor

from renderers.bezier.fit import pyramid_sizes
from renderers.shrink import shrunk_size


def shrink_batch(pictures: Tensor, short_px: int) -> Tensor:
    """(B, H, W, 3) pictures, averaged down to `short_px` along their shorter side."""
    height, width = pictures.shape[1:3]
    if short_px >= min(height, width):
        return pictures
    rows, columns = shrunk_size(height, width, short_px)
    down, across = (torch.from_numpy(_shares(old, new)).to(pictures) for old, new in ((height, rows), (width, columns)))
    return torch.einsum("yh,bhwc,xw->byxc", down, pictures, across).contiguous()


def shrink_to_levels(pictures: Tensor, finest_px: int) -> list[Tensor]:
    """The pictures at `finest_px` along their shorter side and at every half down to 16 px."""
    return [shrink_batch(pictures, size) for size in pyramid_sizes(pictures.shape[1], pictures.shape[2], finest_px)]


def _shares(old: int, new: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """(new, old) share of each old pixel in the mean that becomes a new one."""
    edges = np.arange(new + 1) * old / new
    pixels = np.arange(old)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    shares: np.ndarray[tuple[int, int], np.dtype[np.float32]] = (overlap.clip(0) * new / old).astype(np.float32)
    return shares
