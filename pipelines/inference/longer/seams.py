"""How well the pieces of a long process join."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from renderers.distance import step_distances

_SHORTEST_STEP = 1e-3  # in units of the distance from blank to finished; shorter steps count as this long


@dataclass(frozen=True)
class Seams:
    """Lengths of the steps at seams, relative to the median of all steps.

    Attributes:
        num: number of seams.
        max_ratio, mean_ratio: of the steps into and out of seams; 0 without seams.
    """

    num: int
    max_ratio: float
    mean_ratio: float


def measure_seams(frames: NDArray[np.uint8], seams: Sequence[int]) -> Seams:
    """Measure the steps at seams by the distance of `renderers.distance`.

    Args:
        frames: (T, H, W, 3), T at least 2.
        seams: frames at which pieces meet, other than the first and the last.
    """
    pictures = [frame / np.float32(255) for frame in frames]
    steps = np.maximum(step_distances(pictures, pictures[0], pictures[-1]), _SHORTEST_STEP)
    seam_steps = sorted({step for seam in seams for step in (seam - 1, seam)})
    ratios = steps[seam_steps] / np.median(steps) if seam_steps else np.zeros(1)
    return Seams(len(seams), round(float(ratios.max()), 4), round(float(ratios.mean()), 4))
