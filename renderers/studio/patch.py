"""A patch: strokes side by side that fill an area, as a hand lays in a mass.

They run along the area, to and fro, each a little different from its neighbour, and end where the area ends. What broad
strokes leave bare at its borders is filled by narrower ones.
"""

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from renderers.raster.ribbon import A0, A2, NUM_COLUMNS, R0, R2, X0, X1, X2, Y0, Y1, Y2, Floats

_NARROWER = 0.55  # from one row of strokes to the next, which fills what the former left
_ROUNDS = 3
_SHORTEST = 0.5  # in radii: the way of a stroke from its first to its last point
_NEW = 0.4  # share of a stroke's way that must be bare still
_ELONGATED = 1.5  # length over width, above which strokes run along the area
_SLANT, _SLANT_SPREAD = -0.9, 0.3  # of a right hand where nothing speaks for a direction, in radians
_GROWS = 1.2


@dataclass(frozen=True, kw_only=True)
class Handling:
    """How a hand lays strokes side by side.

    Attributes:
        radius: of the broadest strokes, in units of the canvas's shorter side.
        spacing: between neighbouring strokes, in radii: below 2 they overlap.
        longest: of their ways, in radii.
        within: how far their middle lines keep off the border of the area, in radii.
        loose: how much they differ from each other, 0 to 1: in direction, bend, width, and where they end.
        even: whether all strokes of a mass have one colour.
        strokes: as many at most as this share of those that finish the same object.
    """

    radius: float = 0.04
    spacing: float = 1.5
    longest: float = 12.0
    within: float = 0.55
    loose: float = 1.0
    even: bool = False
    strokes: float = 0.5


def patch(
    area: NDArray[np.bool_], handling: Handling, least_px: float, unit_px: float, most: int, rng: np.random.Generator
) -> Floats:
    """Fill an area (h, w).

    Args:
        least_px: the radius below which there are no strokes.
        unit_px: the unit of length of `handling`, in pixels.
        most: strokes; with fewer they are broader.

    Returns:
        (N, 13) ribbons, N from 0 to `most`, without colours; in units of the shorter side of the area's array.
    """
    reach = int(np.ceil(2.0 * handling.radius * unit_px)) + 2
    padded = np.pad(area, reach, mode="edge").astype(np.uint8)  # strokes run off the canvas
    depths = cv2.distanceTransform(padded, cv2.DIST_L2, 3)
    direction = _direction(area, rng)
    widest = float(cv2.distanceTransform(np.pad(area, 1).astype(np.uint8), cv2.DIST_L2, 3).max())
    broad_px = max(least_px, min(handling.radius * unit_px, 0.7 * widest))
    while True:
        strokes = _filled(padded, depths, direction, handling, (broad_px, least_px), rng)
        if len(strokes) <= most or broad_px > max(area.shape):
            break
        broad_px, least_px = _GROWS * broad_px, _GROWS * least_px
    strokes = strokes[:most]
    strokes[:, [X0, Y0, X1, Y1, X2, Y2]] += 0.5 - reach
    strokes[:, [X0, Y0, X1, Y1, X2, Y2, R0, R2]] /= min(area.shape)
    return strokes


def _direction(area: NDArray[np.bool_], rng: np.random.Generator) -> float:
    """The angle at which strokes lie, in radians."""
    slant = _SLANT + _SLANT_SPREAD * rng.standard_normal()
    rows, columns = np.nonzero(area)
    if len(rows) < 2:
        return float(slant)
    spreads, axes = np.linalg.eigh(np.cov(columns, rows) + 1e-6 * np.eye(2))
    if spreads[1] < _ELONGATED**2 * spreads[0]:
        return float(slant)
    return float(np.arctan2(axes[1, 1], axes[0, 1]) + 0.3 * _SLANT_SPREAD * rng.standard_normal())


def _filled(
    padded: NDArray[np.uint8], depths: Floats, direction: float, handling: Handling, radii_px: tuple[float, float],
    rng: np.random.Generator,
) -> Floats:  # fmt: skip
    """Strokes in pixels of `padded`, the broadest first."""
    bare = padded.copy()
    strokes = [np.zeros((0, NUM_COLUMNS), np.float32)]
    radius = radii_px[0]
    for _ in range(_ROUNDS):
        for way in _ways(bare, depths, direction, radius, handling):
            stroke = _stroke(way, radius, handling.loose, rng)
            strokes.append(stroke[None])
            ends = [tuple(round(float(value)) for value in stroke[[x, y]]) for x, y in ((X0, Y0), (X2, Y2))]
            cv2.line(bare, ends[0], ends[1], 0, max(1, round(1.9 * radius)))
        radius *= _NARROWER
        if radius < radii_px[1] or not bare.any():
            break
    return np.concatenate(strokes)


def _ways(
    bare: NDArray[np.uint8], depths: Floats, direction: float, radius: float, handling: Handling
) -> list[NDArray[np.float64]]:
    """(2, 2) first and last point (x, y) of each stroke, side by side, to and fro."""
    height, width = bare.shape
    along = np.array([np.cos(direction), np.sin(direction)])
    aside = np.array([-along[1], along[0]])
    middle, half = np.array([width / 2, height / 2]), 0.5 * float(np.hypot(height, width))
    offsets, steps = np.arange(-half, half, handling.spacing * radius), np.arange(-half, half)
    points = middle + offsets[:, None, None] * aside + steps[:, None] * along
    columns, rows = np.moveaxis(np.rint(points).astype(int), -1, 0)
    within = (columns >= 0) & (rows >= 0) & (columns < width) & (rows < height)
    columns, rows = np.clip(columns, 0, width - 1), np.clip(rows, 0, height - 1)
    inside = within & (depths[rows, columns] >= handling.within * radius)
    num_bare = np.pad(np.cumsum(bare[rows, columns] > 0, axis=1), ((0, 0), (1, 0)))
    edges = np.diff(inside.astype(np.int8), axis=1, prepend=0, append=0)
    (lines, starts), (_, stops) = np.nonzero(edges == 1), np.nonzero(edges == -1)
    ways: list[list[NDArray[np.float64]]] = [[] for _ in offsets]
    for line, start, stop in zip(lines.tolist(), starts.tolist(), stops.tolist(), strict=True):
        pieces = max(1, round((stop - 1 - start) / (handling.longest * radius)))
        cuts = np.linspace(start, stop - 1, pieces + 1).round().astype(int).tolist()
        for first, last in pairwise(cuts):
            share_bare = (num_bare[line, last + 1] - num_bare[line, first]) / (last + 1 - first)
            if last - first >= _SHORTEST * radius and share_bare >= _NEW:
                ways[line].append(points[line, [first, last]])
    to_and_fro = ([way[::-1] for way in reversed(line)] if number % 2 else line for number, line in enumerate(ways))
    return [way for line in to_and_fro for way in line]


def _stroke(way: NDArray[np.float64], radius: float, loose: float, rng: np.random.Generator) -> Floats:
    """A ribbon (13,) from point to point, as little straight as a hand is."""
    first, last = way
    length = max(1e-6, float(np.linalg.norm(last - first)))
    along = (last - first) / length
    aside = np.array([-along[1], along[0]])
    dice = loose * rng.standard_normal(6)
    first = first + radius * (0.3 * dice[0] * along + 0.15 * dice[1] * aside)
    last = last + radius * (0.3 * dice[2] * along + 0.15 * dice[3] * aside)
    middle = 0.5 * (first + last) + min(0.05 * length, 0.4 * radius) * dice[4] * aside
    stroke = np.zeros(NUM_COLUMNS, np.float32)
    stroke[[X0, Y0, X1, Y1, X2, Y2]] = *first, *middle, *last
    stroke[[R0, R2]] = radius * (1.0 + 0.08 * np.clip(dice[5], -2.0, 2.0))
    stroke[[A0, A2]] = 1.0
    return stroke
