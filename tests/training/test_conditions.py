"""Which frames are shown to the replication network."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conf.errors import ConfigError
from training.conditions import ConditionDraw


def test_probabilities_of_eight_frames_are_those_of_the_paper() -> None:
    published = [0.3333, 0.0059, 0.0432, 0.1176, 0.1176, 0.0432, 0.0059, 0.3333]
    assert np.allclose(ConditionDraw().probabilities(8), published, atol=1e-4)


@given(st.integers(1, 256))
def test_probabilities_are_symmetrical_and_sum_to_1(num_frames: int) -> None:
    probabilities = ConditionDraw().probabilities(num_frames)
    assert len(probabilities) == num_frames and np.isclose(probabilities.sum(), 1)
    assert np.allclose(probabilities, probabilities[::-1]) and (probabilities > 0).all()


@settings(max_examples=50)
@given(st.integers(0, 2**40), st.integers(1, 40), st.integers(1, 5))
def test_frames_are_sorted_and_differ(position: int, num_frames: int, most: int) -> None:
    frames = ConditionDraw(most=most).frames(0, position, num_frames)
    assert list(frames) == sorted(set(frames)) and len(frames) <= min(most, num_frames)
    assert all(0 <= frame < num_frames for frame in frames)


def test_frames_follow_from_seed_and_position_alone() -> None:
    draw = ConditionDraw()
    assert [draw.frames(1, position, 8) for position in range(40)] == [
        draw.frames(1, position, 8) for position in range(40)
    ]
    assert [draw.frames(1, p, 8) for p in range(40)] != [draw.frames(2, p, 8) for p in range(40)]


def test_none_to_three_frames_are_as_likely() -> None:
    counts = np.bincount([len(ConditionDraw().frames(0, position, 8)) for position in range(4000)])
    assert len(counts) == 4 and (abs(counts - 1000) < 120).all()


def test_strengths_mark_the_frames_drawn() -> None:
    draw = ConditionDraw()
    marked = draw.strengths(0, range(20), 8)
    assert [tuple(np.flatnonzero(row)) for row in marked] == [draw.frames(0, position, 8) for position in range(20)]


@pytest.mark.parametrize("wrong", [{"most": 0}, {"endpoints": 0.5}, {"spread": 0.0}])
def test_impossible_draws_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        ConditionDraw(**wrong)  # type: ignore[arg-type]
