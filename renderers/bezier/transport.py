"""Optimal transport between a canvas and its picture: it draws strokes to places far away that need paint.

Errors pixel by pixel move a stroke only where it already touches what it should paint. Transport moves the canvas's
light as a whole to where the picture has it, and its potential has a slope towards there from anywhere. (Zou et al.,
Stylized Neural Painting, CVPR 2021, section 3.3.)
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from renderers.painting import Image

_Field = NDArray[np.float64]

CELLS = 16  # along the shorter side: only long distances matter here, and the cost grows with the fourth power
_BLUR = 0.1  # how far mass is smeared, in units of the longer side; its square is the entropic regularisation
_ITERATIONS = 100
_FLOOR = 1e-3  # share of the mass that is spread evenly, so that no cell is empty


def transport_pull(canvas: Image, target: Image) -> Image:
    """Gradient, with respect to the canvas, of how far its light is from where the picture has it.

    The debiased Sinkhorn divergence (Feydy et al., AISTATS 2019) of the two pictures' light, each taken as a
    distribution over the cells of a coarse grid, distances squared and in units of the longer side, times the number of
    values in the canvas. Its gradient in the canvas's distribution is the difference of two dual potentials. It is 0
    for a canvas that equals the picture, and for one that is black.

    Args:
        canvas, target: (H, W, 3); what is below 0 counts as 0.

    Returns:
        (H, W, 3) the gradient.
    """
    height, width = canvas.shape[:2]
    scale = min(1.0, CELLS / min(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    light, target_light = (_light(picture, size) for picture in (canvas, target))
    if light.mean() <= 1e-6 or target_light.mean() <= 1e-6:
        return np.zeros_like(canvas)
    have, want = (_distribution(mass) for mass in (light, target_light))
    slope = divergence_slope(have, want, size) * ((1.0 - _FLOOR) / light.mean())
    spread = cv2.resize(slope.reshape(size[::-1]), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.repeat(spread[..., None], 3, axis=-1).astype(np.float32)


def divergence_slope(have: _Field, want: _Field, size: tuple[int, int]) -> _Field:
    """(n,) gradient of the Sinkhorn divergence of two distributions on (width, height) cells, in the first of them."""
    import ot

    costs = grid_costs(size)
    reg = _BLUR**2
    potentials = []
    for other in (want, have):
        _, log = ot.sinkhorn(
            have, other, costs, reg, numItermax=_ITERATIONS, stopThr=1e-7, log=True, warn=False
        )  # fmt: skip
        potentials.append(reg * np.log(log["u"]))
    # Potentials are defined up to a constant; it is chosen so that the slope has mean 0 over the first distribution.
    slope: _Field = potentials[0] - potentials[1]
    return slope - have @ slope


@lru_cache(maxsize=16)
def grid_costs(size: tuple[int, int]) -> _Field:
    """(n, n) squared distances between the cells of a grid of (width, height), in units of its longer side."""
    width, height = size
    rows, columns = np.mgrid[:height, :width].reshape(2, -1) / max(size)
    costs: _Field = (rows[:, None] - rows) ** 2 + (columns[:, None] - columns) ** 2
    return costs


def _light(picture: Image, size: tuple[int, int]) -> _Field:
    small = cv2.resize(np.maximum(picture, 0.0), size, interpolation=cv2.INTER_AREA)
    mass: _Field = np.asarray(small, np.float64).mean(-1).ravel()
    return mass


def _distribution(mass: _Field) -> _Field:
    share: _Field = mass / mass.sum()
    return (1.0 - _FLOOR) * share + _FLOOR / len(share)
