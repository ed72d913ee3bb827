"""The masses of an object: its lights, its darks and its large changes of colour, which are blocked in one by one."""

import cv2
import numpy as np
from numpy.typing import NDArray

from renderers.painting import Image

_UNLIKE = 0.075  # standard deviation of colour in a mass, above which it is two
_SEEN_FROM_AFAR = 0.035  # blur, in units of the shorter side: a mass is what half-closed eyes see
_EVEN = 0.02  # blur of the borders between masses
_LEAST = 0.12  # of the object: smaller masses are left to later strokes


def masses_of(goal: Image, inside: NDArray[np.bool_], most: int, unit_px: float) -> list[NDArray[np.bool_]]:
    """Divide an object into at most so many masses, the darkest first (of amounts: the lightest).

    The mass whose colours differ most is divided at its mean along the direction in which they differ, until all are
    even enough.

    Args:
        goal: (h, w, 3) the object; outside, its own colours continued.
        inside: (h, w) where it is.
        unit_px: the unit of length in pixels.

    Returns:
        (h, w) masks that do not meet and together are the object.
    """
    blurred = cv2.GaussianBlur(goal, (0, 0), max(0.5, _SEEN_FROM_AFAR * unit_px))
    masses = [inside]
    while len(masses) < most:
        widths = [_spread(blurred[mass]) * np.sqrt(mass.sum() / inside.sum()) for mass in masses]
        widest = int(np.argmax(widths))
        if widths[widest] < _UNLIKE:
            break
        one = _one_half(blurred, masses[widest], max(0.5, _EVEN * unit_px))
        halves = one, masses[widest] & ~one
        if min(half.sum() for half in halves) < _LEAST * inside.sum():
            break
        masses[widest : widest + 1] = halves
    return sorted(masses, key=lambda mass: float(blurred[mass].mean()))


def _spread(colours: NDArray[np.float32]) -> float:
    return float(np.sqrt(colours.var(0).sum()))


def _one_half(colours: Image, mass: NDArray[np.bool_], blur_px: float) -> NDArray[np.bool_]:
    """What of a mass lies beyond its mean colour, along the first principal axis; borders are smooth."""
    away = colours[mass] - colours[mass].mean(0)
    axis = np.linalg.eigh(away.T @ away)[1][:, -1]
    axis *= np.sign(axis.sum()) or 1.0  # the first half is the lighter one, whatever sign the axis has
    beyond = np.zeros(mass.shape, np.float32)
    beyond[mass] = np.sign(away @ axis)
    smooth: NDArray[np.bool_] = mass & (cv2.GaussianBlur(beyond, (0, 0), blur_px) > 0.0)
    return smooth
