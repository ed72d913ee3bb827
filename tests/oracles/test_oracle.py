"""The kernels against the dense double-precision oracle, which shares nothing with them but the model."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from renderers import renderer
from renderers.painting import Image, StrokeProgram
from renderers.raster.ribbon import NUM_COLUMNS, R0, R2, RED, Floats
from tests.oracles import dense
from tests.renderers.pictures import landscape, plain
from tests.renderers.strokes import correlation, gentle_strokes, gradient_of, mask_of, spans_of, wild_strokes

SIZES = [(48, 48), (40, 72), (65, 33)]


def oracle_gradient(
    strokes: Floats,
    target: Image,
    ground: Image,
    soften_px: float,
    after: tuple[int, ...],
    weight: float,
    covers: float = 1.0,
    absolute: bool = False,
) -> tuple[float, Floats]:
    leaf = torch.tensor(strokes, dtype=torch.float64, requires_grad=True)
    error, total = dense.painting_loss(
        leaf, torch.tensor(target), torch.tensor(ground), soften_px, after, weight, covers, absolute
    )
    (gradient,) = torch.autograd.grad(total, leaf)
    return error.item(), gradient.numpy()


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_mask_of_a_stroke_is_the_oracles(height: int, width: int) -> None:
    for stroke in gentle_strokes(60, height, width):
        true = dense.stroke_mask(torch.tensor(stroke), height, width, 1.0).numpy()
        assert np.abs(mask_of(stroke, height, width) - true).max() < 1e-3


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_mask_of_any_stroke_is_close_to_the_oracles(height: int, width: int) -> None:
    """Hairpins may miss their nearest point (see the next test), but only in a few pixels."""
    errors = []
    for stroke in wild_strokes(100, height, width):
        true = dense.stroke_mask(torch.tensor(stroke), height, width, 1.0).numpy()
        errors.append(np.abs(mask_of(stroke, height, width) - true).mean())
    assert np.mean(errors) < 1e-3 and np.median(errors) < 1e-4


@pytest.mark.parametrize(
    "points",
    [
        pytest.param([0.5, 0.2, 0.42, 0.12, 1.0, 0.8], id="sharp turn near the start"),
        pytest.param([0.11, 0.15, 0.03, 0.0, 0.99, 1.09], id="turn near the start"),
        pytest.param([0.1, 0.5, 0.1, 0.5, 0.9, 0.5], id="straight from a standstill"),
    ],
)
def test_hairpin_is_painted_in_one_piece(points: list[float]) -> None:
    stroke = np.array([*points, 0.08, 0.08, 1, 1, 0, 0, 0], np.float32)
    true = dense.stroke_mask(torch.tensor(stroke), 96, 96, 1.0).numpy()
    assert (np.abs(mask_of(stroke, 96, 96) - true) > 0.1).sum() <= 8  # single pixels may miss; a gap has dozens


def test_spans_hold_every_pixel_that_a_stroke_touches() -> None:
    for stroke in np.concatenate([gentle_strokes(40, 40, 72, seed=1), wild_strokes(40, 40, 72, seed=1)]):
        touched = dense.stroke_mask(torch.tensor(stroke), 40, 72, 1.0).numpy() > 1e-3
        assert not (touched & ~spans_of(stroke, 40, 72)).any()


def test_painting_is_the_oracles() -> None:
    strokes = gentle_strokes(80, 40, 72, seed=2)
    program = StrokeProgram(family="bezier", strokes=strokes, canvas=(0.9, 0.8, 0.7), height_px=40, width_px=72)
    painted = list(renderer("bezier").replay(program, [0, 7, 80]))
    true = dense.paint(torch.tensor(strokes), torch.tensor(plain(40, 72, program.canvas)), 1.0, [0, 7, 80])
    for canvas, expected in zip(painted, true, strict=True):
        assert np.abs(canvas - expected.numpy()).max() < 1e-3


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("soften_px", [0.75, 1.65])
@pytest.mark.parametrize("after", [(), (4, 30)], ids=["finished", "underpaintings"])
def test_gradient_is_exact_in_every_column(height: int, width: int, soften_px: float, after: tuple[int, ...]) -> None:
    strokes = gentle_strokes(60, height, width, seed=3)
    target, ground = landscape(height, width), plain(height, width, (1.0, 0.95, 0.9))
    error, _, gradient = gradient_of(strokes, target, ground, soften_px, after, weight=0.3)
    true_error, true = oracle_gradient(strokes, target, ground, soften_px, after, weight=0.3)
    assert error == pytest.approx(true_error, rel=1e-4)
    for column in range(NUM_COLUMNS):
        off = np.linalg.norm(gradient[:, column] - true[:, column]) / np.linalg.norm(true[:, column])
        assert correlation(gradient[:, column], true[:, column]) > 0.9999, column
        assert off < 5e-3, (column, off)


def test_gradient_is_exact_for_ink_that_adds_to_what_is_below() -> None:
    strokes = gentle_strokes(60, 40, 72, seed=3)
    strokes[:, 10:] *= 0.2
    target, blank = landscape(40, 72), plain(40, 72, (0.0, 0.1, 0.0))
    error, _, gradient = gradient_of(strokes, target, blank, 1.0, (4, 30), weight=0.3, covers=0.0)
    true_error, true = oracle_gradient(strokes, target, blank, 1.0, (4, 30), weight=0.3, covers=0.0)
    assert error == pytest.approx(true_error, rel=1e-4)
    assert np.linalg.norm(gradient - true) < 5e-3 * np.linalg.norm(true)


def test_gradient_is_exact_for_absolute_errors() -> None:
    strokes = gentle_strokes(60, 40, 72, seed=3)
    target, ground = landscape(40, 72), plain(40, 72, (1.0, 0.95, 0.9))
    error, _, gradient = gradient_of(strokes, target, ground, 1.0, (4, 30), weight=0.3, absolute=True)
    true_error, true = oracle_gradient(strokes, target, ground, 1.0, (4, 30), weight=0.3, absolute=True)
    assert error == pytest.approx(true_error, rel=1e-4)
    # Where canvas and picture are almost equal, single precision may take the other side.
    assert np.linalg.norm(gradient - true) < 2e-2 * np.linalg.norm(true)
    squares = gradient_of(strokes, target, ground, 1.0, (4, 30), weight=0.3)[2]
    assert np.linalg.norm(gradient - squares) > 0.3 * np.linalg.norm(true)


def test_gradient_of_what_else_counts_is_added() -> None:
    strokes = gentle_strokes(20, 40, 72, seed=3)
    target, ground = landscape(40, 72), plain(40, 72, (1.0, 0.95, 0.9))
    more = np.random.default_rng(0).normal(size=target.shape).astype(np.float32)
    leaf = torch.tensor(strokes, dtype=torch.float64, requires_grad=True)
    (canvas,) = dense.paint(leaf, torch.tensor(ground))
    (true,) = torch.autograd.grad(
        ((canvas - torch.tensor(target)) ** 2).sum() + (canvas * torch.tensor(more)).sum(), leaf
    )
    _, _, gradient = gradient_of(strokes, target, ground, 1.0, more=more)
    assert np.linalg.norm(gradient - true.numpy()) < 5e-3 * np.linalg.norm(true)


def test_oracles_gradient_is_the_slope_of_its_loss() -> None:
    """The oracle itself against finite differences, above all in the control points, where t moves along."""
    strokes = gentle_strokes(4, 24, 24, seed=4)
    strokes[:, R0] = 3 * strokes[:, R2]  # radius and opacity change along the stroke, so dt counts
    target, ground = landscape(24, 24), plain(24, 24, (1.0, 1.0, 1.0))
    _, gradient = oracle_gradient(strokes, target, ground, 1.65, (2,), 0.3)

    def loss(moved: NDArray[np.float64]) -> float:
        pictures = torch.tensor(target), torch.tensor(ground)
        return dense.painting_loss(torch.tensor(moved), *pictures, 1.65, (2,), 0.3)[1].item()

    slopes = np.empty((4, NUM_COLUMNS))
    for index in np.ndindex(slopes.shape):
        up, down = strokes.astype(np.float64), strokes.astype(np.float64)
        up[index] += 1e-6
        down[index] -= 1e-6
        slopes[index] = (loss(up) - loss(down)) / 2e-6
    assert np.abs(slopes - gradient).max() < 1e-3 * np.abs(slopes).max()


def test_oracle_finds_the_nearest_point() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        points, pixels = torch.tensor(rng.uniform(0, 64, (3, 2))), torch.tensor(rng.uniform(0, 64, (200, 2)))
        t = dense.nearest(points, pixels)

        def distances(s: torch.Tensor, points: torch.Tensor = points, pixels: torch.Tensor = pixels) -> torch.Tensor:
            curve = (1 - s)[..., None] ** 2 * points[0] + (2 * s * (1 - s))[..., None] * points[1]
            return ((curve + s[..., None] ** 2 * points[2] - pixels) ** 2).sum(-1).sqrt()

        every = distances(torch.linspace(0, 1, 5001, dtype=torch.float64)[:, None])
        assert (distances(t) <= every.amin(0) + 1e-9).all()


def test_under_paintings_pull_only_on_the_strokes_below_them() -> None:
    strokes = gentle_strokes(20, 48, 48, seed=6)
    target, ground = landscape(48, 48), plain(48, 48, (1.0, 1.0, 1.0))
    _, canvas, alone = gradient_of(strokes, target, ground, 1.0)
    _, same, pulled = gradient_of(strokes, target, ground, 1.0, (9,), weight=0.5)
    np.testing.assert_array_equal(canvas, same)
    np.testing.assert_array_equal(alone[10:], pulled[10:])
    assert np.abs(alone[:10] - pulled[:10])[:, RED:].max() > 0
