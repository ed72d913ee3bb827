"""The rasteriser for GPUs, run here on the CPU through the same code, against the kernels and the oracle."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from renderers.brush.gpu import TexturedShade
from renderers.brush.kinds import BristleBrush, WashBrush
from renderers.brush.stroke import NUM_BRUSH_COLUMNS, Marks, lay_all, marks_of, new_brush_scratch
from renderers.brush.texture import make_brush
from renderers.painting import Image
from renderers.raster.gpu import rasteriser
from renderers.raster.gpu.rasteriser import paint, passes
from renderers.raster.ribbon import NUM_COLUMNS, Floats, grid
from renderers.raster.stamp import draw_all, new_scratch
from tests.oracles import warp
from tests.oracles.test_brush_oracle import textured_strokes
from tests.renderers.pictures import landscape, plain
from tests.renderers.strokes import correlation, gentle_strokes, gradient_of, wild_strokes

LEVEL = 1 / 255
GROUND = (0.9, 0.8, 0.7)
MARKS = {
    "bristle": marks_of(make_brush(BristleBrush()), 0.5),
    "flat bristle": marks_of(make_brush(BristleBrush()), 0.0),
    "wash": marks_of(make_brush(WashBrush()), 0.0),
}


def by_kernel(
    strokes: Floats, height: int, width: int, steps: Sequence[int], covers: float = 1.0, marks: Marks | None = None
) -> list[Image]:
    """The canvases that the kernels of the CPU paint."""
    pixels, canvas = grid(height, width, covers), plain(height, width, GROUND).reshape(-1).copy()
    canvases, done = [], 0
    for step in steps:
        if marks is None:
            draw_all(strokes[done:step], pixels, canvas, new_scratch(pixels))
        else:
            lay_all(strokes[done:step], pixels, marks, canvas, new_brush_scratch(pixels))
        done = step
        canvases.append(canvas.reshape(height, width, 3).copy())
    return canvases


def painted(
    programs: Sequence[Floats], height: int, width: int, steps: Sequence[int], covers: float = 1.0,
    marks: Marks | None = None,
) -> Floats:  # fmt: skip
    """(B, S, H, W, 3) from the rasteriser."""
    ground = torch.tensor(plain(height, width, GROUND)).expand(len(programs), -1, -1, -1)
    shade = rasteriser.ribbon_shade if marks is None else TexturedShade.of(marks)
    batch, wanted = torch.tensor(np.stack(programs)), torch.tensor([list(steps)] * len(programs))
    return paint(batch, ground, wanted, shade, covers=covers).numpy()


sizes = st.tuples(st.integers(9, 56), st.integers(9, 56))


@settings(max_examples=30, deadline=None)
@given(sizes, st.integers(0, 2**16), st.booleans(), st.sampled_from([1.0, 0.0]), st.integers(1, 40))
def test_bezier_program_paints_what_the_kernels_paint(
    size: tuple[int, int], seed: int, wild: bool, covers: float, num: int
) -> None:
    program = (wild_strokes if wild else gentle_strokes)(num, *size, seed=seed)
    steps = [0, num // 2, num]
    expected = by_kernel(program, *size, steps, covers)
    scale = max(1.0, float(np.abs(expected).max()))  # ink adds up
    assert np.abs(painted([program], *size, steps, covers)[0] - expected).max() <= LEVEL * scale


@pytest.mark.parametrize("brush", ["flat bristle", "wash"])
@settings(max_examples=15, deadline=None)
@given(sizes, st.integers(0, 2**16), st.sampled_from([1.0, 0.0]), st.integers(1, 30))
def test_textured_program_paints_what_the_kernels_paint(
    brush: str, size: tuple[int, int], seed: int, covers: float, num: int
) -> None:
    program, marks = textured_strokes(num, *size, seed=seed), MARKS[brush]
    expected = by_kernel(program, *size, [num], covers, marks)[0]
    scale = max(1.0, float(np.abs(expected).max()))
    assert np.abs(painted([program], *size, [num], covers, marks)[0, 0] - expected).max() <= LEVEL * scale


def test_relief_is_the_kernels_but_on_the_borders_of_texels() -> None:
    program, marks = textured_strokes(60, 40, 72), MARKS["bristle"]
    off = np.abs(painted([program], 40, 72, [60], marks=marks)[0, 0] - by_kernel(program, 40, 72, [60], marks=marks)[0])
    assert (off > LEVEL).mean() < 0.002 and off.mean() < 0.1 * LEVEL


@pytest.mark.parametrize("covers", [1.0, 0.0])
@pytest.mark.parametrize("after", [(), (4, 30)], ids=["finished", "underpaintings"])
@pytest.mark.parametrize("make", [gentle_strokes, wild_strokes])
def test_gradient_of_a_bezier_program_is_the_kernels(
    make: Callable[..., Floats], after: tuple[int, ...], covers: float
) -> None:
    target, ground = landscape(40, 72), plain(40, 72, GROUND)
    programs = [make(60, 40, 72, seed=seed) for seed in range(3)]
    leaf = torch.tensor(np.stack(programs), requires_grad=True)
    steps = torch.tensor([[*(number + 1 for number in after), 60]] * 3)
    frames = paint(leaf, torch.tensor(ground).expand(3, -1, -1, -1), steps, soften_px=1.65, covers=covers)
    errors = ((frames - torch.tensor(target)) ** 2).sum((0, 2, 3, 4))
    (gradient,) = torch.autograd.grad(errors[-1] + 0.3 * errors[:-1].sum(), leaf)
    for number, program in enumerate(programs):
        _, _, true = gradient_of(program, target, ground, 1.65, after, weight=0.3, covers=covers)
        for column in range(NUM_COLUMNS):
            assert correlation(gradient[number, :, column].numpy(), true[:, column]) > 0.999, column
        off = np.linalg.norm(gradient[number].numpy() - true)
        assert off < 0.02 * np.linalg.norm(true)


@pytest.mark.parametrize("covers", [1.0, 0.0])
@pytest.mark.parametrize("brush", MARKS)
def test_gradient_of_a_textured_program_is_the_oracles(brush: str, covers: float) -> None:
    marks, program = MARKS[brush], textured_strokes(30, 24, 40, seed=4)
    ground, target = torch.tensor(plain(24, 40, GROUND)), torch.tensor(landscape(24, 40))
    leaf = torch.tensor(program, requires_grad=True)
    frames = paint(leaf[None], ground[None], torch.tensor([[7, 30]]), TexturedShade.of(marks), covers=covers)
    (gradient,) = torch.autograd.grad(((frames - target) ** 2).sum(), leaf)
    exact = torch.tensor(program, dtype=torch.float64, requires_grad=True)
    canvases = warp.paint(exact, marks, ground, [7, 30], covers)
    (true,) = torch.autograd.grad(torch.stack([((canvas - target) ** 2).sum() for canvas in canvases]).sum(), exact)
    for column in range(NUM_BRUSH_COLUMNS):
        if true[:, column].abs().max() == 0:  # the number of the mark, and thickness where there is no relief
            assert (gradient[:, column] == 0).all()
        else:
            assert correlation(gradient[:, column].numpy(), true[:, column].numpy()) > 0.999, column


def test_gradient_reaches_the_ground() -> None:
    program = torch.tensor(gentle_strokes(10, 16, 24))[None]
    ground = torch.tensor(plain(16, 24, GROUND))[None].requires_grad_()
    weights = torch.rand((1, 3, 16, 24, 3), generator=torch.Generator().manual_seed(0))
    (gradient,) = torch.autograd.grad((paint(program, ground, torch.tensor([[0, 4, 10]])) * weights).sum(), ground)
    black, white = (paint(program, torch.full_like(ground, value), torch.tensor([[0, 4, 10]])) for value in (0.0, 1.0))
    assert torch.allclose(gradient, ((white - black) * weights).sum(1), atol=1e-5)


@pytest.mark.parametrize("brush", [None, "bristle"])
def test_a_batch_is_its_pictures_one_by_one(brush: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the pictures are dealt to passes, and the pairs of a pass to chunks."""
    marks = MARKS[brush] if brush else None
    make = textured_strokes if brush else gentle_strokes
    programs = [make(30, 40, 48, seed=seed) for seed in range(4)]
    together = painted(programs, 40, 48, [0, 9, 30], marks=marks)
    for number, program in enumerate(programs):
        assert np.abs(painted([program], 40, 48, [0, 9, 30], marks=marks)[0] - together[number]).max() < 1e-5
    monkeypatch.setattr(rasteriser, "_MOST_PAIRS", {"cpu": 700})
    monkeypatch.setattr(rasteriser, "_PAIRS_AT_ONCE", {"cpu": 13})
    assert len(list(passes(torch.tensor(np.stack(programs)), 40, 48, 1.0))) > 1
    assert np.abs(painted(programs, 40, 48, [0, 9, 30], marks=marks) - together).max() < 1e-5


def test_snapshots_are_the_separate_renders_and_may_differ_from_picture_to_picture() -> None:
    programs = torch.tensor(np.stack([gentle_strokes(25, 40, 33, seed=seed) for seed in range(2)]))
    ground = torch.tensor(plain(40, 33, GROUND)).expand(2, -1, -1, -1)
    steps = torch.tensor([[0, 0, 3, 25], [1, 7, 7, 24]])
    together = paint(programs, ground, steps)
    for number in range(2):
        for frame, step in enumerate(steps[number].tolist()):
            alone = paint(programs[number : number + 1, :step], ground[:1])[0, 0]
            assert (together[number, frame] - alone).abs().max() < 1e-5


def test_strokes_that_touch_nothing_leave_the_canvas_and_have_no_gradient() -> None:
    program = gentle_strokes(6, 24, 24)
    program[1, [0, 2, 4]] += 9  # beside the canvas
    program[3, 8:10] = 0  # transparent
    program[4, 6:8] = -1  # of no width
    strokes = torch.tensor(program)[None].requires_grad_()
    ground = torch.tensor(plain(24, 24, GROUND))[None]
    (gradient,) = torch.autograd.grad(paint(strokes, ground).square().sum(), strokes)
    assert (gradient[0, [1, 4]] == 0).all() and (gradient[0, 3, 10:] == 0).all()
    assert np.abs(paint(strokes.detach(), ground)[0, 0].numpy() - by_kernel(program, 24, 24, [6])[0]).max() <= LEVEL
    none = paint(strokes[:, :0].detach(), ground)
    assert torch.equal(none[0, 0], ground[0])
    off = strokes.detach().clone()
    off[..., [0, 2, 4]] = -9
    assert torch.equal(paint(off, ground)[0, 0], ground[0])
    assert paint(strokes[:0].detach(), ground[:0]).shape == (0, 1, 24, 24, 3)


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param([0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.1, 0.1, 0.9, 0.4], id="a dot"),
        pytest.param([0.2, 0.5, 0.5, 0.5, 0.8, 0.5, 0.0, 0.0, 0.9, 0.4], id="no width"),
        pytest.param([0.2, 0.5, 0.5, 0.5, 0.8, 0.5, 0.2, 0.0, 0.9, 0.4], id="a point at the end"),
        # Of one opacity: on a curve folded onto itself, rounding says which of two equally near points it is.
        pytest.param([0.2, 0.2, 0.9, 0.9, 0.2, 0.2, 0.05, 0.05, 0.7, 0.7], id="there and back"),
        pytest.param([0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 3.0, 3.0, 0.9, 0.4], id="wider than the canvas"),
        pytest.param([-50.0, 0.5, 0.5, 0.5, 50.0, 0.5, 0.1, 0.1, 0.9, 0.4], id="longer than the canvas"),
    ],
)
def test_degenerate_stroke_is_painted_as_the_kernel_does_and_has_a_finite_gradient(shape: list[float]) -> None:
    program = np.array([[*shape, 0.1, 0.5, 0.9]], np.float32)
    assert np.abs(painted([program], 32, 40, [1])[0, 0] - by_kernel(program, 32, 40, [1])[0]).max() <= LEVEL
    leaf = torch.tensor(program)[None].requires_grad_()
    (gradient,) = torch.autograd.grad(paint(leaf, torch.zeros((1, 32, 40, 3))).sum(), leaf)
    assert gradient.isfinite().all()


def test_nothing_is_left_on_the_cpu() -> None:
    """On `meta`, which computes shapes only, anything left on the CPU would be an error, as on a GPU."""
    shade = TexturedShade.of(MARKS["bristle"], "meta")
    rows, pixels = torch.zeros((5, NUM_BRUSH_COLUMNS), device="meta"), torch.zeros((5, 64), device="meta")
    for kind in (rasteriser.ribbon_shade, shade):
        mask, colour = kind(rows, 16.0, 1.0, pixels, pixels, pixels)
        assert mask.device.type == colour.device.type == "meta" and mask.shape == (5, 64)
