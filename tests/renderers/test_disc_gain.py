"""The computed gain of a stroke is its actual gain."""

import numpy as np
import pytest

from renderers.raster.disc_gain import best_discs, disc_gains, mask_pulls
from renderers.raster.disc_gradient import disc_mask_gradients
from renderers.raster.discs import disc_masks, paint_discs
from renderers.raster.ribbon import Floats

_WIDTH = 32


@pytest.fixture(scope="module")
def strokes() -> Floats:
    drawn = np.random.default_rng(0).random((40, 13)).astype(np.float32)
    drawn[:, 6:8] *= 0.4
    return drawn


@pytest.fixture(scope="module")
def canvas() -> Floats:
    return np.random.default_rng(1).random((3, _WIDTH, _WIDTH)).astype(np.float32)


@pytest.fixture(scope="module")
def picture() -> Floats:
    """A smooth picture, to which a stroke can bring a canvas closer."""
    rows, columns = np.mgrid[:_WIDTH, :_WIDTH].astype(np.float32) / _WIDTH
    return np.stack([rows, columns, 1 - rows])


def error(canvas: Floats, picture: Floats) -> float:
    return float(((canvas.astype(np.float64) - picture) ** 2).sum())


def painted(strokes: Floats, canvas: Floats) -> Floats:
    """(N, 13) strokes on a (3, W, W) canvas."""
    return paint_discs(strokes, canvas.transpose(1, 2, 0)).transpose(2, 0, 1)


def test_a_gain_is_the_error_before_less_the_error_after(strokes: Floats, canvas: Floats, picture: Floats) -> None:
    gains, colours = disc_gains(strokes, canvas, picture)
    assert ((colours >= 0) & (colours <= 1)).all()
    for stroke, gain, colour in zip(strokes, gains, colours, strict=True):
        alone = np.concatenate([stroke[:10], colour])[None]
        assert gain == pytest.approx(error(canvas, picture) - error(painted(alone, canvas), picture), abs=1e-2)


def test_no_other_colour_gains_more(strokes: Floats, canvas: Floats, picture: Floats) -> None:
    gains, colours = disc_gains(strokes, canvas, picture)
    for channel in range(3):
        for change in (-0.05, 0.05):
            others = np.concatenate([strokes[:, :10], colours], 1)
            others[:, 10 + channel] = (others[:, 10 + channel] + change).clip(0, 1)
            after = [error(painted(other[None], canvas), picture) for other in others]
            assert (error(canvas, picture) - np.array(after) <= gains + 1e-2).all()


def test_pulls_are_differences_of_gains(strokes: Floats, canvas: Floats, picture: Floats) -> None:
    whole = np.concatenate([strokes[:, :10], disc_gains(strokes, canvas, picture)[1]], 1)
    fainter = whole.copy()
    fainter[:, 8:10] -= 0.01 * (fainter[:, 8:10] > 0.5)  # opacity: the one number whose derivative is exact
    fainter[:, 8:10] += 0.01 * (fainter[:, 8:10] < 0.49)
    before, after = (disc_gains(each, canvas, picture)[0] for each in (whole, fainter))
    pulls = mask_pulls(whole, canvas, picture)
    slopes = (disc_mask_gradients(whole, pulls)[:, 8:10] * (fainter - whole)[:, 8:10]).sum(1)
    directly = (pulls * (disc_masks(fainter, _WIDTH) - disc_masks(whole, _WIDTH))).sum((1, 2))
    assert np.allclose(slopes, directly, atol=1e-3 * np.abs(directly).max())
    assert np.allclose(slopes, after - before, atol=0.03 * np.abs(slopes).max())


def test_the_best_strokes_help_one_after_another(strokes: Floats, canvas: Floats, picture: Floats) -> None:
    gains, colours = disc_gains(strokes, canvas, picture)
    whole = np.concatenate([strokes[:, :10], colours], 1)
    best = best_discs(whole, gains, canvas, picture, 5)
    assert np.array_equal(best[0], whole[gains.argmax()])
    errors = [error(painted(best[:number], canvas), picture) for number in range(6)]
    assert errors == sorted(errors, reverse=True)
    at_once = whole[np.argsort(-gains)[:5]]
    assert errors[-1] <= error(painted(at_once, canvas), picture)


def test_where_no_stroke_helps_none_is_seen(picture: Floats) -> None:
    stroke = np.full((1, 13), 0.5, np.float32)
    chosen = best_discs(stroke, disc_gains(stroke, picture, picture)[0], picture, picture, 2)
    assert error(painted(chosen, picture), picture) < 1e-9


def test_shapes_must_agree(strokes: Floats, canvas: Floats, picture: Floats) -> None:
    with pytest.raises(ValueError, match=r"canvas of .*, but a picture of"):
        disc_gains(strokes, canvas, picture[:, :16])
