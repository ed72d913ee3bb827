"""Where lines across an area run inside it: the ways of strokes that fill it, each from a first point to a last one."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from renderers.raster.jit import kernel, part
from renderers.raster.ribbon import Floats

Pixels = NDArray[np.uint8]


class Lines(NamedTuple):
    """Parallel lines over an area, and which parts of them are worth a stroke; lengths in pixels.

    Attributes:
        angle: direction of the lines, in radians.
        spacing: distance between neighbouring lines.
        within: distance from the border of the area at which they end.
        longest: greatest length of a way; longer runs are divided.
        shortest: least length of a way; shorter ones are left out.
        new: least share of a way that must be bare.
    """

    angle: float
    spacing: float
    within: float
    longest: float
    shortest: float
    new: float


def runs_inside(bare: Pixels, depths: Floats, lines: Lines) -> Floats:
    """(N, 4) first and last points (x, y) of ways, line after line, to and fro.

    Args:
        bare: (h, w) more than 0 where nothing is painted yet.
        depths: (h, w) distance from the border of the area, 0 outside.
    """
    height, width = bare.shape
    reach = 0.5 * np.hypot(height, width)
    most = int(2 * reach / lines.spacing + 2) * int(2 * reach / (lines.shortest + 1.0) + 2)
    ways = np.empty((most, 4), np.float32)
    return ways[: _walk(bare, depths, lines, reach, ways)]


@kernel
def _walk(bare: Pixels, depths: Floats, lines: Lines, reach: float, ways: Floats) -> int:
    """Walk all lines, pixel by pixel; returns how many ways were written."""
    height, width = bare.shape
    along_x, along_y = np.cos(lines.angle), np.sin(lines.angle)
    num_lines, num_steps = int(2 * reach / lines.spacing) + 1, int(2 * reach) + 1
    num_bare = np.zeros(num_steps + 1, np.int64)
    count = 0
    for number in range(num_lines):
        aside = number * lines.spacing - reach
        middle_x, middle_y = 0.5 * width - aside * along_y, 0.5 * height + aside * along_x
        start, first_way = -1, count
        for step in range(num_steps):
            along = step - reach
            column, row = round(middle_x + along * along_x), round(middle_y + along * along_y)
            inside = 0 <= column < width and 0 <= row < height and depths[row, column] >= lines.within
            num_bare[step + 1] = num_bare[step] + (1 if inside and bare[row, column] > 0 else 0)
            if inside and start < 0:
                start = step
            if start >= 0 and (not inside or step == num_steps - 1):
                count = _divided(start, step - 1, num_bare, lines, middle_x, middle_y, reach, ways, count)
                start = -1
        if number % 2 == 1:
            _turned(ways, first_way, count)
    return count


@part
def _divided(
    start: int, stop: int, num_bare: NDArray[np.int64], lines: Lines, middle_x: float, middle_y: float, reach: float,
    ways: Floats, count: int,
) -> int:  # fmt: skip
    """Write the parts of a run that are long enough and new; returns how many ways there are then."""
    pieces = max(1, round((stop - start) / lines.longest))
    for piece in range(pieces):
        first = start + round((stop - start) * piece / pieces)
        last = start + round((stop - start) * (piece + 1) / pieces)
        num_new = num_bare[last + 1] - num_bare[first]
        if last - first < lines.shortest or num_new < lines.new * (last + 1 - first) or count == ways.shape[0]:
            continue
        for end in range(2):
            along = (last if end else first) - reach
            ways[count, 2 * end] = middle_x + along * np.cos(lines.angle)
            ways[count, 2 * end + 1] = middle_y + along * np.sin(lines.angle)
        count += 1
    return count


@part
def _turned(ways: Floats, start: int, stop: int) -> None:
    """Reverse the ways of a line, and each of them."""
    for place in range((stop - start + 1) // 2):
        one, other = start + place, stop - 1 - place
        for c in range(2):
            ways[one, c], ways[one, c + 2], ways[other, c], ways[other, c + 2] = (
                ways[other, c + 2], ways[other, c], ways[one, c + 2], ways[one, c],
            )  # fmt: skip
