"""The exact strokes of Learning to Paint, against OpenCV drawing the same discs."""

import cv2
import numpy as np
import pytest

from renderers.raster.discs import disc_masks, half_widths, paint_discs
from renderers.raster.ribbon import Floats


def random_strokes(num: int, kind: str) -> Floats:
    strokes = np.random.default_rng(0).random((num, 13)).astype(np.float32)
    if kind == "thin and fast":  # discs far apart: holes between them
        strokes[:, 6:8] *= 0.02
    if kind == "even":  # 0.9 * 3 + 0.1 * 3 is less than 3, and some opacities are exactly 0
        strokes[:, 7] = strokes[:, 6]
        strokes[:, 8:10] = strokes[:, 8:10].round()
    if kind == "corners":
        strokes[:, :10] = strokes[:, :10].round()
    return strokes


def drawn_with_opencv(stroke: Floats, width: int) -> Floats:
    """Their drawing in their order: x is the row, later discs overwrite, then halved."""
    x0, y0, x1, y1, x2, y2, z0, z2, w0, w2 = (float(value) for value in stroke[:10])
    x1, y1 = x0 + (x2 - x0) * x1, y0 + (y2 - y0) * y1
    x0, y0, x1, y1, x2, y2 = (int(p * (2 * width - 1) + 0.5) for p in (x0, y0, x1, y1, x2, y2))
    z0, z2 = int(1 + z0 * width // 2), int(1 + z2 * width // 2)
    canvas = np.zeros((2 * width, 2 * width), np.float32)
    for i in range(100):
        t = i * 0.01
        row = int((1 - t) * (1 - t) * x0 + 2 * t * (1 - t) * x1 + t * t * x2)
        column = int((1 - t) * (1 - t) * y0 + 2 * t * (1 - t) * y1 + t * t * y2)
        cv2.circle(canvas, (column, row), int((1 - t) * z0 + t * z2), (1 - t) * w0 + t * w2, -1)
    return np.asarray(cv2.resize(canvas, (width, width)), np.float32)


@pytest.mark.parametrize("width", [128, 64, 100])
@pytest.mark.parametrize("kind", ["any", "thin and fast", "even", "corners"])
def test_masks_are_those_of_opencv(width: int, kind: str) -> None:
    strokes = random_strokes(150, kind)
    for stroke, mask in zip(strokes, disc_masks(strokes, width), strict=True):
        assert np.abs(mask - drawn_with_opencv(stroke, width)).max() < 1e-6


def test_painting_lays_masks_over_one_another_in_order() -> None:
    strokes, canvas = random_strokes(30, "any"), np.full((64, 64, 3), 0.25, np.float32)
    expected = canvas.astype(np.float64)
    for stroke in strokes:
        mask = drawn_with_opencv(stroke, 64)[..., None]
        expected = expected * (1 - mask) + mask * stroke[10:]
    assert np.abs(paint_discs(strokes, canvas) - expected).max() < 1e-5
    assert (canvas == 0.25).all()


def test_first_number_is_the_row() -> None:
    stroke = np.array([[0.1, 0.8, 0.5, 0.5, 0.1, 0.8, 0.05, 0.05, 1, 1, 0, 0, 0]], np.float32)
    rows, columns = np.nonzero(disc_masks(stroke, 64)[0])
    assert rows.max() < 16 and columns.min() > 40


def test_half_widths_are_those_of_a_disc() -> None:
    table = half_widths(40)
    for radius in range(41):
        off, across = np.mgrid[-radius : radius + 1, -radius : radius + 1]
        inside = (off**2 + across**2 <= radius**2).sum(1)
        np.testing.assert_array_equal(2 * table[radius, np.abs(off[:, 0])] + 1, inside)


@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan")])
def test_numbers_outside_their_range_are_refused(value: float) -> None:
    strokes = random_strokes(3, "any")
    strokes[1, 6] = value
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        disc_masks(strokes, 64)


def test_canvas_that_is_not_square_is_refused() -> None:
    with pytest.raises(ValueError, match="square"):
        paint_discs(random_strokes(1, "any"), np.zeros((64, 48, 3), np.float32))
