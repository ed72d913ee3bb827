"""The objects of a picture."""

from dataclasses import dataclass
from functools import cached_property

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

    def coverage(self, label: int) -> NDArray[np.float32]:
        """(H, W) share of each pixel that a thing covers, in [0, 1]; over all things the shares add up to 1."""
        share: NDArray[np.float32] = softened(self.labels, label) / self._claims
        return share

    @cached_property
    def _claims(self) -> NDArray[np.float32]:
        claims = np.zeros(self.labels.shape, np.float32)
        for label in range(len(self.names)):
            claims += softened(self.labels, label)
        return claims
