"""Strokes in Learning to Paint's form, to and from ours.

Their form (13 numbers in [0, 1]: x0 y0 x1 y1 x2 y2 z0 z2 w0 w2 and three colours; see `renderers.raster.discs`) differs
in five ways: x is the row; coordinates span the pixels of a square canvas, from the first centre to the last; the
control point is relative to the box of the end points; z is a code for the radius that depends on the width of the
canvas; colours are BGR, because their pictures were read with OpenCV and never swapped.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from renderers.painting import StrokeProgram
from renderers.raster.ribbon import A0, A2, NUM_COLUMNS, R0, R2, RED, Floats

Channels = Literal["bgr", "rgb"]

_Doubles = NDArray[np.float64]

_SWAP_AXES = [1, 0, 3, 2, 5, 4]  # row, column <-> x, y
_WIDTH_PX = 128  # of the canvas that their published actors paint on
_RELATIVE = slice(2, 4)  # columns of the control point


def from_learning_to_paint(
    strokes: Floats,
    canvas: tuple[float, float, float] = (0.0, 0.0, 0.0),
    width_px: int = _WIDTH_PX,
    channels: Channels = "bgr",
) -> StrokeProgram:
    """A Bézier program that looks like strokes of Learning to Paint.

    Like, not the same: where a stroke crosses itself or turns sharply, a pixel takes the opacity of the nearest point
    of the curve instead of the last, and discs on whole pixels become a smooth ribbon (measured at 128 px: 29 dB a
    stroke on average, 42 dB for small strokes). Opacities and colours are exact; radii are those of the discs they
    draw on a canvas of `width_px`, (1 + floor(z W / 2)) / 2 pixels.

    Args:
        strokes: (N, 13) in their form.
        canvas: RGB of the blank canvas; theirs is black.
        width_px: W of the square canvas that the strokes were made for.
        channels: order of the strokes' colours.

    Raises:
        ValueError: if the strokes are not (N, 13) numbers in [0, 1], or the width or the order is not possible.
    """
    _check(width_px, channels)
    if strokes.ndim != 2 or strokes.shape[1] != NUM_COLUMNS:
        raise ValueError(f"strokes must be (N, 13), not {strokes.shape}")
    if not ((strokes >= 0) & (strokes <= 1)).all():
        raise ValueError("strokes of Learning to Paint are made of numbers in [0, 1]")
    theirs = strokes.astype(np.float64)
    points = theirs[:, :6]
    points[:, _RELATIVE] = points[:, :2] + (points[:, 4:6] - points[:, :2]) * points[:, _RELATIVE]
    ours = np.empty_like(theirs)
    ours[:, :6] = _to_units(points[:, _SWAP_AXES], width_px)
    ours[:, R0 : R2 + 1] = (1 + np.floor(theirs[:, 6:8] * width_px / 2)) / (2 * width_px)
    ours[:, A0 : A2 + 1] = theirs[:, 8:10]
    ours[:, RED:] = theirs[:, 10:][:, _order(channels)]
    return StrokeProgram(
        family="bezier", strokes=ours.astype(np.float32), canvas=canvas, height_px=width_px, width_px=width_px
    )


def to_learning_to_paint(program: StrokeProgram, width_px: int | None = None, channels: Channels = "bgr") -> Floats:
    """The strokes of a Bézier program in Learning to Paint's form.

    Opacities and colours are exact, and so is the whole stroke if it came from `from_learning_to_paint` (radii to the
    disc they draw). Their form cannot hold everything of ours, and what it cannot hold is clipped to the nearest that
    it can: control points outside the box of the end points, end points off the canvas, radii above
    (1 + W / 2) / 2 pixels, about a quarter of the canvas, or below half a pixel; others are rounded to half pixels.

    Args:
        program: of the family "bezier", on a square canvas.
        width_px: W of the canvas they are to be painted on; by default the program's own.
        channels: order of the colours to return.

    Returns:
        (N, 13) float32 in [0, 1]. The blank canvas is not part of it.

    Raises:
        ValueError: if the program is of another family or its canvas is not square.
    """
    width_px = width_px or program.width_px
    _check(width_px, channels)
    if program.family != "bezier":
        raise ValueError(f"only Bézier strokes have Learning to Paint's form, not those of '{program.family}'")
    if program.height_px != program.width_px:
        raise ValueError(
            f"Learning to Paint paints on square canvases, not {program.height_px} x {program.width_px} pixels"
        )
    ours = program.strokes.astype(np.float64)
    points = np.clip(_from_units(ours[:, :6], width_px)[:, _SWAP_AXES], 0.0, 1.0)
    middle = _from_units(ours[:, 2:4], width_px)[:, ::-1]
    across = points[:, 4:6] - points[:, :2]
    flat = across == 0  # the box has no extent: every relative control point is the same
    points[:, _RELATIVE] = np.where(flat, 0.5, (middle - points[:, :2]) / np.where(flat, 1.0, across))
    theirs = np.empty_like(ours)
    theirs[:, :6] = points
    # The middle of the codes that draw the nearest disc, so that float32 cannot tip it over to the next.
    theirs[:, 6:8] = 2 * (np.rint(ours[:, R0 : R2 + 1] * 2 * width_px) - 0.5) / width_px
    theirs[:, 8:10] = ours[:, A0 : A2 + 1]
    theirs[:, 10:] = ours[:, RED:][:, _order(channels)]
    return np.clip(theirs, 0.0, 1.0).astype(np.float32)


def _to_units(points: _Doubles, width_px: int) -> _Doubles:
    """From their coordinates to shares of the canvas.

    Ends stand on whole pixels n of the doubled canvas, whose centres are at n + 1/2, but all between is cut down to
    whole pixels, by half a pixel on average. Leaving out the half comes closest (measured: by 0.4 to 1 dB).
    """
    return points * (2 * width_px - 1) / (2 * width_px)


def _from_units(points: _Doubles, width_px: int) -> _Doubles:
    return points * (2 * width_px) / (2 * width_px - 1)


def _order(channels: Channels) -> list[int]:
    return [2, 1, 0] if channels == "bgr" else [0, 1, 2]


def _check(width_px: int, channels: Channels) -> None:
    if width_px < 2:
        raise ValueError(f"width_px must be 2 or more, not {width_px}")
    if channels not in ("bgr", "rgb"):
        raise ValueError(f"channels must be bgr or rgb, not {channels}")
