"""The masses of an object: its lights, its darks and its large changes of colour, which are blocked in one by one."""

import cv2
import numpy as np
from numpy.typing import NDArray

from renderers.painting import Image

_UNLIKE = 0.075  # standard deviation of colour in a mass, above which it is divided
_SEEN_FROM_AFAR = 0.035  # blur, in units of the shorter side: a mass is what half-closed eyes see
_EVEN = 0.02  # blur of the borders between masses
_BLUR_PX = 2.0  # blur of the copy on which masses are found
_LEAST = 0.12  # of the object: smaller masses are left to later strokes


def masses_of(goal: Image, inside: NDArray[np.bool_], most: int, unit_px: float) -> list[NDArray[np.bool_]]:
    """Divide an object into at most `most` masses, the darkest first (in amounts: the lightest).

    The mass whose colours differ most is divided at its mean along the direction in which they differ, until all are
    even enough.

    Args:
        goal: (h, w, 3) the object; outside, its own colours continued.
        inside: (h, w) where it is.
        unit_px: the unit of length in pixels.

    Returns:
        (h, w) disjoint masks that together are the object.
    """
    blur_px = max(0.5, _SEEN_FROM_AFAR * unit_px)
    step = max(1, int(blur_px / _BLUR_PX))  # what is blurred needs fewer pixels
    height, width = inside.shape
    size = max(1, width // step), max(1, height // step)
    blurred = cv2.GaussianBlur(cv2.resize(goal, size, interpolation=cv2.INTER_AREA), (0, 0), blur_px / step)
    masses = [inside]
    small_masses = [_resized(inside, size)]
    whole = float(small_masses[0].sum())
    while len(masses) < most:
        spreads = [_spread(blurred[mass]) * np.sqrt(mass.sum() / whole) if mass.any() else 0.0 for mass in small_masses]
        widest = int(np.argmax(spreads))
        if spreads[widest] < _UNLIKE:
            break
        lighter = _lighter(blurred, small_masses[widest], max(0.5, _EVEN * unit_px / step))
        beyond = cv2.resize(lighter, (width, height), interpolation=cv2.INTER_LINEAR) > 0.0
        halves = masses[widest] & beyond, masses[widest] & ~beyond
        if min(half.sum() for half in halves) < _LEAST * inside.sum():
            break
        masses[widest : widest + 1] = halves
        small_masses[widest : widest + 1] = [_resized(half, size) for half in halves]
    return [masses[place] for place in np.argsort([_tone(blurred, mass) for mass in small_masses], kind="stable")]


def _resized(mass: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    small: NDArray[np.bool_] = cv2.resize(mass.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    return small


def _tone(colours: Image, mass: NDArray[np.bool_]) -> float:
    return float(colours[mass].mean()) if mass.any() else 0.0


def _spread(colours: NDArray[np.float32]) -> float:
    return float(np.sqrt(colours.var(0).sum()))


def _lighter(colours: Image, mass: NDArray[np.bool_], blur_px: float) -> NDArray[np.float32]:
    """(h, w) above 0 where a mass is beyond its mean colour along the first principal axis; borders are smooth."""
    offsets = colours[mass] - colours[mass].mean(0)
    axis = np.linalg.eigh(offsets.T @ offsets)[1][:, -1]
    axis *= np.sign(axis.sum()) or 1.0  # the first half is the lighter one, whatever sign the axis has
    beyond = np.zeros(mass.shape, np.float32)
    beyond[mass] = np.sign(offsets @ axis)
    smooth: NDArray[np.float32] = cv2.GaussianBlur(beyond, (0, 0), blur_px)
    return smooth
