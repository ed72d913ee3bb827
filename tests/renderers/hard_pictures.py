"""Pictures in which it is hard to find things, made from formulas."""

from collections.abc import Callable

import cv2
import numpy as np

from renderers.painting import Image
from tests.renderers.pictures import landscape, plain


def uniform() -> Image:
    """One colour all over."""
    return plain(96, 96, (0.4, 0.5, 0.6))


def noise() -> Image:
    """One colour, with grain."""
    grain = np.random.default_rng(0).normal(0, 0.02, (96, 96, 3)).astype(np.float32)
    return uniform() + grain


def filling() -> Image:
    """One object that fills the canvas: a softly lit wall."""
    y, x = np.mgrid[:96, :96] / np.float32(96)
    light = 0.8 + 0.2 * np.cos(2 * (x - 0.3)) * np.cos(2 * (y - 0.4))
    wall: Image = (light[..., None] * np.array([0.7, 0.5, 0.3])).astype(np.float32)
    return wall


def specks() -> Image:
    """Hundreds of specks of all colours."""
    rng = np.random.default_rng(1)
    image = plain(160, 160, (0.9, 0.9, 0.9))
    for x, y in rng.integers(2, 158, (300, 2)).tolist():
        cv2.circle(image, (x, y), 2, tuple(map(float, rng.random(3))), -1)
    return image


def cut_portrait() -> Image:
    """A head with hair and eyes, and shoulders that the frame cuts."""
    image = plain(128, 128, (0.5, 0.6, 0.7))
    cv2.ellipse(image, (64, 140), (60, 45), 0, 0, 360, (0.2, 0.2, 0.5), -1)
    cv2.ellipse(image, (64, 60), (28, 38), 0, 0, 360, (0.9, 0.7, 0.6), -1)
    cv2.ellipse(image, (64, 35), (33, 25), 0, 180, 360, (0.3, 0.15, 0.1), -1)
    for x in (54, 74):
        cv2.circle(image, (x, 58), 3, (0.1, 0.1, 0.1), -1)
    return image


def line_art() -> Image:
    """Black outlines on white."""
    image = plain(128, 128, (1.0, 1.0, 1.0))
    cv2.ellipse(image, (64, 55), (30, 40), 0, 0, 360, (0.0, 0.0, 0.0), 1)
    cv2.line(image, (50, 75), (78, 75), (0.0, 0.0, 0.0), 1)
    cv2.ellipse(image, (64, 130), (50, 35), 0, 180, 360, (0.0, 0.0, 0.0), 1)
    return image


def text() -> Image:
    """A page of black text."""
    page = np.full((128, 160, 3), 255, np.uint8)
    for row in range(7):
        cv2.putText(page, "quick brown fox", (4, 16 + 17 * row), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1)
    return (page / np.float32(255)).astype(np.float32)


def checkerboard() -> Image:
    """Black and white squares."""
    y, x = np.mgrid[:96, :96] // 12
    return np.repeat(((x + y) % 2).astype(np.float32)[..., None], 3, axis=2)


HARD: dict[str, Callable[[], Image]] = {
    "uniform": uniform,
    "noise": noise,
    "filling": filling,
    "specks": specks,
    "cut portrait": cut_portrait,
    "line art": line_art,
    "text": text,
    "checkerboard": checkerboard,
    "64 px": lambda: landscape(64, 64),
    "16 px": lambda: landscape(16, 16),
    "panorama": lambda: landscape(64, 256),
    "tower": lambda: landscape(256, 64),
    "one row": lambda: landscape(2, 40),
}
