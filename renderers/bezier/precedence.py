"""The order of strokes. Strokes that do not touch can change places without changing the finished painting."""

import numpy as np
from numpy.typing import NDArray

from renderers.raster.jit import kernel
from renderers.raster.ribbon import X0, X1, X2, Y0, Y1, Y2, Floats, Grid, Ints, grid, outline

_CELLS = 160
_SHARP_PX = np.float32(1)
_SAMPLES = (0.0, 0.25, 0.5, 0.75, 1.0)


def subject_first(strokes: Floats, saliency: Floats, haste: float, covers: float = 1.0) -> NDArray[np.int64]:
    """An order of strokes in which what draws the eye is finished early.

    Stroke number i of N, with k strokes over less salient places, is due at i / N - haste k / N. All strokes beneath it
    are laid before it. So where paint covers, each pixel still gets the same strokes in the same order.

    Args:
        strokes: (N, 13 or more) in the order in which they were planned.
        saliency: (h, w) in [0, 1].
        haste: 0 leaves the order as it is.
        covers: 0 for paint that adds up, where any order gives the same painting.

    Returns:
        (N,) the number of the stroke that is laid first, second, and so on.
    """
    ranks = np.empty(len(strokes))
    ranks[np.argsort(along(strokes, saliency), kind="stable")] = np.arange(len(strokes))
    turns = ((np.arange(len(strokes)) - haste * ranks) / len(strokes)).astype(np.float32)
    if covers:
        height, width = saliency.shape
        scale = _CELLS / min(height, width)
        cells = grid(round(scale * height), round(scale * width))
        spans = np.empty(cells.height, np.int32), np.empty(cells.height, np.int32)
        _before_what_lies_above(strokes, turns, cells, *spans, np.full(cells.height * cells.width, np.inf, np.float32))
    order: NDArray[np.int64] = np.argsort(turns, kind="stable")
    return order


def along(strokes: Floats, values: Floats) -> Floats:
    """(N,) mean of a map (h, w) of the canvas along the middle line of each stroke."""
    height, width = values.shape
    total = np.zeros(len(strokes), np.float32)
    for t in _SAMPLES:
        x, y = (
            (1 - t) ** 2 * strokes[:, first] + 2 * t * (1 - t) * strokes[:, bend] + t * t * strokes[:, last]
            for first, bend, last in ((X0, X1, X2), (Y0, Y1, Y2))
        )
        columns = np.clip(x * min(height, width), 0, width - 1).astype(int)
        rows = np.clip(y * min(height, width), 0, height - 1).astype(int)
        total += values[rows, columns]
    mean: Floats = total / np.float32(len(_SAMPLES))
    return mean


@kernel
def _before_what_lies_above(
    strokes: Floats, turns: Floats, cells: Grid, row_lo: Ints, row_hi: Ints, soonest: Floats
) -> None:
    """Give each stroke the earliest turn of itself and of all strokes that are laid over it, in place.

    Args:
        turns: (N,) changed.
        cells: a coarse grid; strokes that share a cell count as touching.
        row_lo, row_hi, soonest: scratch, twice (height of `cells`,) and (number of cells,); `soonest` is all infinite.
    """
    for i in range(strokes.shape[0] - 1, -1, -1):
        top, rows = outline(strokes[i], cells, _SHARP_PX, row_lo, row_hi)
        turn = turns[i]
        for row in range(rows):
            for column in range(row_lo[row], row_hi[row]):
                turn = min(turn, soonest[(top + row) * cells.width + column])
        turns[i] = turn
        for row in range(rows):
            for column in range(row_lo[row], row_hi[row]):
                soonest[(top + row) * cells.width + column] = turn
