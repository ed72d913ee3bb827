"""When a wash reaches each pixel of a region: from its core, fast along its skeleton, to its edges last."""

import cv2
import numpy as np
from numpy.typing import NDArray

from renderers.raster.jit import kernel, part
from renderers.things.graph import Labels

_FAR = np.float32(1e9)
_DIAGONAL = np.float32(1.41421356)
_ONE = np.float32(1)
_1 = np.uint64(1)
_SCANS = 4
_WORKING_PX = 256


def arrival(labels: Labels) -> NDArray[np.float32]:
    """When each pixel is reached, as a share of its region's time.

    The wash flows from the deepest point of each connected piece, at a speed that grows with the distance from the
    edge: along the middle of a shape first, then outward (an eikonal equation, solved by sweeps in alternating
    directions; Zhao: A Fast Sweeping Method for Eikonal Equations, 2005). Times are then spread evenly over the pixels
    of a region, so that equal times wash equal areas. This works on no more than 256 px along the shorter side.

    Args:
        labels: (H, W).

    Returns:
        (H, W) float32 in [0, 1].
    """
    height, width = labels.shape
    scale = _WORKING_PX / min(height, width)
    if scale >= 1:
        return _arrival(labels)
    small = (round(width * scale), round(height * scale))
    times = _arrival(cv2.resize(labels, small, interpolation=cv2.INTER_NEAREST))
    enlarged: NDArray[np.float32] = cv2.resize(times, (width, height), interpolation=cv2.INTER_LINEAR)
    return enlarged


def _arrival(labels: Labels) -> NDArray[np.float32]:
    from skimage.measure import label as connected

    pieces = connected(labels, connectivity=1, background=-1).astype(np.int32) - 1
    depth = edge_distance(labels)
    times = np.full(labels.shape, _FAR, np.float32)
    times.ravel()[_deepest(pieces, depth)] = 0
    framed = np.pad(times, 1, constant_values=_FAR)
    cost = np.pad((1 / (1 + depth)).astype(np.float32), 1)
    _sweep(
        np.pad(pieces, 1, constant_values=-1).ravel(), cost.ravel(), framed.ravel(), np.uint64(framed.shape[1]), _SCANS
    )
    times = framed[1:-1, 1:-1]
    ends = np.zeros(int(pieces.max()) + 1, np.float32)
    np.maximum.at(ends, pieces.ravel(), np.where(times < _FAR, times, 0).ravel())
    share = np.minimum(times / np.maximum(ends[pieces], 1e-6), 1.0)
    order = np.argsort(labels + 0.999 * share.astype(np.float64), axis=None, kind="stable")
    counts = np.bincount(labels.ravel())
    before = np.cumsum(counts) - counts
    grouped = labels.ravel()[order]
    even = np.empty(labels.size, np.float32)
    even[order] = (np.arange(labels.size) - before[grouped] + 1) / counts[grouped]
    return even.reshape(labels.shape)


def edge_distance(labels: Labels) -> NDArray[np.float32]:
    """(H, W) float32 distance in pixels to the nearest pixel outside the region; all beyond the canvas is outside."""
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
    order = np.argsort(pieces - depth / (1.0 + depth), axis=None, kind="stable")
    counts = np.bincount(pieces.ravel())
    firsts: NDArray[np.int64] = order[np.cumsum(counts) - counts]
    return firsts


@kernel
def _sweep(
    pieces: NDArray[np.int32], cost: NDArray[np.float32], times: NDArray[np.float32], row: np.uint64, num_scans: int
) -> None:
    """Let times flow to neighbours of the same piece, alternately from the top left and from the bottom right.

    Args:
        pieces, cost, times: flat, with a frame of one pixel around them; times are written.
        row: pixels in a row, frame included.
    """
    size = np.uint64(times.size)
    for scan in range(num_scans):
        if scan % 2 == 0:
            for i in range(row + _1, size - row - _1):
                at = np.uint64(i)
                _flow(at, at - row, _ONE, pieces, cost, times)
                _flow(at, at - _1, _ONE, pieces, cost, times)
                _flow(at, at - row - _1, _DIAGONAL, pieces, cost, times)
                _flow(at, at - row + _1, _DIAGONAL, pieces, cost, times)
        else:
            for i in range(row + _1, size - row - _1):
                at = size - _1 - np.uint64(i)
                _flow(at, at + row, _ONE, pieces, cost, times)
                _flow(at, at + _1, _ONE, pieces, cost, times)
                _flow(at, at + row + _1, _DIAGONAL, pieces, cost, times)
                _flow(at, at + row - _1, _DIAGONAL, pieces, cost, times)


@part
def _flow(
    at: np.uint64, source: np.uint64, step: np.float32, pieces: NDArray[np.int32], cost: NDArray[np.float32],
    times: NDArray[np.float32],
) -> None:  # fmt: skip
    reached = times[source] + step * cost[at]
    if pieces[source] == pieces[at] and reached < times[at]:
        times[at] = reached
