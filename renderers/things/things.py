"""The objects of a picture."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from renderers.things.contours import softened


@dataclass(frozen=True, kw_only=True)
class Things:
    """The objects of a picture, K of them, numbered from 0.

    Attributes:
        labels: (H, W) uint16 at the canvas's own resolution, which thing each pixel shows.
        saliency: (K,) float32 in [0, 1], how much each one draws the eye, the most salient being 1.
        areas_px: (K,) int64.
        detail: (K,) float32, mean strength of the edges inside each one, in units of CIE Lab a pixel at 256 px.
        depth_rank: (K,) int64, a permutation; 0 is the farthest.
        names: what captions may call them.
    """

    labels: NDArray[np.uint16]
    saliency: NDArray[np.float32]
    areas_px: NDArray[np.int64]
    detail: NDArray[np.float32]
    depth_rank: NDArray[np.int64]
    names: tuple[str, ...]

    def coverages(self, height: int, width: int) -> list[NDArray[np.float32]]:
        """For each thing, (height, width) share of each pixel that it covers, on a canvas that is no larger.

        All are in [0, 1], and over all things they add up to 1.
        """
        claims = [
            np.asarray(cv2.resize(softened(self.labels, label), (width, height), interpolation=cv2.INTER_AREA))
            for label in range(len(self.names))
        ]
        total = np.sum(claims, axis=0)
        return [claim / total for claim in claims]
