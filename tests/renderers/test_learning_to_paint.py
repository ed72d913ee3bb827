"""Strokes of Learning to Paint, to ours and back."""

from dataclasses import replace

import numpy as np
import pytest

from renderers import renderer
from renderers.bezier.learning_to_paint import from_learning_to_paint, to_learning_to_paint
from renderers.metrics import psnr_db
from renderers.painting import StrokeProgram
from renderers.raster.discs import disc_masks, paint_discs, plan_discs
from renderers.raster.ribbon import A0, A2, R0, R2, RED, Floats
from tests.renderers.strokes import gentle_strokes, mask_of


def their_strokes(num: int = 100, small: bool = False) -> Floats:
    strokes = np.random.default_rng(0).random((num, 13)).astype(np.float32)
    if small:
        strokes[:, 4:6] = (strokes[:, :2] + 0.4 * (strokes[:, 4:6] - 0.5)).clip(0, 1)
        strokes[:, 6:8] *= 0.15
    return strokes


def our_program(strokes: Floats) -> StrokeProgram:
    return StrokeProgram(family="bezier", strokes=strokes, canvas=(0, 0, 0), height_px=128, width_px=128)


# Measured: mean 29.2 dB for any stroke (theirs shows the last t, ours the nearest), 42.1 dB for small ones; least 32.5.
@pytest.mark.parametrize(("small", "mean_db", "least_db"), [(False, 28.0, 14.0), (True, 41.0, 31.0)])
def test_ribbons_look_like_the_discs(small: bool, mean_db: float, least_db: float) -> None:
    theirs = their_strokes(200, small)
    ours = from_learning_to_paint(theirs).strokes
    qualities = [
        psnr_db(mask_of(ribbon, 128, 128), discs) for ribbon, discs in zip(ours, disc_masks(theirs, 128), strict=True)
    ]
    assert np.mean(qualities) > mean_db
    assert min(qualities) > least_db


def test_imported_painting_looks_like_theirs_in_rgb() -> None:
    theirs = their_strokes(60, small=True)
    painted = paint_discs(theirs, np.zeros((128, 128, 3), np.float32))[..., ::-1]
    (ours,) = renderer("bezier").replay(from_learning_to_paint(theirs), [60])
    assert psnr_db(ours, painted) > 26  # measured: 26.9


@pytest.mark.parametrize("width_px", [64, 100, 128])
def test_import_then_export_is_exact(width_px: int) -> None:
    theirs = their_strokes()
    back = to_learning_to_paint(from_learning_to_paint(theirs, width_px=width_px))
    np.testing.assert_allclose(back[:, :6], theirs[:, :6], atol=1e-4)
    np.testing.assert_allclose(back[:, 6:8], theirs[:, 6:8], atol=1.001 / width_px)
    np.testing.assert_array_equal(back[:, 8:], theirs[:, 8:])
    np.testing.assert_array_equal(plan_discs(back, width_px).radii, plan_discs(theirs, width_px).radii)


def test_export_then_import_keeps_what_their_form_can_hold() -> None:
    ours = gentle_strokes(50, 128, 128)
    ours[:, :6] = ours[:, :6].clip(0.01, 0.99)
    back = from_learning_to_paint(to_learning_to_paint(our_program(ours))).strokes
    np.testing.assert_allclose(back[:, [0, 1, 4, 5]], ours[:, [0, 1, 4, 5]], atol=1e-6)
    np.testing.assert_allclose(back[:, R0 : R2 + 1], ours[:, R0 : R2 + 1], atol=0.2501 / 128)
    np.testing.assert_array_equal(back[:, A0:], ours[:, A0:])


def test_control_point_is_clipped_into_the_box_of_the_ends() -> None:
    ours = np.array([[0.2, 0.2, 0.9, 0.5, 0.6, 0.8, 0.05, 0.05, 1, 1, 0, 0, 0]], np.float32)
    exported = to_learning_to_paint(our_program(ours))
    assert exported[0, 3] == 1.0 and exported[0, 2] == pytest.approx(0.5)  # column out of the box, row within
    assert from_learning_to_paint(exported).strokes[0, 2] == pytest.approx(0.6)


def test_what_their_form_cannot_hold_is_clipped_not_refused() -> None:
    ours = np.array([[-0.02, 0.5, 0.5, 0.5, 1.02, 0.5, 0.9, 1e-4, 1, 1, 0, 0, 0]], np.float32)
    exported = to_learning_to_paint(our_program(ours))
    assert ((exported >= 0) & (exported <= 1)).all()
    radii = from_learning_to_paint(exported).strokes[0, R0 : R2 + 1] * 128
    np.testing.assert_allclose(radii, [(1 + 64) / 2, 0.5])


def test_channels_are_swapped_only_for_bgr() -> None:
    theirs = their_strokes(5)
    np.testing.assert_array_equal(from_learning_to_paint(theirs).strokes[:, RED:], theirs[:, [12, 11, 10]])
    program = from_learning_to_paint(theirs, channels="rgb")
    np.testing.assert_array_equal(program.strokes[:, RED:], theirs[:, 10:])
    np.testing.assert_array_equal(to_learning_to_paint(program, channels="rgb")[:, 10:], theirs[:, 10:])


def test_opacities_and_colours_are_exact() -> None:
    ours = gentle_strokes(20, 128, 128)
    exported = to_learning_to_paint(our_program(ours), channels="rgb")
    np.testing.assert_array_equal(exported[:, 8:], ours[:, A0:])
    assert A2 - A0 == 1


def test_what_cannot_be_converted_is_refused() -> None:
    program = our_program(gentle_strokes(3, 128, 128))
    with pytest.raises(ValueError, match="square"):
        to_learning_to_paint(replace(program, width_px=200))
    with pytest.raises(ValueError, match="oil"):
        to_learning_to_paint(replace(program, family="oil"))
    with pytest.raises(ValueError, match="13"):
        from_learning_to_paint(np.zeros((3, 10), np.float32))
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        from_learning_to_paint(np.full((3, 13), 1.5, np.float32))
