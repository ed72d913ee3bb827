"""Which steps become frames."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from conf.errors import ConfigError
from renderers.painting import FrameSchedule

SPACINGS = ("distance", "log", "uniform")


def wandering(num_steps: int, seed: int, setback: float) -> NDArray[np.float64]:
    """Distances that fall from 1 to 0, fast at first, with steps back in between."""
    rng = np.random.default_rng(seed)
    fall = np.exp(-5 * np.linspace(0, 1, num_steps + 1)) + setback * rng.standard_normal(num_steps + 1)
    distances: NDArray[np.float64] = (fall - fall[-1]).clip(0, 1)
    distances[0], distances[-1] = 1, 0
    return distances


@settings(max_examples=200)
@given(
    st.sampled_from(SPACINGS),
    st.integers(2, 256),
    st.integers(1, 600),
    st.integers(0, 9),
    st.sampled_from([0, 0.02, 0.3]),
)
def test_frames_go_from_blank_to_finished_and_never_back(
    spacing: str, num_frames: int, num_steps: int, seed: int, setback: float
) -> None:
    distances = wandering(num_steps, seed, setback)
    steps = FrameSchedule(num_frames=num_frames, spacing=spacing).steps(distances)  # type: ignore[arg-type]
    assert len(steps) == num_frames and all(isinstance(step, int) for step in steps)
    assert steps[0] == 0 and steps[-1] == num_steps
    assert all(before <= after for before, after in itertools.pairwise(steps))
    nearer = 1 + np.count_nonzero(distances[1:] < np.minimum.accumulate(distances)[:-1])
    if (nearer if spacing == "distance" else num_steps + 1) >= num_frames:
        assert len(set(steps)) == num_frames


@settings(max_examples=100)
@given(st.integers(2, 64), st.integers(64, 600), st.integers(0, 99), st.sampled_from([0, 0.02, 0.3]))
def test_distance_falls_from_frame_to_frame(num_frames: int, num_steps: int, seed: int, setback: float) -> None:
    distances = wandering(num_steps, seed, setback)
    distances[1:-1] = distances[1:-1].clip(1e-6, 1)  # only the finished canvas is at 0
    steps = FrameSchedule(num_frames=num_frames, spacing="distance").steps(distances)
    assume(len(set(steps)) == num_frames)
    assert (np.diff(distances[list(steps)]) < 0).all()


def test_frames_stand_at_equal_steps_of_distance() -> None:
    distances = np.linspace(1, 0, 1001) ** 4
    steps = FrameSchedule(num_frames=11, spacing="distance").steps(distances)
    np.testing.assert_allclose(distances[list(steps)], np.linspace(1, 0, 11), atol=0.003)


def test_uniform_and_log_spacing() -> None:
    distances = np.linspace(1, 0, 1001)
    assert FrameSchedule(num_frames=5, spacing="uniform").steps(distances) == (0, 250, 500, 750, 1000)
    logs = np.log1p(FrameSchedule(num_frames=4, spacing="log").steps(distances))
    np.testing.assert_allclose(np.diff(logs), np.log(1001) / 3, atol=0.05)


def test_painting_that_is_finished_from_the_start_still_has_its_frames() -> None:
    for spacing in SPACINGS:
        steps = FrameSchedule(num_frames=8, spacing=spacing).steps(np.zeros(31))  # type: ignore[arg-type]
        assert len(steps) == 8 and steps[0] == 0 and steps[-1] == 30


@pytest.mark.parametrize(("key", "value"), [("num_frames", 1), ("num_frames", 257), ("spacing", "random")])
def test_wrong_schedule_names_its_key(key: str, value: object) -> None:
    with pytest.raises(ConfigError) as refusal:
        FrameSchedule(**{key: value})  # type: ignore[arg-type]
    assert refusal.value.key == key
