"""The twelve colour words of the captions, and the colours that each may have."""

import numpy as np
from numpy.typing import NDArray

Colour = NDArray[np.float32]
"""One colour: (3,) float32 sRGB in [0, 1]."""

VOCABULARY: dict[str, tuple[tuple[int, int, int], ...]] = {
    "red": ((150, 28, 32), (198, 40, 38), (222, 78, 66)),
    "orange": ((204, 100, 34), (234, 130, 42), (242, 164, 92)),
    "yellow": ((214, 174, 48), (240, 206, 76), (246, 228, 150)),
    "green": ((38, 84, 48), (74, 132, 60), (128, 168, 80), (158, 192, 132)),
    "turquoise": ((28, 116, 120), (58, 176, 172), (136, 212, 206)),
    "blue": ((34, 52, 118), (50, 96, 184), (112, 162, 222), (168, 204, 238)),
    "purple": ((74, 44, 106), (116, 66, 152), (168, 130, 194)),
    "pink": ((218, 102, 142), (238, 148, 172), (246, 190, 200)),
    "brown": ((78, 50, 36), (120, 76, 46), (162, 118, 80)),
    "white": ((220, 219, 217), (246, 244, 239)),
    "grey": ((98, 100, 104), (140, 140, 143), (170, 170, 173)),
    "black": ((22, 22, 28), (46, 46, 54)),
}
"""Typical sRGB values of each name, from dark to light; a colour has the name of the value nearest to it in Lab."""

COLOURS = tuple(VOCABULARY)

_GREY = np.array([0.3, 0.59, 0.11])
_WHITE_D65 = np.array([0.95047, 1.0, 1.08883])
_XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]])


def to_lab(rgb: NDArray[np.floating]) -> NDArray[np.float64]:
    """CIE L*a*b* (D65) of sRGB colours: (..., 3) in [0, 1] to (..., 3), L in [0, 100]."""
    value = np.asarray(rgb, np.float64)
    linear = np.where(value <= 0.04045, value / 12.92, ((np.maximum(value, 0.0) + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _XYZ.T / _WHITE_D65
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


# Olive and magenta are between the names, and people disagree about what to call them, so they have no name here.
_NAMELESS = ((104, 98, 36), (132, 124, 58), (164, 156, 80), (196, 70, 176))
_ANCHORS = np.array([*(rgb for shades in VOCABULARY.values() for rgb in shades), *_NAMELESS], np.float64) / 255
_ANCHORS_LAB = to_lab(_ANCHORS)
_OWNER = np.array([*(i for i, shades in enumerate(VOCABULARY.values()) for _ in shades), *(-1 for _ in _NAMELESS)])


def clearance(rgb: NDArray[np.floating], name: str) -> float:
    """How clearly a colour has a name: Lab distance to the nearest value of another name minus that to this name's."""
    distances = np.linalg.norm(_ANCHORS_LAB - to_lab(rgb), axis=1)
    own = COLOURS.index(name) == _OWNER
    return float(distances[~own].min() - distances[own].min())


def swatch(name: str, rng: np.random.Generator, low: float = 0.0, high: float = 1.0) -> Colour:
    """A natural variation of a named colour that nobody would call by another name.

    Args:
        name: one of `COLOURS`.
        rng: random numbers for the variation.
        low, high: ends of the part of the name's range, from dark (0) to light (1), that is used.

    Returns:
        (3,) sRGB in [0, 1], at least 8 Lab units clear of other names.
    """
    shades = np.array(VOCABULARY[name], np.float64) / 255
    place = rng.uniform(low, high) * (len(shades) - 1)
    below = min(int(place), len(shades) - 2)
    between = shades[below] + (place - below) * (shades[below + 1] - shades[below])
    # Muted colours paint better than pure ones, and greys must not tend to a hue.
    spread, mute = (0.008, 0.0) if name in ("white", "grey", "black") else (0.03, rng.uniform(0.0, 0.35))
    muted = between + mute * (float(between @ _GREY) - between)
    for share in (1.0, 0.6, 0.3):
        rgb = np.clip(between + share * (muted - between) + rng.normal(0.0, share * spread, 3), 0.02, 0.98)
        if clearance(rgb, name) > 8:
            return np.asarray(rgb, np.float32)
    return np.asarray(between if clearance(between, name) > 8 else shades[round(place)], np.float32)


def lit_by(rgb: Colour, name: str, tint: NDArray[np.float32]) -> Colour:
    """A colour in the light of the scene, tinted as far as its name allows.

    Args:
        rgb: (3,) sRGB under neutral light.
        name: the colour word that must stay true.
        tint: (3,) factor of the light on each channel.
    """
    return leaning(rgb, name, (rgb * tint).astype(np.float32))


def leaning(rgb: Colour, name: str, goal: NDArray[np.float32], most: float = 1.0) -> Colour:
    """A named colour moved towards another, `most` of the way or as far as its name allows."""
    for share in (most, 0.75 * most, 0.5 * most, 0.25 * most):
        moved = np.clip(rgb + share * (goal - rgb), 0.0, 1.0).astype(np.float32)
        if clearance(moved, name) > 6:
            return moved
    return rgb


def towards(rgb: NDArray[np.floating], name: str) -> NDArray[np.float64]:
    """The first colour that clearly has the name, on the way from a (3,) sRGB colour to a typical one of that name."""
    own = np.array(VOCABULARY[name], np.float64) / 255
    goal = own[np.linalg.norm(to_lab(own) - to_lab(rgb), axis=1).argmin()]
    for share in np.linspace(0, 1, 9):
        between = rgb + share * (goal - rgb)
        if clearance(between, name) > 4:
            break
    return np.asarray(between, np.float64)
