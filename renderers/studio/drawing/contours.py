"""Which contours are drawn, thing by thing, and how firmly."""

import itertools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from renderers.painting import Image
from renderers.raster.ribbon import Floats
from renderers.studio.drawing.chains import Chain, trace_chains
from renderers.studio.drawing.curves import SAG_PX, corners_of, fit_spline
from renderers.studio.drawing.edges import find_contours
from renderers.studio.drawing.hand import FREE_ARM, draw_line
from renderers.studio.drawing.pencils import Pencil
from renderers.things import Things

WORKING_PX = 320
_HIGH_SHARE, _LEAST_HIGH, _LOW_SHARE = 0.22, 0.012, 0.35
_SHORTEST_PX, _SHORTEST_DULL_PX, _SALIENT = 12.0, 26.0, 0.5  # least lengths; of salient things, and of others
_DULL = 0.5  # how much less a contour counts in a thing that does not draw the eye
_SIDE_PX = 3.0
_STEADY = 15  # points over which a line must run along a thing to belong to it
_FULL_STRENGTH = 0.25
_PX_A_STROKE, _GREATEST_HASTE, _FLICKING_HASTE = 14.0, 2.0, 1.5
_CLAIM = 0.2  # of a thing on strokes, if it does not draw the eye; up to 1 more if it does
_SEARCHING_WEIGHT, _SEARCHING_SAG_PX, _SEARCHING_WOBBLE = 0.3, 8.0, 2.0


@dataclass(frozen=True, kw_only=True)
class Contour:
    """A contour of the picture.

    Attributes:
        points: (n, 2) places (x, y) along it, in units of the canvas's shorter side.
        thing: the thing that it belongs to.
        silhouette: whether it runs between two things.
        importance: how much a drawing would miss it.
        weight: how firmly it is drawn, 0 to about 1.2.
    """

    points: Floats
    thing: int
    silhouette: bool
    importance: float
    weight: float


def resized(image: Image, labels: NDArray[np.uint16], short_px: int) -> tuple[Image, NDArray[np.uint16]]:
    """A picture and its labels with `short_px` along the shorter side, fewer if the other is more than twice that."""
    height, width = image.shape[:2]
    short, long = min(height, width), max(height, width)
    scale = short_px / short * min(1.0, np.sqrt(2 * short / long))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    size = (max(2, round(scale * width)), max(2, round(scale * height)))
    small: Image = np.clip(cv2.resize(image, size, interpolation=method), 0.0, 1.0)
    return small, cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)


def contours_of(image: Image, things: Things) -> list[Contour]:
    """All contours worth drawing, the most important first.

    Args:
        image: (H, W, 3) float32 RGB in [0, 1].
        things: what it shows.
    """
    small, labels = resized(image, things.labels, WORKING_PX)
    height, width = labels.shape
    contours = find_contours(small, labels)
    contours.strength[...] *= (_DULL + (1 - _DULL) * things.saliency)[labels]
    high = max(_LEAST_HIGH, _HIGH_SHARE * float(np.quantile(contours.strength, 0.98)))
    parts = _by_thing(trace_chains(contours, high, _LOW_SHARE * high), labels, things.depth_rank)
    unit_px = np.float32(min(height, width))
    long_enough = []
    for chain, thing, silhouette in parts:
        draws_eye = float(things.saliency[thing])
        firm = min(1.0, chain.strength / _FULL_STRENGTH)
        least_px = _SHORTEST_PX * (1 - 0.5 * firm) if draws_eye > _SALIENT else _SHORTEST_DULL_PX  # eyes are small
        if chain.length_px < least_px:
            continue
        long_enough.append(
            Contour(
                points=(chain.points + np.float32(0.5)) / unit_px,
                thing=thing,
                silhouette=silhouette,
                importance=chain.length_px**0.75 * (0.15 + firm) * (0.3 + draws_eye) * (1.3 if silhouette else 1.0),
                weight=0.35 + 0.45 * firm + 0.25 * draws_eye + (0.1 if silhouette else 0.0),
            )
        )
    return sorted(long_enough, key=lambda contour: -contour.importance)


def _by_thing(
    chains: list[Chain], labels: NDArray[np.uint16], depth_rank: NDArray[np.int64]
) -> list[tuple[Chain, int, bool]]:
    """Chains cut where they leave one thing for another; the thing of each part; whether it runs between things.

    A line belongs to the nearer of the things on its two sides.
    """
    if not chains:
        return []
    height, width = labels.shape
    by_depth = np.argsort(depth_rank)
    points = np.concatenate([chain.points for chain in chains])
    ends = np.cumsum([len(chain.points) for chain in chains])
    own_first, own_last = (np.repeat(limits, np.diff(ends, prepend=0)) for limits in (np.r_[0, ends[:-1]], ends - 1))
    numbers = np.arange(len(points))
    ahead = points[np.minimum(numbers + 1, own_last)] - points[np.maximum(numbers - 1, own_first)]
    normal = np.stack([-ahead[:, 1], ahead[:, 0]], axis=1) / np.maximum(np.hypot(*ahead.T), 1e-6)[:, None]
    ranks = []
    for offset in (-_SIDE_PX, _SIDE_PX):
        x, y = np.rint(points + offset * normal).astype(np.int64).T
        ranks.append(depth_rank[labels[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]])
    parts = []
    for chain, start, end in zip(chains, [0, *ends[:-1].tolist()], ends.tolist(), strict=True):
        one_side, other_side = ranks[0][start:end], ranks[1][start:end]
        nearer = np.maximum(one_side, other_side)
        if (nearer != nearer[0]).any():
            nearer = median_filter(nearer, _STEADY, mode="nearest")
        cuts = [0, *(np.flatnonzero(np.diff(nearer)) + 1).tolist(), len(nearer)]
        for first, last in itertools.pairwise(cuts):
            if last - first >= 2:
                between = bool((one_side != other_side)[first:last].mean() > 0.5)
                part = Chain(chain.points[first:last], chain.strength)
                parts.append((part, int(by_depth[nearer[first]]), between))
    return parts


def draw_contours(
    contours: list[Contour], things: Things, pencil: Pencil, num_strokes: int, rng: np.random.Generator
) -> list[tuple[Floats, int]]:
    """Strokes (as in `hand.draw_line`) and thing of each line.

    The most important contours that the number of strokes allows are drawn: those of each thing up to its share first,
    so that the whole is composed, then any. They come thing by thing, the most salient thing first.
    """
    length = sum(len(contour.points) for contour in contours)
    haste = float(np.clip(length / _PX_A_STROKE / max(1, num_strokes), 1.0, _GREATEST_HASTE))
    claims = np.sqrt(things.areas_px) * (_CLAIM + things.saliency)
    shares = num_strokes * claims / claims.sum()
    drawn: dict[int, list[Floats]] = {}
    lines = [_lines_of(contour, pencil, haste, rng) for contour in contours]
    left = num_strokes
    for within_shares in (True, False):
        for number, contour in enumerate(contours):
            count = sum(len(strokes) for strokes in lines[number])
            if number in drawn or count > left or (within_shares and count > shares[contour.thing]):
                continue
            left -= count
            shares[contour.thing] -= count
            drawn[number] = lines[number]
    order = sorted(drawn, key=lambda k: (-float(things.saliency[contours[k].thing]), contours[k].thing, k))
    return [(strokes, contours[k].thing) for k in order for strokes in drawn[k]]


def _lines_of(contour: Contour, pencil: Pencil, haste: float, rng: np.random.Generator) -> list[Floats]:
    """Strokes of the lines of a contour: a searching one perhaps, loose and pale, then from corner to corner.

    Args:
        haste: 1 is careful; the greater it is, the simpler are curves, and the fewer searching lines are drawn.
    """
    unit_px = np.float32(WORKING_PX)
    points_px = contour.points * unit_px
    lines = []
    hand = pencil.hand if contour.silhouette or haste < _FLICKING_HASTE else pencil.hand._replace(taper=FREE_ARM)
    if contour.silhouette and rng.random() < pencil.restated / haste:
        searching = pencil.hand._replace(
            wobble=_SEARCHING_WOBBLE * pencil.hand.wobble, overshoot=2 * pencil.hand.overshoot
        )
        lines.append(draw_line(fit_spline(points_px, _SEARCHING_SAG_PX) / unit_px, searching, _SEARCHING_WEIGHT, rng))
    corners = corners_of(points_px).tolist()
    for start, end in itertools.pairwise([0, *corners, len(points_px) - 1]):
        controls = fit_spline(points_px[start : end + 1], SAG_PX * haste) / unit_px
        lines.append(draw_line(controls, hand, contour.weight, rng))
    return lines
