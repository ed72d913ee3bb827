"""What the time line of a long process promises."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.inference.longer.time_line import place, slots_for


@st.composite
def pieces(draw: st.DrawFn) -> tuple[list[int], int, int, int]:
    """Conditions (ends included or not), left, right, slots."""
    left = draw(st.integers(0, 50))
    right = left + draw(st.integers(2, 255))
    frames = draw(st.sets(st.integers(left, right), max_size=40))
    return sorted(frames), left, right, draw(st.integers(3, 16))


@given(pieces())
def test_conditions_keep_their_order_and_no_two_share_a_slot(piece: tuple[list[int], int, int, int]) -> None:
    frames, left, right, num_slots = piece
    slots = slots_for(frames, left, right, num_slots)
    assert list(slots) == sorted(slots)
    assert all(earlier < later for earlier, later in pairwise(slots.values()))
    inner = [frame for frame in frames if left < frame < right]
    assert len([frame for frame in slots if left < frame < right]) == min(len(inner), num_slots - 2)
    for frame, slot in slots.items():
        assert (frame == left) == (slot == 0) and (frame == right) == (slot == num_slots - 1)


def test_a_lone_condition_gets_the_nearest_slot() -> None:
    assert slots_for([17], 0, 63, 8) == {17: 2}
    assert slots_for([0, 62, 63], 0, 63, 8) == {0: 0, 62: 6, 63: 7}
    assert slots_for([17, 18], 0, 63, 8) == {17: 2, 18: 3}


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.integers(0, 50), st.integers(1, 255))
def test_every_picture_or_every_frame_is_placed_once(lengths: list[float], left: int, gap: int) -> None:
    places = place(lengths, left, left + gap)
    assert len(places) == min(gap, len(lengths)) + 1
    assert places[0] == left and places[len(lengths)] == left + gap
    for (one, its_frame), (other, next_frame) in pairwise(places.items()):
        assert one < other and its_frame < next_frame


def test_frames_go_where_the_way_is_long() -> None:
    assert place([1.0, 1.0, 1.0], 0, 63) == {0: 0, 1: 21, 2: 42, 3: 63}
    assert place([3.0, 1.0], 10, 18) == {0: 10, 1: 16, 2: 18}
    assert place([1.0, 0.0, 1.0], 0, 5) == {0: 0, 1: 2, 2: 3, 3: 5}
    assert place([1.0, 1.0, 1.0, 1.0], 0, 2) == {0: 0, 2: 1, 4: 2}


@given(st.lists(st.floats(0.5, 1), min_size=7, max_size=7), st.integers(28, 255))
def test_steps_are_about_equally_long(lengths: list[float], gap: int) -> None:
    frames = list(place(lengths, 0, gap).values())
    steps = [length / (right - left) for length, (left, right) in zip(lengths, pairwise(frames), strict=True)]
    assert max(steps) <= sum(lengths) / gap * 2  # at worst a whole step is lost to rounding


@pytest.mark.parametrize("gap", [2, 5, 30])
def test_pictures_that_are_all_alike_are_spread_evenly(gap: int) -> None:
    frames = list(place([0.0] * 5, 0, gap).values())
    steps = [right - left for left, right in pairwise(frames)]
    assert max(steps) - min(steps) <= 1
