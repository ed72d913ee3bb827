"""The main colours of a painting, and the tubes from which a painter might mix them."""

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

WHITE = "titanium white"
TUBES: dict[str, tuple[Rgb, float]] = {
    WHITE: ((248, 248, 244), 1.0),
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
"""Common tubes: the colour (sRGB) of their paint where it covers, and how much it scatters, relative to white.

The values are rough estimates: opaque paints scatter much, transparent ones little.
"""

_MOST_PARTS, _MOST_TUBES = 10, 3
_TINTED = (12, 15, 20, 30, 40, 60)  # parts of one tube to a touch of others, as strong tubes tint far more than white
_TOUCHES = ((1, 0), (1, 1), (1, 2), (2, 1), (1, 3), (3, 1))  # parts of one or two tubes in a tint
_DARKEST = 0.01  # least reflectance of a paint, as its surface shines
_DE_PER_TUBE = 2.0  # dE by which a mix must be nearer to be worth another tube
_LEAST_SHARE = 0.005
_CLUSTERS_PER_COLOUR = 2
_SAME_COLOUR = 6.0  # dE below which colours are listed as one
_NEAR = 12.0  # largest dE of a pixel from the colour of the palette that represents it
_JUST_NOTICEABLE = 2.3  # dE
_LEAST_STEP_SHARE = 0.05  # of a step's pixels: rarer colours are not listed
_MOST_OWN_COLOURS = 3  # colours that only the step has
_MOST_PIXELS = 50_000  # that colours are taken from


@dataclass(frozen=True, kw_only=True)
class Mix:
    """Parts of tubes.

    Attributes:
        parts: tube -> whole number of parts.
        rgb: colour of the mix by the model of Kubelka and Munk.
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
        share: share of the picture.
        mix: the nearest mix.
        distance: distance of the mix from the colour, in CIE dE (1976).
    """

    rgb: Rgb
    share: float
    mix: Mix
    distance: float


def palette_of(picture: Picture, count: int) -> list[Colour]:
    """At most `count` main colours of a picture, the most frequent first; similar colours are merged."""
    colours = []
    for rgb, share in _main_colours(picture, count):
        if share >= _LEAST_SHARE:
            mix, distance = mix_of(rgb)
            colours.append(Colour(rgb=rgb, share=share, mix=mix, distance=distance))
    return colours


def without_colour(colours: Sequence[Colour], rgb: NDArray[np.floating]) -> list[Colour]:
    """The colours that do not look like this one, (3,) sRGB up to 255."""
    lab = _lab(np.rint(rgb).astype(np.uint8)[None])
    return [
        colour for colour in colours if np.linalg.norm(_lab(np.array([colour.rgb], np.uint8)) - lab) >= _SAME_COLOUR
    ]


def _main_colours(picture: Picture, count: int) -> list[tuple[Rgb, float]]:
    """Colours and their shares, the most frequent first. More clusters than `count` are found; the nearest are merged.

    Merged clusters get the colour of the more frequent one, which occurs in the picture.
    """
    every = math.ceil(math.sqrt(picture[..., 0].size / _MOST_PIXELS))
    indexed = Image.fromarray(picture[::every, ::every]).quantize(
        _CLUSTERS_PER_COLOUR * count, Image.Quantize.MEDIANCUT, kmeans=5
    )
    listed = np.array(indexed.getpalette(), np.uint8).reshape(-1, 3)
    shares = np.bincount(np.asarray(indexed).ravel(), minlength=len(listed)) / indexed.width / indexed.height
    order = np.argsort(-shares, kind="stable")
    clusters = [int(number) for number in order if shares[number] > 0]
    lab = _lab(listed)
    while len(clusters) > 1:
        differences = lab[clusters][:, None] - lab[clusters][None]
        distances = np.linalg.norm(differences, axis=2) + np.diag([np.inf] * len(clusters))
        more_frequent, less_frequent = sorted(divmod(int(distances.argmin()), len(clusters)))
        if len(clusters) <= count and distances.min() >= _SAME_COLOUR:
            break
        shares[clusters[more_frequent]] += shares[clusters[less_frequent]]
        del clusters[less_frequent]
        clusters.sort(key=lambda number: -shares[number])
    rgbs: list[list[int]] = listed[clusters].tolist()
    return [
        ((red, green, blue), float(shares[number])) for number, (red, green, blue) in zip(clusters, rgbs, strict=True)
    ]


def visibly_changed(before: Picture, after: Picture) -> NDArray[np.bool_]:
    """(H, W), True where two pictures differ visibly."""
    shape = before.shape
    labs = [_lab(picture.reshape(-1, 3)) for picture in (before, after)]
    changed: NDArray[np.bool_] = (np.linalg.norm(labs[1] - labs[0], axis=1) > _JUST_NOTICEABLE).reshape(shape[:2])
    return changed


def colours_in(pixels: NDArray[np.uint8], palette: Sequence[Colour]) -> tuple[list[int], list[Colour]]:
    """The colours of some pixels; colours of less than a twentieth of the pixels are left out.

    Args:
        pixels: (n, 3), at least one.
        palette: colours, at least one, of the picture that the pixels are from.

    Returns:
        Indices of colours in the palette, and the main colours of pixels that are near no colour of the palette.
    """
    pixels = pixels[:: math.ceil(len(pixels) / _MOST_PIXELS)]
    listed = _lab(np.array([colour.rgb for colour in palette], np.uint8))
    distances = np.linalg.norm(_lab(pixels)[:, None] - listed[None], axis=2)
    is_near = (distances < _NEAR).any(axis=1)
    counts = np.bincount(distances[is_near].argmin(axis=1), minlength=len(palette))
    least, num_others = _LEAST_STEP_SHARE * len(pixels), np.count_nonzero(~is_near)
    others = palette_of(pixels[None, ~is_near], _MOST_OWN_COLOURS) if num_others >= least else []
    own = [colour for colour in others if colour.share * num_others >= least]
    return [number for number, count in enumerate(counts) if count >= least], own


def mix_of(rgb: Rgb) -> tuple[Mix, float]:
    """The mix nearest to a colour, and its distance in dE.

    Mixes have up to 3 tubes: at most 10 parts, or up to 60 parts of one tube with a touch of others.
    """
    recipes, mixed_rgb, mixed_lab = _mixes()
    distances = np.linalg.norm(mixed_lab - _lab(np.array([rgb], np.uint8)), axis=1)
    tubes = np.count_nonzero(recipes, axis=1)
    best = int(np.argmin(distances + _DE_PER_TUBE * tubes))
    parts = {name: int(count) for name, count in zip(TUBES, recipes[best], strict=True) if count}
    red, green, blue = (int(value) for value in mixed_rgb[best])
    ordered = dict(sorted(parts.items(), key=lambda part: -part[1]))
    return Mix(parts=ordered, rgb=(red, green, blue)), float(distances[best])


@cache
def _mixes() -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.float32]]:
    """(M, tubes) parts of every mix, (M, 3) its sRGB and its Lab.

    Colours are mixed by Kubelka and Munk (1931), each channel on its own: a paint that reflects R and scatters S
    absorbs K = S (1 - R)^2 / 2R, and K and S of a mix are the means of those of its parts.
    """
    parts = np.array(sorted({*_small_recipes(), *_tints()}))
    reflectance = np.maximum(_light(np.array([rgb for rgb, _ in TUBES.values()]) / 255), _DARKEST)
    scattering = np.array([scatters for _, scatters in TUBES.values()])[:, None]
    absorption = scattering * (1 - reflectance) ** 2 / (2 * reflectance)
    mixed = (parts @ absorption) / (parts @ scattering)
    light = 1 + mixed - np.sqrt(mixed**2 + 2 * mixed)
    srgb = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    rgb = np.rint(255 * srgb).astype(np.uint8)
    return parts, rgb, _lab(rgb)


def _small_recipes() -> Iterator[tuple[int, ...]]:
    """Recipes of at most 10 parts, as the parts of every tube."""
    for chosen in combinations(range(len(TUBES)), _MOST_TUBES):
        for counts in product(range(_MOST_PARTS + 1), repeat=_MOST_TUBES):
            if sum(counts) <= _MOST_PARTS and math.gcd(*counts) == 1:
                yield _recipe(chosen, counts)


def _tints() -> Iterator[tuple[int, ...]]:
    """Recipes of many parts of one tube, with a touch of one or two others."""
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
