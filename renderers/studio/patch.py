"""A patch: strokes side by side that fill an area, as a hand lays in a mass.

They run along the area, to and fro, each a little different from its neighbour, and end where the area ends. What broad
strokes leave bare at its borders is filled by narrower ones.
"""

from dataclasses import dataclass

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
        strokes = _filled(padded, depths, direction, handling, (broad_px, least_px), most, rng)
        if len(strokes) <= most or broad_px > max(area.shape):
            break
        wider = max(_GROWS, float(np.sqrt(len(strokes) / most)))
        broad_px, least_px = wider * broad_px, wider * least_px
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
    most: int, rng: np.random.Generator,
) -> Floats:  # fmt: skip
    """Strokes in pixels of `padded`, the broadest first; of more than `most` not all are made."""
    bare = padded.copy()
    strokes = [np.zeros((0, NUM_COLUMNS), np.float32)]
    radius = radii_px[0]
    for _ in range(_ROUNDS):
        laid = _strokes(_ways(bare, depths, direction, radius, handling), radius, handling.loose, rng)
        strokes.append(laid)
        for x0, y0, x2, y2 in laid[:, [X0, Y0, X2, Y2]].astype(np.float64).round().astype(int).tolist():
            cv2.line(bare, (x0, y0), (x2, y2), 0, max(1, round(1.9 * radius)))
        radius *= _NARROWER
        if sum(map(len, strokes)) > most or radius < radii_px[1] or not bare.any():
            break
    return np.concatenate(strokes)


def _ways(
    bare: NDArray[np.uint8], depths: Floats, direction: float, radius: float, handling: Handling
) -> NDArray[np.float64]:
    """(N, 2, 2) first and last point (x, y) of each stroke, side by side, to and fro."""
    height, width = bare.shape
    along = np.array([np.cos(direction), np.sin(direction)])
    aside = np.array([-along[1], along[0]])
    half = 0.5 * float(np.hypot(height, width))
    lines, offsets = _crossing(np.arange(-half, half, handling.spacing * radius), depths, aside)
    _, steps = _crossing(np.arange(-half, half), depths, along)
    x = width / 2 + offsets[:, None] * aside[0] + steps * along[0]
    y = height / 2 + offsets[:, None] * aside[1] + steps * along[1]
    columns, rows = np.rint(x).astype(int), np.rint(y).astype(int)
    within = (columns >= 0) & (rows >= 0) & (columns < width) & (rows < height)
    columns, rows = np.clip(columns, 0, width - 1), np.clip(rows, 0, height - 1)
    inside = np.pad(within & (depths[rows, columns] >= handling.within * radius), ((0, 0), (1, 1))).astype(np.int8)
    num_bare = np.pad(np.cumsum(bare[rows, columns] > 0, axis=1), ((0, 0), (1, 0)))
    edges = inside[:, 1:] - inside[:, :-1]
    (row, start), (_, stop) = np.nonzero(edges == 1), np.nonzero(edges == -1)
    length = stop - 1 - start
    pieces = np.maximum(1, np.rint(length / (handling.longest * radius))).astype(int)
    row, start, length, of = (np.repeat(each, pieces) for each in (row, start, length, pieces))
    piece = np.arange(len(of)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    first, last = (np.rint(start + length / of * (piece + end)).astype(int) for end in (0, 1))
    share_bare = (num_bare[row, last + 1] - num_bare[row, first]) / (last + 1 - first)
    is_laid = (last - first >= _SHORTEST * radius) & (share_bare >= _NEW)
    row, first, last = row[is_laid], first[is_laid], last[is_laid]
    fro = lines[row] % 2 == 1
    order = np.lexsort((np.where(fro, -first, first), row))
    ends = np.stack([np.where(fro, last, first), np.where(fro, first, last)], axis=1)[order]
    return np.stack([x[row[order, None], ends], y[row[order, None], ends]], axis=2)


def _crossing(
    places: NDArray[np.float64], depths: Floats, axis: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Which places along an axis through the middle of an array can be those of an area's pixels, and these places."""
    height, width = depths.shape
    left, top, across, down = cv2.boundingRect((depths > 0).astype(np.uint8))
    corners = [
        (x - width / 2) * axis[0] + (y - height / 2) * axis[1] for x in (left, left + across) for y in (top, top + down)
    ]
    numbers = np.flatnonzero((places >= min(corners) - 1.0) & (places <= max(corners) + 1.0))
    return numbers, places[numbers]


def _strokes(ways: NDArray[np.float64], radius: float, loose: float, rng: np.random.Generator) -> Floats:
    """(N, 13) ribbons from point to point, as little straight as a hand is."""
    first, last = ways[:, 0], ways[:, 1]
    length = np.maximum(1e-6, np.linalg.norm(last - first, axis=1, keepdims=True))
    along = (last - first) / length
    aside = np.stack([-along[:, 1], along[:, 0]], axis=1)
    dice = loose * rng.standard_normal((len(ways), 6, 1))
    first = first + radius * (0.3 * dice[:, 0] * along + 0.15 * dice[:, 1] * aside)
    last = last + radius * (0.3 * dice[:, 2] * along + 0.15 * dice[:, 3] * aside)
    middle = 0.5 * (first + last) + np.minimum(0.05 * length, 0.4 * radius) * dice[:, 4] * aside
    strokes = np.zeros((len(ways), NUM_COLUMNS), np.float32)
    strokes[:, [X0, Y0, X1, Y1, X2, Y2]] = np.concatenate([first, middle, last], axis=1)
    strokes[:, [R0, R2]] = radius * (1.0 + 0.08 * np.clip(dice[:, 5], -2.0, 2.0))
    strokes[:, [A0, A2]] = 1.0
    return strokes
