"""What holding an in-between sequence promises, and what the figures of seams mean."""

import numpy as np
from numpy.typing import NDArray

from pipelines.inference.longer.blend import BlendPath
from pipelines.inference.longer.seams import measure_seams
from renderers.distance import step_distances

SIDE = 32


def pictures(seed: int, count: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((count, SIDE, SIDE, 3), np.float32)


def test_keys_are_met_and_no_pixel_ever_goes_back() -> None:
    left, right = pictures(0, 2)
    states = BlendPath.between(left, right, pictures(1, 8)).states()
    assert np.array_equal(states[0], left) and np.array_equal(states[-1], right)
    to_right = np.abs(states - right)
    assert (np.diff(to_right, axis=0) <= 1e-6).all()


def test_what_is_the_same_in_both_keys_stays() -> None:
    left = pictures(0, 1)[0]
    right = left.copy()
    right[:, SIDE // 2 :] = 0
    states = BlendPath.between(left, right, pictures(1, 8)).states()
    assert np.allclose(states[:, :, : SIDE // 2], left[:, : SIDE // 2], atol=1e-6)


def wiped(late: NDArray[np.float64]) -> NDArray[np.float32]:
    """White canvases, blue from the left up to a share of the width."""
    canvases = np.ones((len(late), SIDE, SIDE, 3), np.float32)
    for canvas, share in zip(canvases, late, strict=True):
        canvas[:, : round(share * SIDE), :2] = 0
    return canvases


def test_the_painter_says_where_the_change_begins() -> None:
    white, blue = wiped(np.array([0.0, 1.0]))
    off = wiped(np.linspace(0, 1, 8)) * 0.8 + 0.05 * pictures(0, 8)  # neither begins nor ends at the keys
    states = BlendPath.between(white, blue, off).states()
    middle = states[3, :, :, 0].mean(0)
    assert middle[: SIDE // 4].max() < 0.1 and middle[-SIDE // 4 :].min() > 0.9


def test_uneven_painting_is_shown_at_an_even_pace() -> None:
    white, blue = wiped(np.array([0.0, 1.0]))
    path = BlendPath.between(white, blue, wiped(np.linspace(0, 1, 8) ** 0.3))  # most of it at the first step
    lengths = path.lengths(white, blue)
    assert lengths.max() > 2 * np.median(lengths)
    even = step_distances([white, *path.along(np.arange(1, 10) / 10, white, blue), blue], white, blue)
    assert even.max() <= 1.5 * np.median(even)


def fade(steps: list[float]) -> NDArray[np.uint8]:
    """Grey canvases with these steps between them."""
    greys = 250 - np.concatenate([[0], np.cumsum(steps)])
    return np.broadcast_to(greys[:, None, None, None], (len(greys), 8, 8, 3)).astype(np.uint8)


def test_a_jump_at_a_seam_is_told_and_one_elsewhere_is_not() -> None:
    frames = fade([10, 10, 10, 30, 10, 10, 20, 10])
    at_jump = measure_seams(frames, [3])
    assert (at_jump.num, at_jump.max_ratio, at_jump.mean_ratio) == (1, 3.0, 2.0)
    assert measure_seams(frames, [2]).max_ratio == 1.0
    assert measure_seams(frames, []).max_ratio == 0.0


def test_frames_that_are_all_alike_have_no_jumps() -> None:
    assert measure_seams(fade([0, 0, 0]), [1, 2]).max_ratio == 1.0
