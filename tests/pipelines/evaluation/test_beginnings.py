"""What is said of a painting's beginning is right where the right figure is known, and follows what it measures."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipelines.evaluation.beginnings import bare_shares, first_state, kept_edges
from pipelines.evaluation.pairs import order_agreement
from pipelines.evaluation.process import Frames, Process
from tests.pipelines.processes import drawn

few = settings(max_examples=20)
numbers = st.integers(0, 10_000)
PAPER, PENCIL = 235, 60


def of(frames: list[NDArray[np.uint8]]) -> Process:
    return Process(name="one", frames=np.stack(frames))


def paper() -> NDArray[np.uint8]:
    return np.full((64, 64, 3), PAPER, np.uint8)


def quarter_by_quarter(order: tuple[int, ...]) -> Process:
    """A picture of four quarters, each of one colour, painted one after the other."""
    frames = [paper()]
    for quarter in order:
        canvas = frames[-1].copy()
        row, column = divmod(quarter, 2)
        canvas[32 * row : 32 * row + 32, 32 * column : 32 * column + 32] = 40 + 30 * quarter
        frames.append(canvas)
    return of(frames)


def drawing(lines: list[int]) -> NDArray[np.uint8]:
    """Vertical pencil lines, two pixels broad, on paper."""
    canvas = paper()
    for x in lines:
        canvas[8:56, x : x + 2] = PENCIL
    return canvas


def test_bare_canvas_is_what_has_not_been_painted_yet() -> None:
    assert bare_shares(quarter_by_quarter((0, 1, 2, 3))).tolist() == [1, 0.75, 0.5, 0.25, 0]
    assert bare_shares(quarter_by_quarter((2,))).tolist() == [1, 0.75]  # most of it stays paper


def test_what_is_painted_over_in_the_colour_of_the_ground_is_not_bare_again() -> None:
    frames = quarter_by_quarter((0, 1)).frames
    erased = of([*frames, frames[0]])
    assert bare_shares(erased).tolist() == [1, 0.75, 0.5, 0.5]


@few
@given(numbers, st.integers(3, 9))
def test_bare_canvas_never_grows(number: int, length: int) -> None:
    shares = bare_shares(drawn(number, length))
    assert (np.diff(shares) <= 0).all() and shares.min() >= 0 and shares.max() <= 1


@pytest.mark.parametrize("blanks", [0, 1, 3])
def test_the_first_state_is_the_first_with_marks_and_not_a_speck_on_the_paper(blanks: int) -> None:
    speck = paper()
    speck[0, 0] = 0
    process = of([*[paper()] * blanks, speck, drawing([20]), drawing([20, 40])])
    assert first_state(process) == blanks + 1
    assert first_state(of([paper(), speck])) == 1  # nothing is begun: the end


def test_all_edges_of_a_drawing_stay_when_more_is_drawn_and_none_when_it_is_covered() -> None:
    begun, finished = drawing([8, 20]), drawing([8, 20, 32, 44])
    assert kept_edges(of([paper(), begun, finished])) == 1
    covered = drawing([32, 44])
    assert kept_edges(of([paper(), begun, covered])) < 0  # fewer than by chance
    assert kept_edges(of([paper(), paper(), paper()])) == 0


@few
@given(st.integers(0, 4))
def test_kept_edges_grow_with_every_line_that_stays(stay: int) -> None:
    lines, others = [4, 12, 20, 28], [36, 42, 48, 54]

    def kept(count: int) -> float:
        return kept_edges(of([paper(), drawing(lines), drawing(lines[:count] + others[count:])]))

    assert kept(stay) == pytest.approx(kept(0) + (1 - kept(0)) * stay / 4, abs=0.02)


@few
@given(numbers)
def test_edges_that_fall_anywhere_are_kept_no_more_than_by_chance(number: int) -> None:
    """Rings drawn at random, in one picture and again in another."""
    rng = np.random.default_rng(number)

    def rings() -> NDArray[np.uint8]:
        canvas = paper()
        for x, y, radius in rng.integers((0, 0, 4), (64, 64, 16), (10, 3)).tolist():
            cv2.circle(canvas, (x, y), radius, (PENCIL,) * 3, 2)
        return canvas

    kept = [kept_edges(of([paper(), rings(), rings()])) for _ in range(16)]
    assert abs(float(np.mean(kept))) < 0.2


def test_the_same_order_agrees_the_opposite_disagrees_and_halfway_is_between() -> None:
    first = quarter_by_quarter((0, 1, 2, 3))
    assert order_agreement(first, quarter_by_quarter((0, 1, 2, 3))) == pytest.approx(1)
    assert order_agreement(first, quarter_by_quarter((3, 2, 1, 0))) == pytest.approx(-1)
    assert order_agreement(first, quarter_by_quarter((0, 1, 3, 2))) == pytest.approx(0.8)
    assert order_agreement(first, quarter_by_quarter((1, 0, 3, 2))) == pytest.approx(0.6)


def test_order_is_of_places_not_of_how_they_are_painted() -> None:
    thin, thick = quarter_by_quarter((2, 0, 3, 1)), quarter_by_quarter((2, 0, 3, 1))
    heavier: Frames = (thick.frames.astype(np.int16) // 2).astype(np.uint8)
    assert order_agreement(thin, of(list(heavier))) == pytest.approx(1)


def test_who_paints_everywhere_at_once_agrees_with_nobody_but_his_like() -> None:
    at_once = of([paper(), quarter_by_quarter((0, 1, 2, 3)).frames[-1]])
    longer = of([at_once.frames[0], at_once.frames[1], at_once.frames[1]])
    assert order_agreement(at_once, longer) == 1
    by_parts = quarter_by_quarter((0, 1, 2, 3))
    assert order_agreement(at_once, by_parts) == order_agreement(by_parts, at_once) == 0
