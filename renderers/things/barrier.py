"""Minimum barrier distance: how much a grey level must vary along the best path from a pixel to the border.

After Zhang, Sclaroff, Lin, Shen, Price and Mech: Minimum Barrier Salient Object Detection at 80 FPS, ICCV 2015: the
transform is approximated by a few raster scans, alternately from the top left and from the bottom right.
"""

import numpy as np
from numpy.typing import NDArray

from renderers.raster.jit import kernel, part

_FAR = np.float32(1e9)
_1 = np.uint64(1)


def barrier_distance(level: NDArray[np.float32], num_scans: int = 3) -> NDArray[np.float32]:
    """Minimum barrier distance of every pixel from the border.

    Args:
        level: (H, W) float32, each side at least 2.
        num_scans: raster scans, 1 or more; three are close to the limit (section 3.2).

    Returns:
        (H, W) float32, 0 on the border.
    """
    distance = np.full(level.shape, _FAR, np.float32)
    distance[[0, -1]] = 0
    distance[:, [0, -1]] = 0
    flat = np.ascontiguousarray(level, np.float32).ravel()
    height, width = (np.uint64(side) for side in level.shape)
    _scan(flat, flat.copy(), flat.copy(), distance.ravel(), height, width, num_scans)
    return distance


@kernel
def _scan(
    level: NDArray[np.float32], highest: NDArray[np.float32], lowest: NDArray[np.float32],
    distance: NDArray[np.float32], height: np.uint64, width: np.uint64, num_scans: int,
) -> None:  # fmt: skip
    """Relax along paths through the pixels above and before, or below and after, that were scanned already."""
    last = height * width - _1
    for scan in range(num_scans):
        for i in range(1, height - _1):
            for j in range(1, width - _1):
                at = np.uint64(i) * width + np.uint64(j)
                if scan % 2 == 0:
                    _relax(at, at - width, level, highest, lowest, distance)
                    _relax(at, at - _1, level, highest, lowest, distance)
                else:
                    _relax(last - at, last - at + width, level, highest, lowest, distance)
                    _relax(last - at, last - at + _1, level, highest, lowest, distance)


@part
def _relax(
    at: np.uint64, source: np.uint64, level: NDArray[np.float32], highest: NDArray[np.float32],
    lowest: NDArray[np.float32], distance: NDArray[np.float32],
) -> None:  # fmt: skip
    """Continue the path of a neighbour to a pixel where that gives it a lower barrier."""
    high, low = max(highest[source], level[at]), min(lowest[source], level[at])
    if high - low < distance[at]:
        distance[at] = high - low
        highest[at] = high
        lowest[at] = low
