"""Directions for strokes: along edges and grain, from the structure tensor."""

import cv2
import numpy as np

from renderers.bezier.place import Guide
from renderers.painting import Image
from renderers.shrink import shrink

_GUIDE_PX = 128
_LEAST_SPREAD = 0.1  # share of a quarter turn, because no hand is exact


def guide_along(image: Image, scale: float, looseness: float = 1.0) -> Guide:
    """Directions along the picture's structure (Förstner and Gülch, 1987), free where it has none.

    Args:
        image: (H, W, 3) float32 RGB in [0, 1].
        scale: how far directions are averaged, in units of the shorter side.
        looseness: multiplies how far strokes may stray.
    """
    grey = cv2.GaussianBlur(cv2.cvtColor(shrink(image, _GUIDE_PX), cv2.COLOR_RGB2GRAY), (0, 0), 1.0)
    dx, dy = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    sigma = max(0.5, scale * min(grey.shape))
    xx, xy, yy = (cv2.GaussianBlur(product, (0, 0), sigma) for product in (dx * dx, dx * dy, dy * dy))
    angles = 0.5 * np.arctan2(2 * xy, xx - yy) + np.pi / 2
    coherence = np.sqrt((xx - yy) ** 2 + 4 * xy * xy) / (xx + yy + 1e-5)
    spread = np.clip((1.0 - coherence) * looseness, _LEAST_SPREAD, 1.0)
    return Guide(np.ascontiguousarray(angles, np.float32), np.ascontiguousarray(spread, np.float32))
