"""What smoothing of the video promises."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.inference.smoothing import Smoothing, smooth


def moving(count: int = 3, side: int = 64, step_px: int = 6) -> NDArray[np.uint8]:
    """A blurred blot that moves to the right."""
    frames = np.full((count, side, side, 3), 230, np.uint8)
    for number, frame in enumerate(frames):
        cv2.circle(frame, (20 + step_px * number, 32), 9, (40, 60, 160), -1)
        frame[:] = cv2.GaussianBlur(frame, (0, 0), 2)
    return frames


def centre(frame: NDArray[np.uint8]) -> float:
    paint = 230.0 - frame[..., 0]
    return float((paint.sum(0) * np.arange(frame.shape[1])).sum() / paint.sum())


@pytest.mark.parametrize("smoothing", ["dissolve", "flow"])
def test_painted_frames_come_at_their_time_and_the_last_is_held(smoothing: Smoothing) -> None:
    frames = moving()
    smoothed, rate = smooth(frames, 2.0, smoothing)
    shown = np.stack(list(smoothed))
    assert rate == 24
    assert np.array_equal(shown[[0, 12, 24]], frames)
    assert (shown[24:] == frames[-1]).all()
    assert len(shown) + 2 == 5 * 12  # as long as without: three frames, the last of them for three


def test_dissolving_fades_and_flow_moves() -> None:
    left, right = moving(2)
    faded, moved = (list(smooth(np.stack([left, right]), 12.0, kind)[0])[1] for kind in ("dissolve", "flow"))
    assert np.abs(faded.astype(float) - (left.astype(float) + right) / 2).max() <= 1
    between = moving(2, step_px=3)[1]
    assert np.abs(moved.astype(int) - between).mean() < 0.3 * np.abs(faded.astype(int) - between).mean()
    assert centre(moved) == pytest.approx(23, abs=0.5)


@pytest.mark.parametrize(("smoothing", "rate"), [("none", 2.0), ("flow", 24.0), ("dissolve", 60.0)])
def test_what_needs_no_smoothing_is_left_alone(smoothing: Smoothing, rate: float) -> None:
    frames = moving()
    shown, told = smooth(frames, rate, smoothing)
    assert shown is frames and told == rate


@pytest.mark.parametrize("shape", [(8, 8), (31, 64), (33, 47)])
def test_small_and_odd_pictures_are_smoothed_too(shape: tuple[int, int]) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, *shape, 3), np.uint8)
    assert np.stack(list(smooth(frames, 8.0, "flow")[0])).shape == (2 + 2 + 3 * 2, *shape, 3)
