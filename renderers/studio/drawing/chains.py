"""Contours chained into long curves: walks along the ridges of a map of contours, then joined end to end.

A walk starts where the map is strongest and goes both ways, a pixel at a time: on along the flow and the walk's own
direction, then sideways to the crest. It runs over gaps, and through junctions straight ahead, as a hand does. It ends
at corners, where a hand lifts or turns.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from renderers.raster.jit import kernel, part
from renderers.raster.ribbon import Floats
from renderers.studio.drawing.edges import Contours

_GAP_STEPS = 6  # how far a walk goes on where there is no contour, px
_LEAST_CHAIN_PX = 6
_LONGEST_WALK = 2000
_MOST_WALKS = 500  # no drawing has more lines; joining takes time with their square
_TURN = 0.5  # cosine of the most that a walk may turn in a step
_INERTIA = np.float32(0.45)
_JOIN_PX, _JOIN_ANGLE = 16.0, 0.7  # farthest and most bent good continuation

_ZERO, _HALF, _ONE = np.float32(0), np.float32(0.5), np.float32(1)


@dataclass(frozen=True)
class Chain:
    """A long curve: (n, 2) places (x, y) in pixels, about one apart, and the contour's mean strength along it."""

    points: Floats
    strength: float

    @property
    def length_px(self) -> float:
        """Length of the curve."""
        return float(np.hypot(*np.diff(self.points, axis=0).T).sum())


def trace_chains(contours: Contours, high: float, low: float) -> list[Chain]:
    """Chains along all contours that somewhere reach `high`, followed while they are above `low`."""
    points, ends, strengths = _trace(
        contours.strength, contours.tangent_x, contours.tangent_y, np.float32(high), np.float32(low)
    )
    starts = np.concatenate([np.zeros(1, np.int64), ends])[:-1]
    walks = [
        Chain(points[start:end], float(strength)) for start, end, strength in zip(starts, ends, strengths, strict=True)
    ]
    walks.sort(key=lambda walk: -walk.length_px * walk.strength)
    return _joined(walks[:_MOST_WALKS])


@part
def _sample(field: Floats, y: np.float32, x: np.float32) -> np.float32:
    """Bilinear sample at (y, x), pixel centres on whole numbers; 0 outside."""
    height, width = field.shape
    i, j = int(np.floor(y)), int(np.floor(x))
    if i < 0 or j < 0 or i >= height - 1 or j >= width - 1:
        i, j = min(height - 2, max(0, i)), min(width - 2, max(0, j))
    fy, fx = min(_ONE, max(_ZERO, y - np.float32(i))), min(_ONE, max(_ZERO, x - np.float32(j)))
    upper = field[i, j] + fx * (field[i, j + 1] - field[i, j])
    lower = field[i + 1, j] + fx * (field[i + 1, j + 1] - field[i + 1, j])
    sampled: np.float32 = upper + fy * (lower - upper)
    return sampled


@kernel
def _trace(
    strength: Floats, tangent_x: Floats, tangent_y: Floats, high: np.float32, low: np.float32
) -> tuple[Floats, NDArray[np.int64], Floats]:
    """Points of all walks one behind the other, where each ends, and mean strengths."""
    height, width = strength.shape
    seeds = np.empty(height * width, np.int64)
    seed_strengths = np.empty(height * width, np.float32)
    num_seeds = 0
    for row in range(1, height - 1):
        for column in range(1, width - 1):
            value = strength[row, column]
            if value >= high:
                tx, ty = tangent_x[row, column], tangent_y[row, column]
                y, x = np.float32(row), np.float32(column)
                if value >= _sample(strength, y + tx, x - ty) and value >= _sample(strength, y - tx, x + ty):
                    seeds[num_seeds], seed_strengths[num_seeds] = row * width + column, value
                    num_seeds += 1
    order = np.argsort(-seed_strengths[:num_seeds], kind="mergesort")
    owner = np.zeros((height, width), np.int32)
    points = np.empty((4 * height * width, 2), np.float32)
    ends, strengths = np.empty(num_seeds, np.int64), np.empty(num_seeds, np.float32)
    half_x, half_y = np.empty((2, _LONGEST_WALK), np.float32), np.empty((2, _LONGEST_WALK), np.float32)
    lengths = np.zeros(2, np.int64)
    count, filled = 0, 0
    for which in range(num_seeds):
        seed = seeds[order[which]]
        row, column = seed // width, seed % width
        if owner[row, column] != 0:
            continue
        me = np.int32(which + 1)
        start_x, start_y = tangent_x[row, column], tangent_y[row, column]
        total, samples = _ZERO, 0
        for side in range(2):
            x, y = np.float32(column), np.float32(row)
            dx, dy = (start_x, start_y) if side == 0 else (-start_x, -start_y)
            n, weak, taken = 0, 0, 0
            while n < _LONGEST_WALK:
                i, j = int(np.floor(y + _HALF)), int(np.floor(x + _HALF))
                tx, ty = tangent_x[i, j], tangent_y[i, j]
                if tx * dx + ty * dy < _ZERO:
                    tx, ty = -tx, -ty
                if weak == 0:
                    if tx * dx + ty * dy < np.float32(_TURN):
                        break
                    tx, ty = _INERTIA * dx + (_ONE - _INERTIA) * tx, _INERTIA * dy + (_ONE - _INERTIA) * ty
                    inverse = _ONE / np.sqrt(tx * tx + ty * ty)
                    tx, ty = tx * inverse, ty * inverse
                else:
                    tx, ty = dx, dy
                next_x, next_y = x + tx, y + ty
                left, centre, right = (
                    _sample(strength, next_y + tx, next_x - ty),
                    _sample(strength, next_y, next_x),
                    _sample(strength, next_y - tx, next_x + ty),
                )
                bend = left - np.float32(2) * centre + right
                aside = _ZERO
                if max(left, centre, right) >= low:
                    if bend < _ZERO and centre >= min(left, right):
                        aside = min(np.float32(0.6), max(np.float32(-0.6), _HALF * (right - left) / bend))
                    else:
                        aside = np.float32(0.6) if left > right else np.float32(-0.6)
                # towards the crest, sideways along (-ty, tx)
                next_x, next_y = next_x - aside * ty, next_y + aside * tx
                i, j = int(np.floor(next_y + _HALF)), int(np.floor(next_x + _HALF))
                if i < 0 or j < 0 or i >= height or j >= width:
                    break
                step_x, step_y = next_x - x, next_y - y
                inverse = _ONE / np.sqrt(step_x * step_x + step_y * step_y + np.float32(1e-9))
                dx = _HALF * dx + _HALF * step_x * inverse
                dy = _HALF * dy + _HALF * step_y * inverse
                inverse = _ONE / np.sqrt(dx * dx + dy * dy + np.float32(1e-9))
                dx, dy = dx * inverse, dy * inverse
                x, y = next_x, next_y
                value = _sample(strength, y, x)
                if owner[i, j] != 0 and owner[i, j] != me:
                    taken += 1
                elif owner[i, j] == me and n > 12:  # round, back at its own beginning
                    taken += 2
                else:
                    taken = 0
                half_x[side, n], half_y[side, n] = x, y
                n += 1
                if taken >= 2:
                    break
                if value < low:
                    weak += 1
                    if weak > _GAP_STEPS:
                        break
                else:
                    weak = 0
                    total += value
                    samples += 1
                if n > 5:
                    a, b = int(np.floor(half_y[side, n - 6] + _HALF)), int(np.floor(half_x[side, n - 6] + _HALF))
                    for p in range(max(0, a - 1), min(height, a + 2)):
                        for q in range(max(0, b - 1), min(width, b + 2)):
                            if owner[p, q] == 0:
                                owner[p, q] = me
            n -= weak
            if taken >= 2:
                n -= 1
            lengths[side] = max(n, 0)
        owner[row, column] = me
        for side in range(2):
            for k in range(lengths[side]):
                a, b = int(np.floor(half_y[side, k] + _HALF)), int(np.floor(half_x[side, k] + _HALF))
                for p in range(max(0, a - 1), min(height, a + 2)):
                    for q in range(max(0, b - 1), min(width, b + 2)):
                        if owner[p, q] == 0:
                            owner[p, q] = me
        if lengths[0] + lengths[1] + 1 < _LEAST_CHAIN_PX or filled + lengths[0] + lengths[1] + 1 > points.shape[0]:
            continue
        for k in range(lengths[1] - 1, -1, -1):
            points[filled, 0], points[filled, 1] = half_x[1, k], half_y[1, k]
            filled += 1
        points[filled, 0], points[filled, 1] = np.float32(column), np.float32(row)
        filled += 1
        for k in range(lengths[0]):
            points[filled, 0], points[filled, 1] = half_x[0, k], half_y[0, k]
            filled += 1
        ends[count], strengths[count] = filled, total / np.float32(max(1, samples))
        count += 1
    return points[:filled].copy(), ends[:count].copy(), strengths[:count].copy()


def _joined(chains: list[Chain]) -> list[Chain]:
    """Chains whose ends continue one another become one: nearest and straightest pairs first."""
    if len(chains) < 2:
        return chains
    ends, outward = _ends(chains)
    reach = np.repeat([min(_JOIN_PX, 0.4 * chain.length_px) for chain in chains], 2)
    gap = ends[None, :] - ends[:, None]
    apart = np.hypot(gap[..., 0], gap[..., 1])
    along = gap / np.maximum(apart, 1e-6)[..., None]
    leave = _angle((along * outward[:, None]).sum(-1))
    bend = _angle(-(outward[:, None] * outward[None, :]).sum(-1))
    close = apart < 2.5  # so near that the direction of the gap says nothing
    leave = np.where(close, 0.5 * bend, leave)
    cost = apart / np.maximum(np.minimum(reach[:, None], reach[None, :]), 3.0)
    cost = cost + (np.maximum(leave, leave.T) ** 2 + bend**2) / _JOIN_ANGLE**2
    cost[np.tril_indices(len(cost))] = np.inf
    same = np.arange(0, len(cost), 2)
    cost[same, same + 1] = np.inf
    first, second = np.nonzero(cost < 1.0)
    cheapest = np.argsort(cost[first, second], kind="stable")
    partner: dict[int, int] = {}
    for a, b in zip(first[cheapest].tolist(), second[cheapest].tolist(), strict=True):
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
    """Follow partners from free ends, then round what is closed. Ends 2k and 2k + 1 belong to chain k."""
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
