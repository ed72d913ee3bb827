"""Contours chained into long curves: walks along the ridges of a map of contours, then joined end to end.

A walk starts where the map is strongest and goes both ways, a pixel at a time: on along the flow and the walk's own
direction, then sideways to the crest. It runs over gaps, and through junctions straight ahead, as a hand does. It ends
at corners, where a hand lifts or turns.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from renderers.raster.jit import kernel, part
from renderers.raster.ribbon import Floats, Ints
from renderers.studio.drawing.edges import Contours

_GAP_STEPS = 6  # how far a walk goes on where there is no contour, px
_LEAST_CHAIN_PX = 6
_LONGEST_WALK = 2000
_MOST_WALKS = 500  # no drawing has more lines
_TURN = 0.5  # cosine of the most that a walk may turn in a step
_INERTIA, _STEP_ASIDE = np.float32(0.45), np.float32(0.6)
_JOIN_PX, _JOIN_ANGLE = 16.0, 0.7  # greatest distance and bend of a good continuation
_TOUCHING_PX = 2.5

_ZERO, _HALF, _ONE = np.float32(0), np.float32(0.5), np.float32(1)


@dataclass(frozen=True)
class Chain:
    """A long curve: (n, 2) places (x, y) in pixels, about one apart, and the contour's mean strength along it."""

    points: Floats
    strength: float

    @cached_property
    def length_px(self) -> float:
        """Length of the curve."""
        return float(np.hypot(*np.diff(self.points, axis=0).T).sum())


def trace_chains(contours: Contours, high: float, low: float) -> list[Chain]:
    """Chains along all contours that somewhere reach `high`, followed while they are above `low`."""
    seeds = _crests(contours, high)
    points, ends, strengths = _trace(contours, seeds, np.float32(low))
    starts = np.concatenate([np.zeros(1, np.int64), ends])[:-1]
    walks = [
        Chain(points[start:end], float(strength)) for start, end, strength in zip(starts, ends, strengths, strict=True)
    ]
    walks.sort(key=lambda walk: -walk.length_px * walk.strength)
    return _joined(walks[:_MOST_WALKS])


def _crests(contours: Contours, high: float) -> Ints:
    """(S, 2) rows and columns of the pixels that no neighbour across the flow exceeds, the strongest first."""
    strength = contours.strength
    height, width = strength.shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    crest = strength >= high
    for side in (-1, 1):
        across = (x - side * contours.tangent_y, y + side * contours.tangent_x)
        crest &= strength >= cv2.remap(strength, *across, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    places = np.argwhere(crest).astype(np.int32)
    return places[np.argsort(-strength[crest], kind="stable")]


class _Walk(NamedTuple):
    """Working memory of a walk: (2, n) its places to both sides."""

    xs: Floats
    ys: Floats


@part
def _sample(field: Floats, y: np.float32, x: np.float32) -> np.float32:
    """Bilinear sample at (y, x), pixel centres on whole numbers; beyond the borders, as on them."""
    height, width = field.shape
    i, j = min(height - 2, max(0, int(np.floor(y)))), min(width - 2, max(0, int(np.floor(x))))
    fy, fx = min(_ONE, max(_ZERO, y - np.float32(i))), min(_ONE, max(_ZERO, x - np.float32(j)))
    upper = field[i, j] + fx * (field[i, j + 1] - field[i, j])
    lower = field[i + 1, j] + fx * (field[i + 1, j + 1] - field[i + 1, j])
    sampled: np.float32 = upper + fy * (lower - upper)
    return sampled


@part
def _claim(owner: Ints, y: np.float32, x: np.float32, me: np.int32) -> None:
    """Claim the free pixels around a place, so that no other walk goes there again."""
    row, column = int(np.floor(y + _HALF)), int(np.floor(x + _HALF))
    for i in range(max(0, row - 1), min(owner.shape[0], row + 2)):
        for j in range(max(0, column - 1), min(owner.shape[1], column + 2)):
            if owner[i, j] == 0:
                owner[i, j] = me


@kernel
def _trace(contours: Contours, seeds: Ints, low: np.float32) -> tuple[Floats, NDArray[np.int64], Floats]:
    """Walk from every seed (S, 2) that no walk has passed: places (x, y) of all walks, their ends, mean strengths."""
    strength = contours.strength
    height, width = strength.shape
    owner = np.zeros((height, width), np.int32)
    points = np.empty((2 * height * width, 2), np.float32)
    ends, strengths = np.empty(seeds.shape[0], np.int64), np.empty(seeds.shape[0], np.float32)
    walk = _Walk(np.empty((2, _LONGEST_WALK), np.float32), np.empty((2, _LONGEST_WALK), np.float32))
    lengths, across = np.zeros(2, np.int64), np.empty(3, np.float32)
    count, filled = 0, 0
    for which in range(seeds.shape[0]):
        row, column = seeds[which, 0], seeds[which, 1]
        if owner[row, column] != 0:
            continue
        me = np.int32(which + 1)
        total, samples = _ZERO, 0
        for side in range(2):
            x, y = np.float32(column), np.float32(row)
            dx, dy = contours.tangent_x[row, column], contours.tangent_y[row, column]
            if side == 1:
                dx, dy = -dx, -dy
            n, weak, taken = 0, 0, 0
            while n < _LONGEST_WALK:
                i, j = int(np.floor(y + _HALF)), int(np.floor(x + _HALF))
                tx, ty = dx, dy
                if weak == 0:  # straight on over gaps
                    tx, ty = contours.tangent_x[i, j], contours.tangent_y[i, j]
                    along = tx * dx + ty * dy
                    if abs(along) < np.float32(_TURN):
                        break
                    if along < _ZERO:
                        tx, ty = -tx, -ty
                    tx, ty = _INERTIA * dx + (_ONE - _INERTIA) * tx, _INERTIA * dy + (_ONE - _INERTIA) * ty
                    inverse = _ONE / np.sqrt(tx * tx + ty * ty)
                    tx, ty = tx * inverse, ty * inverse
                next_x, next_y = x + tx, y + ty
                for k in range(3):
                    offset = np.float32(k - 1)
                    across[k] = _sample(strength, next_y + offset * tx, next_x - offset * ty)
                aside = _ZERO  # towards the crest, along (-ty, tx)
                if max(across[0], across[1], across[2]) >= low:
                    bend = across[0] - np.float32(2) * across[1] + across[2]
                    if bend < _ZERO and across[1] >= min(across[0], across[2]):
                        aside = min(_STEP_ASIDE, max(-_STEP_ASIDE, _HALF * (across[0] - across[2]) / bend))
                    else:
                        aside = _STEP_ASIDE if across[2] > across[0] else -_STEP_ASIDE
                next_x, next_y = next_x - aside * ty, next_y + aside * tx
                i, j = int(np.floor(next_y + _HALF)), int(np.floor(next_x + _HALF))
                if i < 0 or j < 0 or i >= height or j >= width:
                    break
                dx, dy = dx + next_x - x, dy + next_y - y
                inverse = _ONE / np.sqrt(dx * dx + dy * dy + np.float32(1e-9))
                dx, dy = dx * inverse, dy * inverse
                x, y = next_x, next_y
                if owner[i, j] == 0 or (owner[i, j] == me and n <= 12):
                    taken = 0
                else:  # on another walk's contour, or back at its own beginning
                    taken += 2 if owner[i, j] == me else 1
                walk.xs[side, n], walk.ys[side, n] = x, y
                n += 1
                if taken >= 2:
                    n -= 1
                    break
                value = _sample(strength, y, x)
                if value < low:
                    weak += 1
                    if weak > _GAP_STEPS:
                        break
                else:
                    weak = 0
                    total += value
                    samples += 1
                if n > 5:
                    _claim(owner, walk.ys[side, n - 6], walk.xs[side, n - 6], me)
            lengths[side] = max(0, n - weak)
        owner[row, column] = me
        for side in range(2):
            for k in range(max(0, lengths[side] - 6), lengths[side]):
                _claim(owner, walk.ys[side, k], walk.xs[side, k], me)
        length = lengths[0] + lengths[1] + 1
        if length < _LEAST_CHAIN_PX or filled + length > points.shape[0]:
            continue
        for k in range(length):
            back = lengths[1] - 1 - k
            if back >= 0:
                points[filled, 0], points[filled, 1] = walk.xs[1, back], walk.ys[1, back]
            elif back == -1:
                points[filled, 0], points[filled, 1] = column, row
            else:
                points[filled, 0], points[filled, 1] = walk.xs[0, -back - 2], walk.ys[0, -back - 2]
            filled += 1
        ends[count], strengths[count] = filled, total / np.float32(max(1, samples))
        count += 1
    return points[:filled].copy(), ends[:count].copy(), strengths[:count].copy()


def _joined(chains: list[Chain]) -> list[Chain]:
    """Chains whose ends continue one another become one: nearest and straightest pairs first."""
    if len(chains) < 2:
        return chains
    ends, outward = _ends(chains)
    reach = np.repeat([min(_JOIN_PX, max(3.0, 0.4 * chain.length_px)) for chain in chains], 2)
    first, second = cKDTree(ends).query_pairs(_JOIN_PX, output_type="ndarray").T
    gap = ends[second] - ends[first]
    apart = np.hypot(*gap.T)
    along = gap / np.maximum(apart, 1e-6)[:, None]
    bend = _angle(-(outward[first] * outward[second]).sum(1))
    leave = np.maximum(_angle((along * outward[first]).sum(1)), _angle(-(along * outward[second]).sum(1)))
    leave = np.where(apart < _TOUCHING_PX, 0.5 * bend, leave)  # the direction of so short a gap says nothing
    cost = apart / np.minimum(reach[first], reach[second]) + (leave**2 + bend**2) / _JOIN_ANGLE**2
    good = np.flatnonzero((cost < 1.0) & (first // 2 != second // 2))
    order = good[np.lexsort((second[good], first[good], cost[good]))]
    partner: dict[int, int] = {}
    for a, b in zip(first[order].tolist(), second[order].tolist(), strict=True):
        if a not in partner and b not in partner:
            partner[a], partner[b] = b, a
    return _threaded(chains, partner)


def _ends(chains: list[Chain]) -> tuple[Floats, Floats]:
    """(2C, 2) places of the ends, first and last of each chain, and (2C, 2) unit directions in which they leave it."""
    places, directions = np.empty((2 * len(chains), 2), np.float32), np.empty((2 * len(chains), 2), np.float32)
    for number, chain in enumerate(chains):
        back = min(6, len(chain.points) - 1)
        places[2 * number], places[2 * number + 1] = chain.points[0], chain.points[-1]
        directions[2 * number] = chain.points[0] - chain.points[back]
        directions[2 * number + 1] = chain.points[-1] - chain.points[-1 - back]
    return places, directions / np.maximum(np.hypot(*directions.T), 1e-6)[:, None]


def _angle(cosine: Floats) -> Floats:
    angles: Floats = np.arccos(np.clip(cosine, -1.0, 1.0))
    return angles


def _threaded(chains: list[Chain], partner: dict[int, int]) -> list[Chain]:
    """Join chains by following partners from free ends, then around loops. Ends 2k and 2k + 1 belong to chain k."""
    joined, visited = [], np.zeros(len(chains), np.bool_)
    free = [end for end in range(2 * len(chains)) if end not in partner]
    for start in [*free, *range(2 * len(chains))]:
        if visited[start // 2]:
            continue
        pieces, weights, end = [], [], start
        while not visited[end // 2]:
            chain = chains[end // 2]
            visited[end // 2] = True
            pieces.append(chain.points if end % 2 == 0 else chain.points[::-1])
            weights.append((len(chain.points), chain.strength))
            end = partner.get(end ^ 1, end)
        total = sum(length for length, _ in weights)
        joined.append(Chain(np.concatenate(pieces), sum(length * strength for length, strength in weights) / total))
    return joined
