"""When a wash reaches each pixel of a region: from its core, fast along its skeleton, to its edges last."""

import cv2
import numpy as np
from numpy.typing import NDArray

from renderers.raster.jit import kernel, part
from renderers.region.graph import Labels

_FAR = np.float32(1e9)
_SCANS = 8


def arrival(labels: Labels) -> NDArray[np.float32]:
    """When each pixel is reached, as a share of its region's time.

    The wash flows from the deepest point of each connected piece, at a speed that grows with the distance from the
    edge: along the middle of a shape first, then outward (an eikonal equation, solved by sweeps in alternating
    directions; Zhao: A Fast Sweeping Method for Eikonal Equations, 2005). Times are then spread evenly over the pixels
    of a region, so that equal times wash equal areas.

    Args:
        labels: (H, W) numbered without gaps.

    Returns:
        (H, W) float32 in (0, 1].
    """
    from skimage.measure import label as connected

    pieces = connected(labels, connectivity=1, background=-1).astype(np.int32) - 1
    depth = edge_distance(labels)
    times = np.full(labels.shape, _FAR, np.float32)
    times.ravel()[_deepest(pieces, depth)] = 0
    _sweep(pieces, (1 / (1 + depth)).astype(np.float32), times, _SCANS)
    ends = np.zeros(int(pieces.max()) + 1, np.float32)
    np.maximum.at(ends, pieces.ravel(), np.where(times < _FAR, times, 0).ravel())
    share = np.minimum(times / np.maximum(ends[pieces], 1e-6), 1.0).ravel()
    order = np.lexsort((share, labels.ravel()))
    counts = np.bincount(labels.ravel())
    before = np.cumsum(counts) - counts
    grouped = labels.ravel()[order]
    even = np.empty(labels.size, np.float32)
    even[order] = (np.arange(labels.size) - before[grouped] + 1) / counts[grouped]
    return even.reshape(labels.shape)


def edge_distance(labels: Labels) -> NDArray[np.float32]:
    """Pixels from each pixel to the nearest that is not of its region, the canvas ending there too; (H, W) float32."""
    inside = np.zeros((labels.shape[0] + 2, labels.shape[1] + 2), np.uint8)
    padded = np.pad(labels, 1, constant_values=-1)
    centre = padded[1:-1, 1:-1]
    inside[1:-1, 1:-1] = (
        (centre == padded[:-2, 1:-1]) & (centre == padded[2:, 1:-1])
        & (centre == padded[1:-1, :-2]) & (centre == padded[1:-1, 2:])
    )  # fmt: skip
    distance: NDArray[np.float32] = cv2.distanceTransform(inside, cv2.DIST_L2, 3)[1:-1, 1:-1]
    return distance


def _deepest(pieces: Labels, depth: NDArray[np.float32]) -> NDArray[np.int64]:
    """Flat index of the deepest pixel of each piece, the first of equals."""
    order = np.lexsort((-depth.ravel(), pieces.ravel()))
    counts = np.bincount(pieces.ravel())
    firsts: NDArray[np.int64] = order[np.cumsum(counts) - counts]
    return firsts


@kernel
def _sweep(pieces: Labels, cost: NDArray[np.float32], times: NDArray[np.float32], num_scans: int) -> None:
    """Let times flow to neighbours of the same piece, from the top left and from the bottom right in turns."""
    height, width = pieces.shape
    for scan in range(num_scans):
        for i in range(height):
            for j in range(width):
                if scan % 2 == 0:
                    _flow(i, j, i - 1, j, 1.0, pieces, cost, times)
                    _flow(i, j, i, j - 1, 1.0, pieces, cost, times)
                    _flow(i, j, i - 1, j - 1, 1.41421356, pieces, cost, times)
                    _flow(i, j, i - 1, j + 1, 1.41421356, pieces, cost, times)
                else:
                    y, x = height - 1 - i, width - 1 - j
                    _flow(y, x, y + 1, x, 1.0, pieces, cost, times)
                    _flow(y, x, y, x + 1, 1.0, pieces, cost, times)
                    _flow(y, x, y + 1, x + 1, 1.41421356, pieces, cost, times)
                    _flow(y, x, y + 1, x - 1, 1.41421356, pieces, cost, times)


@part
def _flow(
    y: int, x: int, from_y: int, from_x: int, step: float, pieces: Labels, cost: NDArray[np.float32],
    times: NDArray[np.float32],
) -> None:  # fmt: skip
    if 0 <= from_y < pieces.shape[0] and 0 <= from_x < pieces.shape[1] and pieces[from_y, from_x] == pieces[y, x]:
        reached = times[from_y, from_x] + np.float32(step) * cost[y, x]
        if reached < times[y, x]:
            times[y, x] = reached
