"""Pictures made of formulas, so that no test needs a file."""

import numpy as np

from renderers.painting import Image


def plain(height: int, width: int, colour: tuple[float, float, float]) -> Image:
    """One colour all over."""
    return np.tile(np.array(colour, np.float32), (height, width, 1))


def landscape(height: int, width: int) -> Image:
    """A graded sky, a sun, rolling hills, a striped house and grass: broad areas, hard edges and fine detail."""
    y, x = np.mgrid[:height, :width] / np.float32(min(height, width)) + np.float32(0.5 / min(height, width))
    right, bottom = np.float32(width / min(height, width)), np.float32(height / min(height, width))
    picture = np.stack([0.35 + 0.5 * y / bottom, 0.55 + 0.3 * y / bottom, 0.95 - 0.25 * y / bottom], -1)
    picture[(x - 0.75 * right) ** 2 + (y - 0.22 * bottom) ** 2 < 0.11**2] = (1.0, 0.9, 0.4)
    hills = y > bottom * (0.62 + 0.09 * np.sin(5 * x) + 0.03 * np.sin(13 * x + 1))
    grass = 0.5 + 0.25 * np.sin(70 * x) * np.sin(45 * y)
    picture[hills] = np.stack([0.2 + 0.2 * grass, 0.35 + 0.4 * grass, 0.15 + 0.1 * y / bottom], -1)[hills]
    house = (abs(x - 0.32 * right) < 0.14) & (abs(y - 0.66 * bottom) < 0.12)
    picture[house] = np.where(np.sin(60 * y) > 0, 1.0, 0.75)[..., None][house] * np.array([0.75, 0.35, 0.25])
    roof = (y > 0.42 * bottom) & (y < 0.54 * bottom) & (abs(x - 0.32 * right) < 0.2 * (y / bottom - 0.42) / 0.12)
    picture[roof] = (0.3, 0.12, 0.15)
    picture[(abs(x - 0.32 * right) < 0.035) & (abs(y - 0.7 * bottom) < 0.07)] = (0.1, 0.1, 0.2)
    return picture.astype(np.float32).clip(0, 1)
