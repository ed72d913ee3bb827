"""Distance of a canvas from the finished one, in which composition and detail count alike.

The first few broad strokes use up almost all of a plain RMS distance: five of 500 can account for nine tenths of it,
and the drawing and detail that follow would hardly count. So the difference is split into octaves, from single pixels
to blocks of a quarter of the canvas, and each octave counts the same:

    d(C) = mean over octaves b of min(1, |band_b(C - finished)| / |band_b(blank - finished)|)

which is 1 for the blank canvas and 0 for the finished one. The octaves are those of nested block means (Haar), which
are orthogonal: with S_b the energy of the means over blocks of 2^b pixels, band b holds S_b - S_(b+1).
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from renderers.raster.jit import kernel, part
from renderers.raster.ribbon import Floats, Grid, Ints
from renderers.raster.stamp import Scratch, draw, new_scratch

_3 = np.uint64(3)
_NO_DENSITY = np.float32(0)
_NOTHING = 1e-9  # energy per pixel below which an octave is empty


def num_octaves(height: int, width: int) -> int:
    """Octaves above single pixels: the largest blocks are about a quarter of the shorter side."""
    return max(1, int(np.log2(min(height, width))) - 2)


def lowpass_energies(difference: NDArray[np.float64]) -> NDArray[np.float64]:
    """Energies of the block means of a (H, W, 3) difference, over blocks of 1, 2, 4, ... pixels.

    Returns:
        (B + 1,) sum over blocks of |sum of the block|^2 / pixels in it.
    """
    height, width = difference.shape[:2]
    sums, counts = np.asarray(difference, np.float64), np.ones((height, width))
    energies = [float((sums**2).sum())]
    for _ in range(num_octaves(height, width)):
        sums, counts = _pool(sums), _pool(counts)
        energies.append(float(((sums**2).sum(-1) / counts).sum()))
    return np.array(energies)


def distances_from_energies(
    energies: NDArray[np.float64], blank: NDArray[np.float64], pixels: int
) -> NDArray[np.float64]:
    """Distances of canvases from the finished one, given the low-pass energies of each difference.

    Args:
        energies: (K, B + 1) of K canvases.
        blank: (B + 1,) of the blank canvas.
        pixels: number of pixels of the canvas.

    Returns:
        (K,) distances in [0, 1]; all 0 where the blank canvas is the finished one.
    """
    bands, blank_energies = _bands(energies), _bands(blank[None])[0]
    measurable = blank_energies > _NOTHING * pixels
    if not measurable.any():
        return np.zeros(len(energies))
    distances: NDArray[np.float64] = np.minimum(1.0, np.sqrt(bands[:, measurable] / blank_energies[measurable])).mean(
        -1
    )
    return distances


def canvas_distances(canvases: list[NDArray[np.floating]], blank: NDArray[np.floating]) -> NDArray[np.float64]:
    """Distances of (H, W, 3) canvases in [0, 1] from the last of them."""
    return _distances_from(canvases[-1], canvases, blank)


def frame_distances(frames: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Distances of (T, H, W, 3) frames from the last; only one of them at a time is held as floating-point numbers."""
    in_float = (frame / np.float32(255) for frame in frames)
    return _distances_from(frames[-1] / np.float32(255), in_float, frames[0] / np.float32(255))


def _distances_from(
    last: NDArray[np.floating], canvases: Iterable[NDArray[np.floating]], blank: NDArray[np.floating]
) -> NDArray[np.float64]:
    finished = last.astype(np.float64)
    energies = np.stack([lowpass_energies(canvas - finished) for canvas in canvases])
    return distances_from_energies(energies, lowpass_energies(blank - finished), finished.shape[0] * finished.shape[1])


def step_distances(
    canvases: Sequence[NDArray[np.floating]], blank: NDArray[np.floating], finished: NDArray[np.floating]
) -> NDArray[np.float64]:
    """How much each step changes, in the same measure: (T - 1,) distances between neighbours among T canvases.

    Args:
        canvases: T canvases of (H, W, 3), in [0, 1].
        blank, finished: (H, W, 3) canvases, whose distance from each other counts as 1.
    """
    exact = [canvas.astype(np.float64) for canvas in canvases]
    energies = [lowpass_energies(later - earlier) for earlier, later in pairwise(exact)]
    blank_energies = lowpass_energies(finished.astype(np.float64) - blank.astype(np.float64))
    return distances_from_energies(np.stack(energies), blank_energies, blank.shape[0] * blank.shape[1])


class Ledger(NamedTuple):
    """Block sums of the difference from the finished canvas, all octaves from 2 pixels up, updated while painting.

    Octave b begins at `starts[b - 1]`; `changes` is zero between strokes. `energies` is (N + 1, B + 1), low-pass.
    """

    starts: NDArray[np.int64]
    sums: NDArray[np.float64]
    changes: NDArray[np.float64]
    energies: NDArray[np.float64]

    def distances(self, pixels: int) -> NDArray[np.float64]:
        """(N + 1,) distances, once all energies are written."""
        distances = distances_from_energies(self.energies, self.energies[0], pixels)
        distances[-1] = 0.0  # anything else is a rounding error
        return distances


def new_ledger(blank: Floats, finished: Floats, grid: Grid, num_strokes: int) -> Ledger:
    """A ledger for painting from `blank` to `finished`, both (h * w * 3,)."""
    octaves = num_octaves(grid.height, grid.width)
    residual = (blank.astype(np.float64) - finished).reshape(grid.height, grid.width, 3)
    energies = np.zeros((num_strokes + 1, octaves + 1))
    energies[0] = lowpass_energies(residual)
    levels = []
    for _ in range(octaves):
        residual = _pool(residual)
        levels.append(residual.reshape(-1))
    sums = np.concatenate(levels)
    return Ledger(np.cumsum([0, *(level.size for level in levels)]), sums, np.zeros_like(sums), energies)


def stroke_distances(strokes: Floats, grid: Grid, blank: Floats, finished: Floats) -> NDArray[np.float64]:
    """Distance from the finished canvas after every stroke.

    Args:
        strokes: (N, 13).
        blank, finished: (h * w * 3,) the canvas before and after all strokes.

    Returns:
        (N + 1,) as `Painting.distances`.
    """
    ledger = new_ledger(blank, finished, grid, len(strokes))
    _trace(strokes, grid, blank.copy(), blank.copy(), finished, new_scratch(grid), ledger)
    return ledger.distances(grid.height * grid.width)


@kernel
def _trace(
    strokes: Floats, grid: Grid, canvas: Floats, visible: Floats, finished: Floats, scratch: Scratch, ledger: Ledger
) -> None:
    """Paint stroke by stroke and keep the ledger up to date."""
    for i in range(strokes.shape[0]):
        top, rows = draw(strokes[i], grid, canvas, scratch)
        record(
            i, top, rows, scratch.row_lo, scratch.row_hi, grid, canvas, canvas, _NO_DENSITY, visible, finished, ledger
        )


@part
def record(
    step: int, top: int, rows: int, row_lo: Ints, row_hi: Ints, grid: Grid, canvas: Floats, ground: Floats,
    density: np.float32, visible: Floats, finished: Floats, ledger: Ledger,
) -> None:  # fmt: skip
    """Enter the change made by stroke number `step` into the ledger; only the pixels of its spans are read.

    Args:
        canvas: (3n,) the paint, or the ink on the paper, including the stroke.
        ground: (3n,) the paper.
        density: absorption of full ink; 0 if `canvas` is visible as it is.
        visible, finished: (3n,) the visible canvas before the stroke, which is updated, and the finished one.
    """
    energies, changes = ledger.energies, ledger.changes
    for b in range(energies.shape[1]):
        energies[step + 1, b] = energies[step, b]
    left, right, half_width = grid.width, 0, (grid.width + 1) // 2
    gained = 0.0
    for row in range(rows):
        first, last = row_lo[row], row_hi[row]
        if last > first:
            left, right = min(left, first), max(right, last)
        at = _3 * np.uint64((top + row) * grid.width + first)
        block_row = 3 * (((top + row) >> 1) * half_width)
        for j in range(last - first):
            block = np.uint64(block_row + 3 * ((first + j) >> 1))
            for c in range(3):
                q = at + _3 * np.uint64(j) + np.uint64(c)
                after = canvas[q] if density == _NO_DENSITY else ground[q] * np.exp(-density * canvas[q])
                old, new = np.float64(visible[q] - finished[q]), np.float64(after - finished[q])
                visible[q] = after
                gained += new * new - old * old
                changes[block + np.uint64(c)] += new - old
    if right > left:  # a stroke beside the canvas has rows, but no pixels
        energies[step + 1, 0] += gained
        propagate(top, top + rows, left, right, grid, ledger, energies[step + 1])


@part
def propagate(
    top: int, bottom: int, left: int, right: int, grid: Grid, ledger: Ledger, energies: NDArray[np.float64]
) -> None:  # fmt: skip
    """Carry changes of the 2 x 2 block sums up through all octaves, within the box of pixels that changed.

    Args:
        energies: (B + 1,); all but the first are updated.
    """
    starts, sums, changes = ledger.starts, ledger.sums, ledger.changes
    octaves = energies.shape[0] - 1
    for b in range(1, octaves + 1):
        size, width = 1 << b, (grid.width + (1 << b) - 1) >> b
        start = starts[b - 1]
        for y in range(top >> b, ((bottom - 1) >> b) + 1):
            tall = min(size, grid.height - y * size)
            for x in range(left >> b, ((right - 1) >> b) + 1):
                count = np.float64(tall * min(size, grid.width - x * size))
                for c in range(3):
                    q = start + 3 * (y * width + x) + c
                    change = changes[q]
                    if change != 0.0:
                        energies[b] += change * (change + 2.0 * sums[q]) / count
                        sums[q] += change
                        changes[q] = 0.0
                        if b < octaves:
                            parent = starts[b] + 3 * ((y >> 1) * ((width + 1) >> 1) + (x >> 1)) + c
                            changes[parent] += change


def _bands(energies: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K, B + 1) energies of orthogonal octaves, the coarsest last, from (K, B + 1) low-pass energies."""
    octaves = np.concatenate([energies[:, :-1] - energies[:, 1:], energies[:, -1:]], axis=1)
    return octaves.clip(min=0.0)  # rounding errors may make small energies negative


def _pool(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums over 2 x 2 blocks; the last blocks of an odd side are smaller."""
    height, width = values.shape[:2]
    padding = [(0, height % 2), (0, width % 2), *[(0, 0)] * (values.ndim - 2)]
    even = np.pad(values, padding)
    return even[0::2, 0::2] + even[1::2, 0::2] + even[0::2, 1::2] + even[1::2, 1::2]
