"""Blends layers as W3C's Compositing and Blending Level 1 defines it, on sRGB values.

https://www.w3.org/TR/compositing-1/ sections 5 and 9. A canvas is (H, W, 4) float32, its colours multiplied with alpha.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

ERASE = "erase"


def clear(height: int, width: int) -> Floats:
    """A canvas with nothing on it."""
    return np.zeros((height, width, 4), np.float32)


def blended(canvas: Floats, rgba: Floats, left: int, top: int, mode: str, opacity: float) -> Floats:
    """A new canvas with a layer laid on.

    Args:
        canvas: the canvas below the layer.
        rgba: (h, w, 4) layer with straight alpha, in [0, 1].
        left, top: position of the layer in pixels; parts beside the canvas are cut off.
        mode: a key of `MODES`, or `ERASE`.
        opacity: 0 to 1.
    """
    height, width = canvas.shape[:2]
    top_on, left_on = max(top, 0), max(left, 0)
    bottom_on, right_on = min(top + rgba.shape[0], height), min(left + rgba.shape[1], width)
    result = canvas.copy()
    if top_on >= bottom_on or left_on >= right_on:
        return result
    layer = rgba[top_on - top : bottom_on - top, left_on - left : right_on - left]
    below = result[top_on:bottom_on, left_on:right_on]
    alpha = layer[..., 3:] * np.float32(opacity)
    if mode == ERASE:
        below *= 1 - alpha
        return result
    colour = layer[..., :3]
    if mode != "normal":
        below_alpha = below[..., 3:]
        below_colour: Floats = np.clip(below[..., :3] / np.maximum(below_alpha, np.float32(1e-6)), 0, 1)
        mixed = MODES[mode](below_colour, colour).astype(np.float32)
        colour = (1 - below_alpha) * colour + below_alpha * mixed
    below *= 1 - alpha
    below[..., :3] += alpha * colour
    below[..., 3:] += alpha
    return result


def _hard_light(below: Floats, above: Floats) -> Floats:
    return np.where(above <= 0.5, 2 * below * above, 1 - 2 * (1 - below) * (1 - above))


def _soft_light(below: Floats, above: Floats) -> Floats:
    lifted = np.where(below <= 0.25, ((16 * below - 12) * below + 4) * below, np.sqrt(below))
    darker = below - (1 - 2 * above) * below * (1 - below)
    return np.where(above <= 0.5, darker, below + (2 * above - 1) * (lifted - below))


def _dodge(below: Floats, above: Floats) -> Floats:
    return np.where(below <= 0, 0, np.minimum(1, below / np.maximum(1 - above, 1e-6)))


def _burn(below: Floats, above: Floats) -> Floats:
    return np.where(below >= 1, 1, 1 - np.minimum(1, (1 - below) / np.maximum(above, 1e-6)))


MODES: Mapping[str, Callable[[Floats, Floats], Floats]] = {
    "normal": lambda below, above: above,
    "multiply": lambda below, above: below * above,
    "screen": lambda below, above: below + above - below * above,
    "overlay": lambda below, above: _hard_light(above, below),
    "darken": np.minimum,
    "lighten": np.maximum,
    "color-dodge": _dodge,
    "color-burn": _burn,
    "hard-light": _hard_light,
    "soft-light": _soft_light,
    "difference": lambda below, above: np.abs(below - above),
    "exclusion": lambda below, above: below + above - 2 * below * above,
    "add": lambda below, above: np.minimum(1, below + above),
    "subtract": lambda below, above: np.maximum(0, below - above),
    "linear-burn": lambda below, above: np.maximum(0, below + above - 1),
}
"""Name of a mode -> function of the colours below and of the layer's colours that returns the mixed colours."""
