"""A measure for tests of style: how close a painting is to the style of a picture, without a network."""

import cv2
import numpy as np
from numpy.typing import NDArray

from renderers.painting import Image

_PATCH_PX = 5
_NUM_PATCHES = 4096
_NUM_DIRECTIONS = 64
_NUM_LEVELS = 4
_BAND_FLOOR = 0.01  # contrast that even an empty band of the style is credited with


def texture_distance(image: Image, style: Image, rng: np.random.Generator) -> float:
    """How far the texture and colours of a painting are from those of a style picture, without a network.

    Sliced Wasserstein distance (Rabin et al. 2012) between the 5 x 5 patches of each level of a Laplacian pyramid
    (Burt & Adelson 1983), the last level being the low-pass rest: the loss of Heitz et al. 2021 with patches in place
    of network features, as Karras et al. 2018 score images. Each level is divided by the contrast that the style has
    there, so that fine texture counts as much as composition. Patches are compared pixel by pixel: bring both pictures
    to the scale at which their strokes should match, for example the same shorter side.

    Args:
        image: (H, W, 3) RGB in [0, 1].
        style: (h, w, 3) RGB in [0, 1], any size.
        rng: draws patches and directions. With the same state, a picture is at 0 from itself.

    Returns:
        From 0. Measured: 0.04 for a picture resampled, 0.1 to 0.2 for two halves of one painting, 0.15 (the same
        painter) to 0.5 for another picture, 1 for noise.

    Raises:
        ValueError: if a picture is smaller than 5 x 5 pixels.
    """
    smallest = min(*image.shape[:2], *style.shape[:2])
    if smallest < _PATCH_PX:
        raise ValueError(f"a picture of {smallest} px: smaller than a patch of {_PATCH_PX} px")
    num_levels = min(_NUM_LEVELS, int(np.log2(smallest / _PATCH_PX)))
    directions = rng.normal(size=(_PATCH_PX**2 * 3, _NUM_DIRECTIONS)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=0)
    total = 0.0
    for painted_band, style_band in zip(_pyramid(image, num_levels), _pyramid(style, num_levels), strict=True):
        places = rng.random((2, _NUM_PATCHES))
        painted = np.sort(_patches(painted_band, places) @ directions, axis=0)
        wanted = np.sort(_patches(style_band, places) @ directions, axis=0)
        contrast = float(style_band.std(axis=(0, 1)).mean())
        total += float(np.abs(painted - wanted).mean()) / (contrast + _BAND_FLOOR)
    return total / (num_levels + 1)


def _pyramid(picture: Image, num_levels: int) -> list[Image]:
    """Laplacian pyramid: that many bands, the finest first, and the rest."""
    bands, rest = [], np.ascontiguousarray(picture, np.float32)
    for _ in range(num_levels):
        coarse = np.asarray(cv2.pyrDown(rest), np.float32)
        bands.append(rest - np.asarray(cv2.pyrUp(coarse, dstsize=(rest.shape[1], rest.shape[0])), np.float32))
        rest = coarse
    return [*bands, rest]


def _patches(band: Image, places: NDArray[np.float64]) -> NDArray[np.float32]:
    """(N, 75) patches at (2, N) places, which are shares of the room there is."""
    room = np.array([[band.shape[0] - _PATCH_PX + 1], [band.shape[1] - _PATCH_PX + 1]])
    rows, columns = (places * room).astype(np.int64)
    windows = np.lib.stride_tricks.sliding_window_view(band, (_PATCH_PX, _PATCH_PX), axis=(0, 1))
    return np.asarray(windows[rows, columns], np.float32).reshape(places.shape[1], -1)
