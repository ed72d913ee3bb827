"""How masks change with strokes, against differences of the exact masks themselves, drawn four times as large."""

import cv2
import numpy as np
import pytest

from renderers.raster.disc_gradient import disc_mask_gradients
from renderers.raster.discs import disc_masks
from renderers.raster.ribbon import Floats

_WIDTH, _FINER, _STEP = 64, 4, 0.01
NAMES = ("x0", "y0", "x1", "y1", "x2", "y2", "z0", "z2", "w0", "w2")


@pytest.fixture(scope="module")
def strokes() -> Floats:
    drawn = np.random.default_rng(0).random((60, 13)).astype(np.float32)
    drawn[:, 6:8] *= 0.4
    drawn[:, :10] = 0.05 + 0.9 * drawn[:, :10]
    return drawn


@pytest.fixture(scope="module")
def pulls() -> Floats:
    """Smooth gradients of masks."""
    generator = np.random.default_rng(1)
    noise = generator.standard_normal((60, _WIDTH, _WIDTH)).astype(np.float32)
    return np.stack([cv2.GaussianBlur(one, (0, 0), 3) for one in noise])


@pytest.mark.parametrize("column", range(10), ids=NAMES)
def test_gradients_are_those_of_finer_discs(strokes: Floats, pulls: Floats, column: int) -> None:
    shift = np.zeros(13, np.float32)
    shift[column] = _STEP
    large = np.repeat(np.repeat(pulls, _FINER, 1), _FINER, 2) / _FINER**2
    ahead, behind = (disc_masks(strokes + sign * shift, _WIDTH * _FINER) for sign in (1, -1))
    differences = ((ahead - behind) * large).sum((1, 2)) / (2 * _STEP)
    gradients = disc_mask_gradients(strokes, pulls)[:, column]
    assert np.corrcoef(differences, gradients)[0, 1] > 0.96
    assert 0.85 < float(differences @ gradients / (differences @ differences)) < 1.15


def test_opacity_is_exact() -> None:
    stroke = np.array([[0.2, 0.2, 0.5, 0.5, 0.8, 0.8, 0.2, 0.3, 0.4, 0.7, 0, 0, 0]], np.float32)
    other = stroke.copy()
    other[:, 8:10] += [0.1, -0.2]
    pull = np.random.default_rng(0).standard_normal((1, _WIDTH, _WIDTH)).astype(np.float32)
    change = float(((disc_masks(other, _WIDTH) - disc_masks(stroke, _WIDTH)) * pull).sum())
    to_first, to_second = disc_mask_gradients(stroke, pull)[0, 8:10]
    assert change == pytest.approx(0.1 * to_first - 0.2 * to_second, rel=1e-3, abs=1e-4)


def test_a_stroke_is_moved_towards_what_pulls_it() -> None:
    disc = np.array([[0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.2, 0.2, 1, 1, 0, 0, 0]], np.float32)
    below, right = np.mgrid[:_WIDTH, :_WIDTH].astype(np.float32)[:, None] - _WIDTH / 2
    for pull, first, second in ((below, 0, 1), (right, 1, 0)):
        gradient = disc_mask_gradients(disc, pull)[0]
        along, across = (gradient[axis] + gradient[axis + 4] for axis in (first, second))
        assert along > 10 * abs(across)
    assert (disc_mask_gradients(disc, np.ones((1, _WIDTH, _WIDTH), np.float32))[0, 6:10] > 0).all()


def test_a_batch_is_its_strokes_one_by_one(strokes: Floats, pulls: Floats) -> None:
    together = disc_mask_gradients(strokes, pulls)
    alone = [disc_mask_gradients(strokes[i : i + 1], pulls[i : i + 1])[0] for i in range(len(strokes))]
    assert np.array_equal(together, np.stack(alone))


def test_what_touches_the_rim_of_the_canvas_is_no_error(pulls: Floats) -> None:
    corners = np.random.default_rng(2).random((60, 13)).round().astype(np.float32)
    assert np.isfinite(disc_mask_gradients(corners, pulls)).all()


def test_counts_must_agree(strokes: Floats, pulls: Floats) -> None:
    with pytest.raises(ValueError, match="60 strokes, but gradients of 3 masks"):
        disc_mask_gradients(strokes, pulls[:3])
