"""The surface that is painted on: a plain toned canvas, or xuan paper."""

import cv2
import numpy as np

from renderers.painting import Image

_CLOUDS, _FIBRES = 0.05, 0.006


def plain(colour: tuple[float, float, float], height: int, width: int) -> Image:
    """A (height, width, 3) canvas of one colour."""
    return np.tile(np.array(colour, np.float32), (height, width, 1))


def xuan(colour: tuple[float, float, float], height: int, width: int) -> Image:
    """A (height, width, 3) sheet of xuan paper: faint clouds of pulp, and fibres; the same sheet for the same size."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(0, spawn_key=(height, width))))
    short = min(height, width)
    grain = rng.standard_normal((2, height, width)).astype(np.float32)
    clouds = cv2.GaussianBlur(grain[0], (0, 0), short / 40)
    fibres = cv2.GaussianBlur(grain[1], (0, 0), sigmaX=max(0.6, short / 160), sigmaY=0.6)
    tone = 1.0 + _CLOUDS * clouds + _FIBRES * fibres
    paper: Image = np.clip(plain(colour, height, width) * tone[..., None], 0.0, 1.0).astype(np.float32)
    return paper
