"""The incremental distances of a painting, against the plain definition."""

import numpy as np
import pytest

from renderers.bezier import RENDERER
from renderers.distance import canvas_distances, num_octaves, step_distances, stroke_distances
from renderers.painting import StrokeProgram
from renderers.raster.ribbon import Floats, grid
from tests.renderers.pictures import plain
from tests.renderers.strokes import gentle_strokes, wild_strokes


@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 80), (65, 33), (37, 101), (16, 16), (96, 17)])
def test_incremental_distances_are_those_of_the_canvases(height: int, width: int) -> None:
    strokes = np.concatenate([gentle_strokes(30, height, width, seed=7), wild_strokes(10, height, width, seed=7)])
    strokes[5, [0, 2, 4]] = -9  # beside the canvas
    strokes[6, [1, 3, 5]] = 9  # below it
    program = StrokeProgram(family="bezier", strokes=strokes, canvas=(1, 1, 1), height_px=height, width_px=width)
    canvases: list[Floats] = list(RENDERER.replay(program, range(41)))
    blank, finished = canvases[0].reshape(-1), canvases[-1].reshape(-1)
    distances = stroke_distances(strokes, grid(height, width), blank, finished)
    np.testing.assert_allclose(distances, canvas_distances(list(canvases), canvases[0]), atol=1e-4)
    assert distances[0] == pytest.approx(1) and distances[-1] == 0
    assert distances[6] == pytest.approx(distances[5], abs=1e-9) and distances[7] == pytest.approx(
        distances[6], abs=1e-9
    )


def test_every_octave_counts_the_same() -> None:
    """Of a finished picture with one pattern an octave, taking away any one, or half of it, costs the same."""
    rng, size = np.random.default_rng(0), 64
    octaves = num_octaves(size, size)
    patterns = []
    for octave in range(octaves + 1):
        block = 2**octave
        coarse = rng.choice([-1.0, 1.0], (size // block // 2, size // block // 2, 3))
        checks = np.kron(coarse, np.kron(np.array([[1, -1], [-1, 1]]), np.ones((block, block)))[..., None])
        patterns.append(0.5**octave * checks)
    finished, blank = sum(patterns, np.zeros((size, size, 3))), np.zeros((size, size, 3))
    for share in (1.0, 0.5):
        lacking = [canvas_distances([finished - share * pattern, finished], blank)[0] for pattern in patterns]
        np.testing.assert_allclose(lacking, share / (octaves + 1), rtol=1e-9)


def test_blank_is_at_one_and_no_canvas_farther() -> None:
    blank, finished = plain(32, 40, (1, 1, 1)), plain(32, 40, (0.9, 0.8, 0.7))
    opposite = plain(32, 40, (0, 1, 0))
    distances = canvas_distances([blank, opposite, finished], blank)
    np.testing.assert_allclose(distances, [1, 1, 0], atol=1e-9)


def test_nothing_to_paint_is_no_distance() -> None:
    blank = plain(32, 32, (1, 1, 1))
    assert (canvas_distances([blank, blank], blank) == 0).all()


def test_steps_along_a_straight_way_add_up_to_one() -> None:
    blank, finished = np.random.default_rng(0).random((2, 32, 40, 3))
    way = [blank + share * (finished - blank) for share in (0, 0.5, 0.7, 1)]
    np.testing.assert_allclose(step_distances(way, blank, finished), [0.5, 0.2, 0.3], atol=1e-9)
    assert step_distances([finished, blank], blank, finished) == pytest.approx([1.0])
