"""The choice of the frames that are conditions of the replication network."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from conf.errors import ConfigError
from training.stages.condition_draw import ConditionDraw


def test_probabilities_of_eight_frames_are_those_of_the_paper() -> None:
    published = [0.3333, 0.0059, 0.0432, 0.1176, 0.1176, 0.0432, 0.0059, 0.3333]
    assert np.allclose(ConditionDraw().probabilities(8), published, atol=1e-4)


@given(st.integers(1, 256))
def test_probabilities_are_symmetrical_and_sum_to_1(num_frames: int) -> None:
    probabilities = ConditionDraw().probabilities(num_frames)
    assert len(probabilities) == num_frames and np.isclose(probabilities.sum(), 1)
    assert np.allclose(probabilities, probabilities[::-1]) and (probabilities > 0).all()


def drawn(draw: ConditionDraw, positions: range, num_frames: int, seed: int = 0) -> list[tuple[int, ...]]:
    """The condition frames of each position."""
    strengths = draw.strengths(seed, torch.tensor(positions), num_frames)
    assert strengths.shape == (len(positions), num_frames) and set(strengths.flatten().tolist()) <= {0.0, 1.0}
    return [tuple(row.nonzero()[:, 0].tolist()) for row in strengths]


@settings(max_examples=50)
@given(st.integers(0, 2**40), st.integers(1, 40), st.integers(1, 5))
def test_there_are_no_more_frames_than_allowed(position: int, num_frames: int, most: int) -> None:
    (frames,) = drawn(ConditionDraw(most=most), range(position, position + 1), num_frames)
    assert len(frames) <= min(most, num_frames)


def test_frames_follow_from_seed_and_position_alone() -> None:
    draw, forty = ConditionDraw(), range(40)
    assert drawn(draw, forty, 8) == [frames for p in forty for frames in drawn(draw, range(p, p + 1), 8)]
    assert drawn(draw, forty, 8) != drawn(draw, forty, 8, seed=1)


def test_none_to_three_frames_are_as_likely() -> None:
    counts = np.bincount([len(frames) for frames in drawn(ConditionDraw(), range(4000), 8)])
    assert len(counts) == 4 and (abs(counts - 1000) < 120).all()


def test_pairs_come_as_often_as_when_drawn_one_after_the_other() -> None:
    """By the formula: p(i) p(j) / (1 - p(i)) and the other way round."""
    draw = ConditionDraw(most=2, endpoints=0.3)
    pairs = [frames for frames in drawn(draw, range(60000), 5) if len(frames) == 2]
    p = draw.probabilities(5)
    for i, j in itertools.combinations(range(5), 2):
        expected = p[i] * p[j] * (1 / (1 - p[i]) + 1 / (1 - p[j]))
        assert pairs.count((i, j)) / len(pairs) == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize(
    "wrong", [{"most": 0}, {"endpoints": 0.5}, {"spread": 0.0}, {"weight": 0.0}, {"weight": 101.0}]
)
def test_impossible_draws_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        ConditionDraw(**wrong)  # type: ignore[arg-type]
