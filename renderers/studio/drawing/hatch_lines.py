"""Where lines of hatching run: side by side at a slant, or along the forms; each as long and as dark as needed.

The density `lacks` (h, w) is what the drawing still lacks at each pixel (see `hatching.Preview.lacks`).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from renderers.raster.jit import kernel, part
from renderers.raster.ribbon import Floats, Ints

_BEGINS, _GOES_ON = 0.07, 0.035  # lacking density with which a line begins, and goes on
_LEAST_ALPHA = 0.03
_BOW = 0.05  # of a line's length: a wrist draws arcs
_MOST_LINES = 20_000
_STRAIGHT = 0.8  # cosine of the most that forms may turn within a pixel


class Pitch(NamedTuple):
    """How a layer is hatched.

    Attributes:
        spacing: between lines, px.
        longest: of the lines, px.
        covering: share of the space between two lines that one covers.
        pressure: the most opaque that a line gets.
    """

    spacing: float
    longest: float
    covering: float
    pressure: float


def seeds_of(
    lacks: Floats, labels: NDArray[np.uint16], urgency: Floats, spacing: float, rng: np.random.Generator
) -> Ints:
    """(S, 2) rows and columns about `spacing` px apart, those where most is lacking first.

    Args:
        urgency: (K,) factor on what is lacking in each thing.
    """
    stride = max(1.0, 0.7 * spacing)
    corners = np.stack(np.meshgrid(*(np.arange(0, side - stride, stride) for side in lacks.shape), indexing="ij"), -1)
    places = (corners + stride * rng.random(corners.shape)).reshape(-1, 2).astype(np.int32)
    lacking = lacks[places[:, 0], places[:, 1]]
    places, lacking = places[lacking > _BEGINS], lacking[lacking > _BEGINS]
    chosen: Ints = places[np.argsort(-lacking * urgency[labels[places[:, 0], places[:, 1]]], kind="stable")]
    return chosen


@part
def _fitted(alphas: Floats, count: int, pressure: float) -> tuple[float, float]:
    """Ends of the straight line through the first `count` values (least squares), within 0 and `pressure`."""
    mean, tilt, spread = 0.0, 0.0, 0.0
    middle = 0.5 * (count - 1)
    for i in range(count):
        mean += alphas[i] / count
        tilt += (i - middle) * alphas[i]
        spread += (i - middle) * (i - middle)
    slope = tilt / max(spread, 1e-6)
    first, last = mean - slope * middle, mean + slope * middle
    return min(pressure, max(0.0, first)), min(pressure, max(0.0, last))


@kernel
def parallel_lines(
    lacks: Floats, labels: NDArray[np.uint16], slants: NDArray[np.float64], pitch: Pitch, dice: NDArray[np.float64]
) -> Floats:  # fmt: skip
    """Lines (N, 9) of one layer, thing by thing in its own direction: three points, opacities at both ends, the thing.

    Lengths in pixels. Each line is as dark as what is lacking along it, and ends where nothing is or its thing ends.
    """
    height, width = lacks.shape
    rows = np.empty((_MOST_LINES, 9), np.float32)
    alphas = np.empty(int(2 * pitch.longest) + 2, np.float32)
    count, die = 0, 0
    boxes = np.empty((slants.shape[0], 4), np.int64)
    for thing in range(slants.shape[0]):
        boxes[thing, 0], boxes[thing, 1], boxes[thing, 2], boxes[thing, 3] = height, width, -1, -1
    for i in range(height):
        for j in range(width):
            thing = labels[i, j]
            boxes[thing, 0], boxes[thing, 1] = min(boxes[thing, 0], i), min(boxes[thing, 1], j)
            boxes[thing, 2], boxes[thing, 3] = max(boxes[thing, 2], i), max(boxes[thing, 3], j)
    for thing in range(slants.shape[0]):
        if boxes[thing, 2] < 0:
            continue
        cx, cy = 0.5 * (boxes[thing, 1] + boxes[thing, 3]), 0.5 * (boxes[thing, 0] + boxes[thing, 2])
        reach = 0.5 * np.hypot(boxes[thing, 3] - boxes[thing, 1], boxes[thing, 2] - boxes[thing, 0]) + 1
        dx, dy = np.cos(slants[thing]), np.sin(slants[thing])
        num_lines = int(2 * reach / pitch.spacing) + 1
        for line in range(num_lines):
            die = (die + 1) % dice.shape[0]
            aside = -reach + pitch.spacing * (line + 0.5 + 0.5 * (dice[die] - 0.5))
            ox, oy = cx - aside * dy, cy + aside * dx
            die = (die + 1) % dice.shape[0]
            most = pitch.longest * (0.4 + 0.9 * dice[die])
            n, start = 0, 0.0
            steps = int(2 * reach) + 2
            for step in range(steps):
                s = -reach + step
                x, y = ox + s * dx, oy + s * dy
                j, i = int(np.floor(x + 0.5)), int(np.floor(y + 0.5))
                inside = step < steps - 1 and i >= 0 and j >= 0 and i < height and j < width and labels[i, j] == thing
                value = lacks[i, j] if inside else 0.0
                on = value > (_GOES_ON if n > 0 else _BEGINS)
                if on and n < most:
                    if n == 0:
                        start = s
                    alphas[n] = min(pitch.pressure, (1 - np.exp(-value)) / pitch.covering)
                    n += 1
                    continue
                if n >= 3 and n > 0.8 * pitch.spacing and count < rows.shape[0]:
                    first, last = _fitted(alphas, n, pitch.pressure)
                    if max(first, last) > _LEAST_ALPHA:
                        die = (die + 3) % (dice.shape[0] - 3)
                        a, b = (
                            start - (dice[die] - 0.4) * 0.8 * pitch.spacing,
                            s + (dice[die + 1] - 0.6) * 0.8 * pitch.spacing,
                        )
                        bow = _BOW * (b - a) * (0.5 + dice[die + 2])
                        rows[count, 0], rows[count, 1] = ox + a * dx, oy + a * dy
                        rows[count, 2] = ox + 0.5 * (a + b) * dx + bow * dy
                        rows[count, 3] = oy + 0.5 * (a + b) * dy - bow * dx
                        rows[count, 4], rows[count, 5] = ox + b * dx, oy + b * dy
                        rows[count, 6], rows[count, 7], rows[count, 8] = first, last, thing
                        count += 1
                        die = (die + 1) % dice.shape[0]
                        most = pitch.longest * (0.4 + 0.9 * dice[die])
                n = 0
    return rows[:count].copy()


@kernel
def lines_along_form(
    lacks: Floats, labels: NDArray[np.uint16], form: tuple[Floats, Floats], pitch: Pitch, seeds: Ints, most_lines: int
) -> Floats:  # fmt: skip
    """As `parallel_lines`, but along the forms, from seeds (S, 2) in order; what a line adds is no longer lacking."""
    height, width = lacks.shape
    left = lacks.copy()
    stamp = np.zeros((height, width), np.int32)
    half = int(0.5 * pitch.longest) + 1
    xs, ys, alphas = np.empty(2 * half + 1), np.empty(2 * half + 1), np.empty(2 * half + 1, np.float32)
    rows = np.empty((min(most_lines, seeds.shape[0]), 9), np.float32)
    count = 0
    for which in range(seeds.shape[0]):
        if count >= rows.shape[0]:
            break
        i, j = seeds[which, 0], seeds[which, 1]
        if left[i, j] <= _BEGINS:
            continue
        thing = labels[i, j]
        first_index, last_index = half, half
        xs[half], ys[half] = j, i
        for side in range(2):
            x, y = float(j), float(i)
            dx, dy = (form[0][i, j], form[1][i, j]) if side == 0 else (-form[0][i, j], -form[1][i, j])
            for k in range(1, half + 1):
                x += dx
                y += dy
                p, q = int(np.floor(y + 0.5)), int(np.floor(x + 0.5))
                if p < 0 or q < 0 or p >= height or q >= width or labels[p, q] != thing or left[p, q] < _GOES_ON:
                    break
                tx, ty = form[0][p, q], form[1][p, q]
                along = tx * dx + ty * dy
                if abs(along) < _STRAIGHT:
                    break
                dx, dy = (tx, ty) if along > 0 else (-tx, -ty)
                if side == 0:
                    last_index = half + k
                    xs[last_index], ys[last_index] = x, y
                else:
                    first_index = half - k
                    xs[first_index], ys[first_index] = x, y
        n = last_index - first_index + 1
        if n < 3 or n < pitch.spacing:
            continue
        for k in range(n):
            p, q = int(np.floor(ys[first_index + k] + 0.5)), int(np.floor(xs[first_index + k] + 0.5))
            alphas[k] = min(pitch.pressure, (1 - np.exp(-max(0.0, left[p, q]))) / pitch.covering)
        first, last = _fitted(alphas, n, pitch.pressure)
        if max(first, last) <= _LEAST_ALPHA:
            continue
        middle = (first_index + last_index) // 2
        rows[count, 0], rows[count, 1] = xs[first_index], ys[first_index]
        rows[count, 2] = 2 * xs[middle] - 0.5 * (xs[first_index] + xs[last_index])
        rows[count, 3] = 2 * ys[middle] - 0.5 * (ys[first_index] + ys[last_index])
        rows[count, 4], rows[count, 5] = xs[last_index], ys[last_index]
        rows[count, 6], rows[count, 7], rows[count, 8] = first, last, thing
        count += 1
        radius = int(np.ceil(0.5 * pitch.spacing))
        for k in range(first_index, last_index + 1):
            alpha = first + (last - first) * (k - first_index) / (n - 1)
            added = -np.log(1 - min(0.95, alpha * pitch.covering))
            for p in range(max(0, int(ys[k] + 0.5) - radius), min(height, int(ys[k] + 0.5) + radius + 1)):
                for q in range(max(0, int(xs[k] + 0.5) - radius), min(width, int(xs[k] + 0.5) + radius + 1)):
                    far = np.hypot(p - ys[k], q - xs[k])
                    if far <= 0.5 * pitch.spacing + 0.5 and stamp[p, q] != count:
                        stamp[p, q] = count
                        left[p, q] -= added
    return rows[:count].copy()
