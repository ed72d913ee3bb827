"""Colours that are tried out first: on which objects, how wrong they are, and what they never come before."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from renderers.painting import Image
from renderers.quality import psnr_db
from renderers.studio import RENDERER
from renderers.studio.corrections import chosen_for_correction, wrong_colours
from tests.renderers.region_scenes import scene
from tests.renderers.studio_paintings import painted, phase_names, turns_of

notes, replay = RENDERER.notes, RENDERER.replay
ORDERS = {
    "salient": {}, "back_to_front": {}, "user": {"user_order": (2, 0)}, "the person last": {},
    "the brown field first, then the sun": {},
}  # fmt: skip


def test_corrections_are_painted_over_and_marked() -> None:
    with_them, without = (painted(6, corrections=share) for share in (1.0, 0.0))
    wrong = np.array(phase_names(turns_of(with_them))) == "correction"
    assert wrong.any()
    assert "correction" not in phase_names(turns_of(without))
    last = int(np.flatnonzero(wrong)[-1]) + 1
    assert notes(with_them.program, [0, last])[1].receding
    image, _ = scene(6)
    ends = [next(iter(replay(each.program, [len(each.program.strokes)]))) for each in (with_them, without)]
    assert abs(psnr_db(ends[0], image) - psnr_db(ends[1], image)) < 1.5


def test_nobody_tries_a_colour_on_half_of_the_canvas() -> None:
    half, quarter, last = (np.zeros((16, 16), np.float32) for _ in range(3))
    half[:8], quarter[8:, :8], last[8:, 8:] = 1.0, 1.0, 1.0
    order, covers = (2, 0, 1), [half, quarter, last]  # the first has its turn before any other
    assert chosen_for_correction(order, covers, 1.0, np.random.default_rng(0)) == [1]


def test_nothing_is_corrected_on_paper() -> None:
    for medium in ("ink", "watercolour", "pencil"):
        assert "correction" not in phase_names(turns_of(painted(6, medium=medium, corrections=1.0)))


@pytest.mark.parametrize("order", ORDERS)
def test_an_order_that_is_asked_for_is_not_spoilt_by_a_first_guess(order: str) -> None:
    turns = turns_of(painted(4, order=order, corrections=1.0, laid_in=0.0, **ORDERS[order]))
    assert "correction" not in phase_names(turns)
    without = turns_of(painted(4, order=order, corrections=0.0, laid_in=0.0, **ORDERS[order]))
    np.testing.assert_array_equal(turns.objects, without.objects)


colours = st.tuples(*[st.floats(0.05, 0.7)] * 3)


@settings(max_examples=50)
@given(colour=colours, other=colours, seed=st.integers(0, 99))
def test_a_wrong_colour_is_a_first_guess_and_never_the_opposite(
    colour: tuple[float, ...], other: tuple[float, ...], seed: int
) -> None:
    """Whatever else its object shows, no colour is turned far; grey stays grey; and all of them are wrong in key."""
    goal: Image = np.array([[colour, other, (0.5, 0.5, 0.5)]], np.float32)
    wrong = wrong_colours(goal, np.random.default_rng(seed))
    before, after = (each - each.mean(-1, keepdims=True) for each in (goal, wrong))
    for own, its_guess in zip(before[0], after[0], strict=True):
        strengths = np.linalg.norm(own), np.linalg.norm(its_guess)
        if strengths[0] > 0.05:
            assert own @ its_guess >= 0.7 * strengths[0] * strengths[1]  # at most 45 degrees about the grey axis
    assert np.ptp(wrong[0, 2]) < 1e-5
    assert abs(float(wrong[0, 2].mean()) - 0.5) > 0.1
