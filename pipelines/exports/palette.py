"""The main colours of a painting, and from which tubes a painter might mix them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, permutations, product

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
_TINTED = (12, 15, 20, 30, 40, 60)  # parts of one tube to a touch of others: strong tubes tint far more than white
_TOUCHES = ((1, 0), (1, 1), (1, 2), (2, 1), (1, 3), (3, 1))  # parts of one or two tubes in a tint
_DARKEST = 0.01  # reflectance of a paint: its surface shines
_A_TUBE_MORE = 2.0  # how many dE a mix must be nearer to be worth another tube
_LEAST_SHARE = 0.005
_CLUSTERS_A_COLOUR = 2
_ALIKE = 6.0  # dE of colours that are listed as one
_NEAR = 12.0  # dE of the farthest pixel that a colour of the palette stands for
_SEEN = 2.3  # dE of a difference that people just notice
_LEAST_OF_STEP, _OWN_COLOURS = 0.05, 3  # share of a step's pixels; colours that are the step's alone
_MOST_PIXELS = 50_000  # that are looked at


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
        if sum(self.parts.values()) <= _MOST_PARTS:
            return " + ".join(f"{count} {tube}" for tube, count in self.parts.items())
        tinted, *touches = self.parts
        return f"{tinted} with a touch of {' and '.join(touches)} ({' : '.join(map(str, self.parts.values()))})"


@dataclass(frozen=True, kw_only=True)
class Colour:
    """One of the main colours of a painting.

    Attributes:
        share: of the picture.
        mix: the nearest that can be mixed.
        distance: of the mix from it, in CIE dE (1976).
    """

    rgb: Rgb
    share: float
    mix: Mix
    distance: float


def palette_of(picture: Picture, count: int) -> list[Colour]:
    """At most `count` main colours of a picture, the most frequent first; those that look alike are one."""
    colours = []
    for rgb, share in _main_colours(picture, count):
        if share >= _LEAST_SHARE:
            mix, distance = mix_of(rgb)
            colours.append(Colour(rgb=rgb, share=share, mix=mix, distance=distance))
    return colours


def _main_colours(picture: Picture, count: int) -> list[tuple[Rgb, float]]:
    """Colours and their shares, the most frequent first: of more clusters than are listed the nearest are merged.

    The colour of merged clusters is that of the more frequent one, which the picture has.
    """
    every = math.ceil(math.sqrt(picture[..., 0].size / _MOST_PIXELS))
    indexed = Image.fromarray(picture[::every, ::every]).quantize(
        _CLUSTERS_A_COLOUR * count, Image.Quantize.MEDIANCUT, kmeans=5
    )
    listed = np.array(indexed.getpalette(), np.uint8).reshape(-1, 3)
    shares = np.bincount(np.asarray(indexed).ravel(), minlength=len(listed)) / indexed.width / indexed.height
    order = np.argsort(-shares, kind="stable")
    clusters = [int(number) for number in order if shares[number] > 0]
    lab = _lab(listed)
    while len(clusters) > 1:
        apart = np.linalg.norm(lab[clusters][:, None] - lab[clusters][None], axis=2) + np.diag([np.inf] * len(clusters))
        more, less = sorted(divmod(int(apart.argmin()), len(clusters)))
        if len(clusters) <= count and apart.min() >= _ALIKE:
            break
        shares[clusters[more]] += shares[clusters[less]]
        del clusters[less]
        clusters.sort(key=lambda number: -shares[number])
    rgbs: list[list[int]] = listed[clusters].tolist()
    return [
        ((red, green, blue), float(shares[number])) for number, (red, green, blue) in zip(clusters, rgbs, strict=True)
    ]


def visibly_changed(before: Picture, after: Picture) -> NDArray[np.bool_]:
    """(H, W) where two pictures differ so much that people see it."""
    shape = before.shape
    labs = [_lab(picture.reshape(-1, 3)) for picture in (before, after)]
    seen: NDArray[np.bool_] = (np.linalg.norm(labs[1] - labs[0], axis=1) > _SEEN).reshape(shape[:2])
    return seen


def colours_in(pixels: NDArray[np.uint8], palette: Sequence[Colour]) -> tuple[list[int], list[Colour]]:
    """Of which colours some pixels are, those left out that are less than a twentieth of them.

    Args:
        pixels: (n, 3), one at least.
        palette: colours, one at least, of the picture that they are from.

    Returns:
        Numbers in the palette, and the main colours of the pixels that no colour of the palette is near.
    """
    pixels = pixels[:: math.ceil(len(pixels) / _MOST_PIXELS)]
    listed = _lab(np.array([colour.rgb for colour in palette], np.uint8))
    distances = np.linalg.norm(_lab(pixels)[:, None] - listed[None], axis=2)
    is_near = (distances < _NEAR).any(axis=1)
    counts = np.bincount(distances[is_near].argmin(axis=1), minlength=len(palette))
    least, num_others = _LEAST_OF_STEP * len(pixels), np.count_nonzero(~is_near)
    others = palette_of(pixels[None, ~is_near], _OWN_COLOURS) if num_others >= least else []
    own = [colour for colour in others if colour.share * num_others >= least]
    return [number for number, count in enumerate(counts) if count >= least], own


def mix_of(rgb: Rgb) -> tuple[Mix, float]:
    """The mix that looks most like a colour, and how far it is from it in dE.

    Of up to 3 tubes: 10 parts at most, or up to 60 of one tube with a touch of others.
    """
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
    parts = np.array(sorted({*_measured(), *_tints()}))
    reflectance = np.maximum(_light(np.array([rgb for rgb, _ in TUBES.values()]) / 255), _DARKEST)
    scattering = np.array([scatters for _, scatters in TUBES.values()])[:, None]
    absorption = scattering * (1 - reflectance) ** 2 / (2 * reflectance)
    mixed = (parts @ absorption) / (parts @ scattering)
    light = 1 + mixed - np.sqrt(mixed**2 + 2 * mixed)
    srgb = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    rgb = np.rint(255 * srgb).astype(np.uint8)
    return parts, rgb, _lab(rgb)


def _measured() -> Iterator[tuple[int, ...]]:
    """Recipes of at most 10 parts: parts of every tube."""
    for chosen in combinations(range(len(TUBES)), _MOST_TUBES):
        for counts in product(range(_MOST_PARTS + 1), repeat=_MOST_TUBES):
            if sum(counts) <= _MOST_PARTS and math.gcd(*counts) == 1:
                yield _recipe(chosen, counts)


def _tints() -> Iterator[tuple[int, ...]]:
    """Recipes of much of one tube, with a touch of one or two others."""
    for chosen in permutations(range(len(TUBES)), _MOST_TUBES):
        for tinted, touches in product(_TINTED, _TOUCHES):
            yield _recipe(chosen, (tinted, *touches))


def _recipe(chosen: tuple[int, ...], counts: tuple[int, ...]) -> tuple[int, ...]:
    recipe = [0] * len(TUBES)
    for tube, count in zip(chosen, counts, strict=True):
        recipe[tube] = count
    return tuple(recipe)


def _light(srgb: NDArray[np.float64]) -> NDArray[np.float64]:
    linear: NDArray[np.float64] = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return linear


def _lab(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, 3) CIE Lab of (n, 3) sRGB."""
    values = (rgb / np.float32(255)).astype(np.float32)[None]
    lab: NDArray[np.float32] = cv2.cvtColor(values, cv2.COLOR_RGB2LAB)[0]
    return lab
