"""The main colours of a painting, and from which tubes a painter might mix them."""

import math
from dataclasses import dataclass
from functools import cache
from itertools import combinations, product

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.exports.process import Picture

Rgb = tuple[int, int, int]

TUBES: dict[str, tuple[Rgb, float]] = {
    "titanium white": ((248, 248, 244), 1.0),
    "lemon yellow": ((250, 224, 40), 0.4),
    "yellow ochre": ((200, 146, 56), 0.4),
    "cadmium red": ((214, 42, 36), 0.3),
    "alizarin crimson": ((132, 22, 46), 0.15),
    "burnt sienna": ((128, 64, 38), 0.2),
    "ultramarine": ((36, 42, 138), 0.15),
    "phthalo blue": ((10, 60, 122), 0.15),
    "viridian": ((18, 96, 80), 0.15),
    "ivory black": ((36, 34, 34), 0.15),
}
"""Common tubes: the colour (sRGB) of their paint where it covers, and how much it scatters, white being 1.

Rough values of our own: opaque paints scatter much, transparent ones little.
"""

_MOST_PARTS, _MOST_TUBES = 10, 3
_DARKEST = 0.01  # reflectance of a paint: its surface shines
_A_TUBE_MORE = 2.0  # how many dE a mix must be nearer to be worth another tube
_LEAST_SHARE = 0.005


@dataclass(frozen=True, kw_only=True)
class Mix:
    """Parts of tubes.

    Attributes:
        parts: tube -> whole number.
        rgb: what the mix looks like, by the model of Kubelka and Munk.
    """

    parts: dict[str, int]
    rgb: Rgb

    def __str__(self) -> str:
        return " + ".join(f"{count} {tube}" for tube, count in self.parts.items())


@dataclass(frozen=True, kw_only=True)
class Colour:
    """One of the main colours of a painting.

    Attributes:
        share: of the picture, that is nearest to it.
        mix: the nearest that can be mixed.
        distance: of the mix from it, in CIE dE (1976).
    """

    rgb: Rgb
    share: float
    mix: Mix
    distance: float


def palette_of(picture: Picture, count: int) -> list[Colour]:
    """At most `count` main colours of a picture, the most frequent first."""
    indexed = Image.fromarray(picture).quantize(count, Image.Quantize.MEDIANCUT, kmeans=5)
    listed = np.array(indexed.getpalette(), np.uint8).reshape(-1, 3)
    shares = np.bincount(np.asarray(indexed).ravel(), minlength=len(listed)) / indexed.width / indexed.height
    colours = []
    for number in np.argsort(-shares, kind="stable")[:count]:
        if shares[number] >= _LEAST_SHARE:
            red, green, blue = (int(value) for value in listed[number])
            mix, distance = mix_of((red, green, blue))
            colours.append(Colour(rgb=(red, green, blue), share=float(shares[number]), mix=mix, distance=distance))
    return colours


def nearest_colours(picture: Picture, changed: NDArray[np.bool_], colours: list[Colour]) -> list[int]:
    """Which colours make up a twentieth or more of the changed pixels, by their numbers in the list."""
    pixels = _lab(picture[changed])
    palette = _lab(np.array([colour.rgb for colour in colours], np.uint8))
    nearest = np.argmin(np.linalg.norm(pixels[:, None] - palette[None], axis=2), axis=1)
    shares = np.bincount(nearest, minlength=len(colours)) / max(1, len(nearest))
    return [number for number, share in enumerate(shares) if share >= 0.05]


def mix_of(rgb: Rgb) -> tuple[Mix, float]:
    """The mix of up to 3 tubes and 10 parts that looks most like a colour, and how far it is from it in dE."""
    recipes, mixed_rgb, mixed_lab = _mixes()
    distances = np.linalg.norm(mixed_lab - _lab(np.array([rgb], np.uint8)), axis=1)
    tubes = np.count_nonzero(recipes, axis=1)
    best = int(np.argmin(distances + _A_TUBE_MORE * tubes))
    parts = {name: int(count) for name, count in zip(TUBES, recipes[best], strict=True) if count}
    red, green, blue = (int(value) for value in mixed_rgb[best])
    ordered = dict(sorted(parts.items(), key=lambda part: -part[1]))
    return Mix(parts=ordered, rgb=(red, green, blue)), float(distances[best])


@cache
def _mixes() -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.float32]]:
    """(M, tubes) parts of every mix, (M, 3) its sRGB and its Lab.

    Kubelka and Munk (1931), a channel at a time: a paint that reflects R absorbs K = S (1 - R)^2 / 2R where it scatters
    S, and both K and S of a mix are the means of its parts.
    """
    recipes: set[tuple[int, ...]] = set()
    for chosen in combinations(range(len(TUBES)), _MOST_TUBES):
        for counts in product(range(_MOST_PARTS + 1), repeat=_MOST_TUBES):
            if sum(counts) <= _MOST_PARTS and math.gcd(*counts) == 1:
                recipe = [0] * len(TUBES)
                for tube, count in zip(chosen, counts, strict=True):
                    recipe[tube] = count
                recipes.add(tuple(recipe))
    parts = np.array(sorted(recipes))
    reflectance = np.maximum(_light(np.array([rgb for rgb, _ in TUBES.values()]) / 255), _DARKEST)
    scattering = np.array([scatters for _, scatters in TUBES.values()])[:, None]
    absorption = scattering * (1 - reflectance) ** 2 / (2 * reflectance)
    mixed = (parts @ absorption) / (parts @ scattering)
    light = 1 + mixed - np.sqrt(mixed**2 + 2 * mixed)
    srgb = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    rgb = np.rint(255 * srgb).astype(np.uint8)
    return parts, rgb, _lab(rgb)


def _light(srgb: NDArray[np.float64]) -> NDArray[np.float64]:
    linear: NDArray[np.float64] = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return linear


def _lab(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, 3) CIE Lab of (n, 3) sRGB."""
    values = (rgb / np.float32(255)).astype(np.float32)[None]
    lab: NDArray[np.float32] = cv2.cvtColor(values, cv2.COLOR_RGB2LAB)[0]
    return lab
