"""Colours as the eye compares them."""

import cv2
import numpy as np
from numpy.typing import NDArray

from renderers.painting import Image


def lab_of(image: Image) -> NDArray[np.float32]:
    """(H, W, 3) CIE Lab."""
    lab: NDArray[np.float32] = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    return lab
