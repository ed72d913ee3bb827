"""The gallery's map of regions: the first are warm, the last are cold, and large ones have numbers."""

import base64
import colorsys
import io
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

_LAST_HUE = 0.66
_LEAST_DEPTH_PX = 7  # distance of a region's deepest point from its edge; with less, a number would be unreadable


def order_map(labels: NDArray[np.uint16], order: Sequence[int], thumbnail_px: int) -> str:
    """A label map in the colours of its painting order, as a base64 WebP.

    Args:
        labels: (H, W) label of each pixel.
        order: all labels, in the order of painting.
        thumbnail_px: longer side of the map, which is never enlarged.
    """
    height, width = labels.shape
    scale = min(1.0, thumbnail_px / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
    picture = np.ascontiguousarray(order_colours(order)[small])
    for place, label in enumerate(order, 1):
        _number(picture, small == label, place)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "WEBP", lossless=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def order_colours(order: Sequence[int]) -> NDArray[np.uint8]:
    """(R, 3) RGB of each label: from red, the first painted, to blue, the last."""
    colours = np.zeros((max(order) + 1, 3), np.uint8)
    for place, label in enumerate(order):
        hue = _LAST_HUE * place / max(1, len(order) - 1)
        colours[label] = np.multiply(colorsys.hsv_to_rgb(hue, 0.6, 0.95), 255)
    return colours


def _number(picture: NDArray[np.uint8], mask: NDArray[np.bool_], number: int) -> None:
    """Write a number at the deepest point of a region."""
    _, depth, _, (x, y) = cv2.minMaxLoc(cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 3))
    if depth < _LEAST_DEPTH_PX:
        return
    text = str(number)
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.35, 1)
    place = (int(x - 1 - width / 2), int(y - 1 + height / 2))
    cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.35, (20, 20, 20), 1, cv2.LINE_AA)
