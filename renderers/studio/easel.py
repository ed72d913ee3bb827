"""The easel: what is painted so far, at the size that all strokes together are worth, and which strokes made it."""

import numpy as np
from numpy.typing import NDArray

from renderers.brush.stroke import FAR_RED, NUM_BRUSH_COLUMNS, Marks, lay_all, new_brush_scratch, solve_colours
from renderers.painting import Image
from renderers.raster.gradient import NO_STATES
from renderers.raster.ribbon import RED, X0, X1, X2, Y0, Y1, Y2, Floats, grid
from renderers.shrink import shrink
from renderers.studio.phases import PHASES, Phase, Turns

Box = tuple[slice, slice]
WHOLE_CANVAS: Box = (slice(None), slice(None))

Pixels = tuple[NDArray[np.int64], NDArray[np.int64]]
"""(n,) rows and (n,) columns."""

_SOLVE_STEPS, _UNDERPAINTING_WEIGHT = 5, 0.04
_HALVES = {RED: (0.0, 0.1, 0.2, 0.3, 0.4), FAR_RED: (0.6, 0.7, 0.8, 0.9, 1.0)}  # where each colour of a stroke prevails


def pixels_at_middles(strokes: Floats, size_px: tuple[int, int]) -> Pixels:
    """The pixels at the middle points of strokes, on a canvas (height, width)."""
    return _pixels_at(strokes[:, X1], strokes[:, Y1], size_px)


def pixels_along(strokes: Floats, t: float, size_px: tuple[int, int]) -> Pixels:
    """The pixels on the middle lines of strokes, from t = 0 at one end to 1 at the other, as `pixels_at_middles`."""
    near, middle, far = (1 - t) ** 2, 2 * t * (1 - t), t * t
    x = near * strokes[:, X0] + middle * strokes[:, X1] + far * strokes[:, X2]
    y = near * strokes[:, Y0] + middle * strokes[:, Y1] + far * strokes[:, Y2]
    return _pixels_at(x, y, size_px)


def _pixels_at(x: Floats, y: Floats, size_px: tuple[int, int]) -> Pixels:
    """The pixels at (n,) places in units of the shorter side, or the nearest ones on the canvas."""
    height, width = size_px
    short = min(size_px)
    rows = np.clip(y * short, 0, height - 1).astype(int)
    return rows, np.clip(x * short, 0, width - 1).astype(int)


class Easel:
    """A canvas in the making.

    Attributes:
        canvas: (h, w, 3) RGB, or amounts of paint that absorbs.
        marks: of all brushes.
    """

    def __init__(self, canvas: Image, marks: Marks) -> None:
        self.canvas, self.marks = canvas, marks
        self._strokes: list[Floats] = [np.zeros((0, NUM_BRUSH_COLUMNS), np.float32)]
        self._phases: list[NDArray[np.uint8]] = [np.zeros(0, np.uint8)]
        self._objects: list[NDArray[np.int16]] = [np.zeros(0, np.int16)]

    @property
    def short_px(self) -> int:
        """Pixels of the shorter side, the unit of length."""
        return int(min(self.canvas.shape[:2]))

    def lay(self, strokes: Floats, phase: Phase | NDArray[np.uint8], things: int | NDArray[np.integer]) -> None:
        """Lay strokes (N, NUM_BRUSH_COLUMNS).

        Args:
            phase: of all strokes, or (N,) of each, as places in `PHASES`.
            things: label of the object that all strokes belong to, or (N,) of each; may be `WHOLE`.
        """
        strokes = np.ascontiguousarray(strokes, np.float32)
        pixels = grid(*self.canvas.shape[:2])
        flat = self.canvas.reshape(-1).copy()
        lay_all(strokes, pixels, self.marks, flat, new_brush_scratch(pixels))
        self.canvas = flat.reshape(self.canvas.shape)
        place = PHASES.index(phase) if isinstance(phase, str) else phase
        self._strokes.append(strokes)
        self._phases.append(np.broadcast_to(np.asarray(place, np.uint8), len(strokes)))
        self._objects.append(np.broadcast_to(np.asarray(things, np.int16), len(strokes)))

    def solve(
        self, strokes: Floats, goal: Image, box: Box = WHOLE_CANVAS, after: NDArray[np.int64] | None = None,
        share: float = 1.0,
    ) -> None:  # fmt: skip
        """Give strokes the colours that bring a part of the canvas, as it is, nearest to `goal`; in place.

        Args:
            strokes: in coordinates of the part.
            goal: (h, w, 3) of the part.
            box: the part.
            after: numbers of strokes after which the canvas should resemble the goal already.
            share: of the size at which colours are solved for; broad strokes need less than all of it.
        """
        size_px = max(1, round(share * min(goal.shape[:2])))
        target, below = shrink(goal, size_px).reshape(-1), shrink(self.canvas[box], size_px)
        pixels = grid(*below.shape[:2])
        solve_colours(
            strokes, pixels, self.marks, target, below.reshape(-1), np.zeros(0, np.int64) if after is None else after,
            np.float32(_UNDERPAINTING_WEIGHT), np.float32(0), _SOLVE_STEPS, new_brush_scratch(pixels), NO_STATES,
        )  # fmt: skip

    def deepen(self, strokes: Floats) -> None:
        """Give strokes at least the amounts that paper already holds where they go, so that they wash nothing off."""
        size_px = self.canvas.shape[0], self.canvas.shape[1]
        for end, places in _HALVES.items():
            amounts = np.stack([self.canvas[pixels_along(strokes, t, size_px)] for t in places])
            strokes[:, end : end + 3] = np.maximum(strokes[:, end : end + 3], np.median(amounts, axis=0))

    def strokes(self) -> Floats:
        """(N, NUM_BRUSH_COLUMNS) all strokes, in painting order."""
        return np.concatenate(self._strokes)

    def turns(self, names: tuple[str, ...]) -> Turns:
        """Phase and object of every stroke."""
        return Turns(phases=np.concatenate(self._phases), objects=np.concatenate(self._objects), names=names)
