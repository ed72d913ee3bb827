"""The kernels of textured strokes against their oracle, and the oracle against what is known."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import lsq_linear

from renderers import brush
from renderers.brush.kinds import BristleBrush, Brush, WashBrush
from renderers.brush.stroke import (
    FAR_RED,
    MARK,
    NUM_BRUSH_COLUMNS,
    THICKNESS,
    Marks,
    marks_of,
    new_brush_scratch,
    solve_colours,
)
from renderers.brush.texture import make_brush
from renderers.painting import Image, StrokeProgram
from renderers.raster.gradient import NO_STATES
from renderers.raster.ribbon import RED, Floats, grid
from tests.oracles import dense, warp
from tests.renderers.pictures import landscape, plain
from tests.renderers.strokes import gentle_strokes

CANVAS = (0.9, 0.8, 0.7)
SHAPES = [column for column in range(NUM_BRUSH_COLUMNS) if column != MARK]


def textured_strokes(num: int, height: int, width: int, seed: int = 0) -> Floats:
    """(N, 18) gentle strokes with any mark, thickness and colour at the far end."""
    rng = np.random.default_rng(seed)
    strokes = np.zeros((num, NUM_BRUSH_COLUMNS), np.float32)
    strokes[:, :FAR_RED] = gentle_strokes(num, height, width, seed)
    strokes[:, FAR_RED : FAR_RED + 3] = rng.uniform(0, 1, (num, 3))
    strokes[:, MARK] = rng.integers(0, 6, num)
    strokes[:, THICKNESS] = rng.uniform(0.3, 1, num)
    return strokes


def painted(strokes: Floats, kind: Brush, relief: float, steps: list[int]) -> list[Image]:
    """The canvases that the kernel paints from a program."""
    texture = make_brush(kind)
    program = StrokeProgram(
        family="brush", strokes=strokes, canvas=CANVAS, height_px=40, width_px=72,
        arrays={**texture.to_arrays(), "density": np.array(0.0), "relief": np.array(relief)},
    )  # fmt: skip
    return list(brush.RENDERER.replay(program, steps))


def true(strokes: Floats, kind: Brush, relief: float, steps: list[int]) -> list[NDArray[np.float64]]:
    marks = marks_of(make_brush(kind), relief)
    canvases = warp.paint(torch.tensor(strokes), marks, torch.tensor(plain(40, 72, CANVAS)), steps)
    return [canvas.numpy() for canvas in canvases]


@pytest.mark.parametrize("kind", [BristleBrush(), WashBrush()], ids=["bristle", "wash"])
def test_textured_painting_is_the_oracles(kind: Brush) -> None:
    strokes = textured_strokes(60, 40, 72)
    for canvas, expected in zip(
        painted(strokes, kind, 0.0, [0, 9, 60]), true(strokes, kind, 0.0, [0, 9, 60]), strict=True
    ):
        assert np.abs(canvas - expected).max() < 2e-3


def test_relief_is_the_oracles() -> None:
    """But for pixels on the border of two texels, which single and double precision may give to either."""
    strokes = textured_strokes(60, 40, 72, seed=1)
    (flat,), (canvas,) = (painted(strokes, BristleBrush(), relief, [60]) for relief in (0.0, 0.5))
    (expected,) = true(strokes, BristleBrush(), 0.5, [60])
    off = np.abs(canvas - expected)
    assert (off > 2e-3).mean() < 0.01 and off.mean() < 2e-4
    assert np.abs(canvas - flat).mean() > 10 * off.mean()


def test_ink_is_the_oracles() -> None:
    strokes = textured_strokes(40, 40, 72, seed=2)
    strokes[:, RED : FAR_RED + 3] *= 0.2
    texture = make_brush(WashBrush())
    program = StrokeProgram(
        family="brush", strokes=strokes, canvas=CANVAS, height_px=40, width_px=72,
        arrays={**texture.to_arrays(), "density": np.array(3.0), "relief": np.array(0.0)},
    )  # fmt: skip
    paper, canvas = brush.RENDERER.replay(program, [0, 40])
    nothing = torch.zeros((40, 72, 3))
    (amount,) = warp.paint(torch.tensor(strokes), marks_of(texture, 0.0), nothing, covers=0.0)
    assert np.abs(canvas - paper * np.exp(-3.0 * amount.numpy())).max() < 2e-3


def test_a_solid_mark_of_one_colour_is_the_smooth_ribbon() -> None:
    """Ties this oracle to that of the ribbon."""
    strokes = textured_strokes(30, 40, 72, seed=3)
    strokes[:, FAR_RED : FAR_RED + 3] = strokes[:, RED : RED + 3]
    solid = Marks(*(np.full((1, 4, 4), value, np.float32) for value in (1.0, 0.0, 0.0)))
    ground = torch.tensor(plain(40, 72, CANVAS))
    (one,) = warp.paint(torch.tensor(strokes), solid, ground)
    (two,) = dense.paint(torch.tensor(strokes[:, :13]), ground)
    assert (one - two).abs().max() < 1e-9


def test_mark_lies_along_its_stroke_and_its_first_row_at_the_left_hand() -> None:
    """A straight stroke to the right shows its mark upright, round ends included."""
    ramp = np.linspace(0, 1, 32, dtype=np.float32)
    along, across = np.tile(ramp, (16, 1)), np.tile(ramp[::2, None], (1, 32))
    flat = np.zeros((1, 16, 32), np.float32)
    stroke = np.zeros(NUM_BRUSH_COLUMNS, np.float32)
    stroke[:10] = [0.4, 0.5, 0.7, 0.5, 1.0, 0.5, 0.2, 0.2, 1.0, 1.0]
    for mark, axis in ((along, 1), (across, 0)):
        seen = warp.textured(torch.tensor(stroke).double(), Marks(mark[None], flat, flat), 80, 112).mask.numpy()
        inside = seen[30:50, 40:72]  # where it is covered fully
        assert (np.diff(inside, axis=axis) > 0).all()
        assert np.abs(np.diff(inside, axis=1 - axis)).max() < 1e-6
    edge = warp.textured(torch.tensor(stroke).double(), Marks(along[None], flat, flat), 80, 112)
    assert edge.along[40, 16] < 0.02 and edge.along[40, 95] > 0.98  # at the tips of the round ends


@pytest.mark.parametrize("relief", [0.0, 0.5])
def test_gradient_by_autograd_is_the_slope_of_the_loss(relief: float) -> None:
    strokes = textured_strokes(4, 24, 24, seed=4)
    strokes[:, 6] = 3 * strokes[:, 7]  # radius and opacity change along the stroke, so dt counts
    target, ground = torch.tensor(landscape(24, 24)), torch.tensor(plain(24, 24, (1.0, 1.0, 1.0)))
    marks = marks_of(make_brush(BristleBrush()), relief)

    def loss(moved: torch.Tensor) -> torch.Tensor:
        return ((warp.paint(moved, marks, ground, soften_px=1.65)[0] - target) ** 2).sum()

    leaf = torch.tensor(strokes, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(leaf), leaf)
    assert (gradient[:, MARK] == 0).all()
    slopes = np.zeros((4, NUM_BRUSH_COLUMNS))
    for row in range(4):
        for column in SHAPES:
            up, down = leaf.detach().clone(), leaf.detach().clone()
            up[row, column] += 1e-7
            down[row, column] -= 1e-7
            slopes[row, column] = (loss(up) - loss(down)).item() / 2e-7
    for column in SHAPES:
        if relief == 0.0 and column == THICKNESS:
            assert (gradient[:, column] == 0).all()
        else:
            assert np.abs(slopes[:, column]).max() > 0
            off = np.abs(slopes[:, column] - gradient[:, column].numpy()).max()
            assert off < 2e-3 * np.abs(slopes[:, column]).max(), column


@pytest.mark.parametrize("covers", [1.0, 0.0])
def test_solved_colours_are_the_best_there_are(covers: float) -> None:
    """The canvas is linear in the colours: the oracle's masks and a library's least squares say what is best."""
    strokes = textured_strokes(12, 40, 40, seed=5)
    strokes[:, RED : FAR_RED + 3] = 0.5 if covers else 0.1
    marks = marks_of(make_brush(BristleBrush()), 0.0)
    blank = plain(40, 40, (0.5, 0.4, 0.6) if covers else (0.0, 0.0, 0.0))
    target = 0.35 + 0.3 * landscape(40, 40) if covers else 0.25 + 0.2 * landscape(40, 40)
    best = _least_squares(strokes, marks, blank, target, covers)
    pixels = grid(40, 40, covers)
    solve_colours(
        strokes, pixels, marks, target.reshape(-1), blank.reshape(-1), np.zeros(0, np.int64), np.float32(0),
        np.float32(0), 400, new_brush_scratch(pixels), NO_STATES,
    )  # fmt: skip
    (canvas,) = warp.paint(torch.tensor(strokes), marks, torch.tensor(blank), covers=covers)
    found = float(((canvas.numpy() - target) ** 2).sum())
    assert found < 1.02 * best + 1e-6


def _least_squares(strokes: Floats, marks: Marks, blank: Image, target: Image, covers: float) -> float:
    """The least squared error over colours in [0, 1] of both ends of all strokes."""

    def grey(colours: NDArray[np.float32], ground: Image) -> NDArray[np.float64]:
        coloured = strokes.copy()
        coloured[:, RED : RED + 3], coloured[:, FAR_RED : FAR_RED + 3] = colours[0][:, None], colours[1][:, None]
        (canvas,) = warp.paint(torch.tensor(coloured), marks, torch.tensor(ground), covers=covers)
        return canvas.numpy()

    ends = np.eye(2 * len(strokes), dtype=np.float32).reshape(-1, 2, len(strokes))
    matrix = np.stack([grey(one, np.zeros_like(blank))[..., 0].ravel() for one in ends], 1)
    below = grey(0 * ends[0], blank)
    return float(
        sum(2 * lsq_linear(matrix, (target - below)[..., channel].ravel(), bounds=(0, 1)).cost for channel in range(3))
    )


def test_oracle_stays_on_the_device_of_its_strokes() -> None:
    """On `meta`, which computes shapes only, anything left on the CPU would be an error, as on a GPU."""
    marks = marks_of(make_brush(BristleBrush()), 0.5)
    strokes, ground = torch.zeros((2, NUM_BRUSH_COLUMNS), device="meta"), torch.zeros((16, 24, 3), device="meta")
    (canvas,) = warp.paint(strokes, marks, ground)
    assert canvas.device.type == "meta" and canvas.shape == (16, 24, 3) and canvas.dtype == torch.float64
