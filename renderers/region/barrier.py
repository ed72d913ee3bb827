"""Minimum barrier distance: how much a grey level must vary along the best path from a pixel to the border.

After Zhang, Sclaroff, Lin, Shen, Price and Mech: Minimum Barrier Salient Object Detection at 80 FPS, ICCV 2015: the
transform is approximated by a few raster scans, alternately from the top left and from the bottom right.
"""

import numpy as np
from numpy.typing import NDArray

from renderers.raster.jit import kernel, part

_FAR = np.float32(1e9)
_ZERO = np.float32(0)


def barrier_distance(level: NDArray[np.float32], num_scans: int = 3) -> NDArray[np.float32]:
    """Minimum barrier distance of every pixel from the border.

    Args:
        level: (H, W) float32, each side at least 2.
        num_scans: raster scans, 1 or more; three are close to the limit (section 3.2).

    Returns:
        (H, W) float32, 0 on the border.
    """
    highest, lowest = level.copy(), level.copy()
    distance = np.full(level.shape, _FAR, np.float32)
    distance[[0, -1]] = 0
    distance[:, [0, -1]] = 0
    _scan(level, highest, lowest, distance, num_scans)
    return distance


@kernel
def _scan(
    level: NDArray[np.float32], highest: NDArray[np.float32], lowest: NDArray[np.float32],
    distance: NDArray[np.float32], num_scans: int,
) -> None:  # fmt: skip
    """Relax along paths through the pixels above and before, or below and after, that were scanned already."""
    height, width = level.shape
    for scan in range(num_scans):
        for i in range(1, height - 1):
            for j in range(1, width - 1):
                if scan % 2 == 0:
                    _relax(i, j, i - 1, j, level, highest, lowest, distance)
                    _relax(i, j, i, j - 1, level, highest, lowest, distance)
                else:
                    y, x = height - 1 - i, width - 1 - j
                    _relax(y, x, y + 1, x, level, highest, lowest, distance)
                    _relax(y, x, y, x + 1, level, highest, lowest, distance)


@part
def _relax(
    y: int, x: int, from_y: int, from_x: int, level: NDArray[np.float32], highest: NDArray[np.float32],
    lowest: NDArray[np.float32], distance: NDArray[np.float32],
) -> None:  # fmt: skip
    """Go on along the path of a neighbour where that is a lower barrier."""
    high = max(highest[from_y, from_x], level[y, x])
    low = min(lowest[from_y, from_x], level[y, x])
    if high - low < distance[y, x]:
        distance[y, x] = high - low
        highest[y, x] = high
        lowest[y, x] = low
