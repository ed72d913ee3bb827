"""A patch: strokes side by side that fill an area, as a hand lays in a mass.

They run along the area, to and fro, each a little different from its neighbour, and end where the area ends. What broad
strokes leave bare at its borders is filled by narrower ones.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from renderers.raster.ribbon import A0, A2, NUM_COLUMNS, R0, R2, X0, X1, X2, Y0, Y1, Y2, Floats
from renderers.studio.runs import Lines, runs_inside

_RADIUS_RATIO = 0.55  # of one round of strokes to the one before, whose gaps it fills
_ROUNDS = 3
_SHORTEST = 0.5  # in radii: from the first to the last point of a stroke
_LEAST_BARE = 0.4  # share of a stroke's way that must still be bare
_ELONGATED = 1.5  # length over width, above which strokes run along the area
_SLANT, _SLANT_SPREAD = -0.9, 0.3  # of a right hand where the area suggests no direction, in radians
_BROADENED_BY = 1.2  # until there are few enough


@dataclass(frozen=True, kw_only=True)
class Handling:
    """How a hand lays strokes side by side.

    Attributes:
        radius: of the broadest strokes, in units of the canvas's shorter side.
        spacing: between neighbouring strokes, in radii: below 2 they overlap.
        longest: from the first to the last point of a stroke, in radii.
        within: distance of their middle lines from the border of the area, in radii.
        loose: how much they differ from each other, 0 to 1: in direction, bend, width, and where they end.
        even: whether all strokes of a mass have one colour.
        strokes: the most strokes, as a share of those that finish the same object.
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
        most: the most strokes; the fewer there are, the broader.

    Returns:
        (N, 13) ribbons, N from 0 to `most`, without colours; in units of the shorter side of the area's array.
    """
    reach = int(np.ceil(2.0 * handling.radius * unit_px)) + 2
    padded = cv2.copyMakeBorder(
        area.astype(np.uint8), *4 * (reach,), cv2.BORDER_REPLICATE
    )  # strokes run off the canvas
    depths = cv2.distanceTransform(padded, cv2.DIST_L2, 3)
    direction = _direction(area, rng)
    widest = float(cv2.distanceTransform(np.pad(area, 1).astype(np.uint8), cv2.DIST_L2, 3).max())
    broad_px = max(least_px, min(handling.radius * unit_px, 0.7 * widest))
    while (strokes := _filled(padded, depths, direction, handling, (broad_px, least_px), most, rng)) is None:
        broad_px, least_px = _BROADENED_BY * broad_px, _BROADENED_BY * least_px
    strokes[:, [X0, Y0, X1, Y1, X2, Y2]] += 0.5 - reach
    strokes[:, [X0, Y0, X1, Y1, X2, Y2, R0, R2]] /= min(area.shape)
    return strokes


def _direction(area: NDArray[np.bool_], rng: np.random.Generator) -> float:
    """The angle at which strokes lie, in radians."""
    slant = _SLANT + _SLANT_SPREAD * rng.standard_normal()
    moments = cv2.moments(area.astype(np.uint8), binaryImage=True)
    scatter = np.array([[moments["mu20"], moments["mu11"]], [moments["mu11"], moments["mu02"]]])
    spreads, axes = np.linalg.eigh(scatter + 1e-6 * np.eye(2))
    if spreads[1] < _ELONGATED**2 * spreads[0]:
        return float(slant)
    return float(np.arctan2(axes[1, 1], axes[0, 1]) + 0.3 * _SLANT_SPREAD * rng.standard_normal())


def _filled(
    padded: NDArray[np.uint8], depths: Floats, direction: float, handling: Handling, radii_px: tuple[float, float],
    most: int, rng: np.random.Generator,
) -> Floats | None:  # fmt: skip
    """Strokes in pixels of `padded`, the broadest first; None if the broadest alone are more than `most`.

    Of the narrower ones, which fill the gaps, the longest are laid if there are too many.
    """
    bare = padded.copy()
    strokes = [np.zeros((0, NUM_COLUMNS), np.float32)]
    radius = radii_px[0]
    for number in range(_ROUNDS):
        lines = Lines(
            angle=direction, spacing=handling.spacing * radius, within=handling.within * radius,
            longest=handling.longest * radius, shortest=_SHORTEST * radius, new=_LEAST_BARE,
        )  # fmt: skip
        ways, room = runs_inside(bare, depths, lines), most - sum(map(len, strokes))
        if len(ways) > room:
            if number == 0:
                return None
            lengths = np.hypot(ways[:, 2] - ways[:, 0], ways[:, 3] - ways[:, 1])
            ways = ways[np.sort(np.argsort(-lengths, kind="stable")[:room])]
        strokes.append(_strokes(ways, radius, handling.loose, rng))
        for x0, y0, x2, y2 in strokes[-1][:, [X0, Y0, X2, Y2]].astype(np.float64).round().astype(int).tolist():
            cv2.line(bare, (x0, y0), (x2, y2), 0, max(1, round(1.9 * radius)))
        radius *= _RADIUS_RATIO
        if len(ways) == room or radius < radii_px[1] or not bare.any():
            break
    return np.concatenate(strokes)


def _strokes(ways: Floats, radius: float, loose: float, rng: np.random.Generator) -> Floats:
    """(N, 13) ribbons along ways (N, 4), as irregular as those of a hand."""
    first, last = ways[:, :2], ways[:, 2:]
    length = np.maximum(1e-6, np.linalg.norm(last - first, axis=1, keepdims=True))
    along = (last - first) / length
    aside = np.stack([-along[:, 1], along[:, 0]], axis=1)
    deviations = loose * rng.standard_normal((len(ways), 6, 1))
    first = first + radius * (0.3 * deviations[:, 0] * along + 0.15 * deviations[:, 1] * aside)
    last = last + radius * (0.3 * deviations[:, 2] * along + 0.15 * deviations[:, 3] * aside)
    middle = 0.5 * (first + last) + np.minimum(0.05 * length, 0.4 * radius) * deviations[:, 4] * aside
    strokes = np.zeros((len(ways), NUM_COLUMNS), np.float32)
    strokes[:, [X0, Y0, X1, Y1, X2, Y2]] = np.concatenate([first, middle, last], axis=1)
    strokes[:, [R0, R2]] = radius * (1.0 + 0.08 * np.clip(deviations[:, 5], -2.0, 2.0))
    strokes[:, [A0, A2]] = 1.0
    return strokes
