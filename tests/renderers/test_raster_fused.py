"""The Triton kernels of the rasteriser for GPUs, in Triton's interpreter, against the same in torch."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import Tensor

from renderers.bezier.gpu import score as scoring
from renderers.brush.gpu import TexturedShade
from renderers.brush.kinds import BristleBrush, WashBrush
from renderers.brush.stroke import marks_of
from renderers.brush.texture import make_brush
from renderers.raster.gpu import rasteriser
from tests.oracles.test_brush_oracle import textured_strokes
from tests.renderers.pictures import landscape, plain
from tests.renderers.strokes import gentle_strokes, wild_strokes

pytest.importorskip("triton")
HEIGHT, WIDTH = 9, 13


_VARIABLE = "TRITON_INTERPRET"
interpreted = pytest.mark.skipif(os.environ.get(_VARIABLE) != "1", reason="runs below, in a process that interprets")


def test_kernels_do_what_torch_does() -> None:
    """Whether Triton compiles or interprets is settled when it is imported, so this takes a process of its own."""
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", "as_torch_does"]
    run = subprocess.run(tests, env={**os.environ, _VARIABLE: "1"}, capture_output=True, text=True)
    if "only 0-dimensional arrays can be converted" in run.stdout:
        pytest.skip(f"this Triton's interpreter cannot count with NumPy {np.__version__}")
    assert run.returncode == 0 and "7 passed" in run.stdout, run.stdout[-3000:]


def painted(strokes: Tensor, shade: rasteriser.Shade, covers: float, steps: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Frames, and the gradients of strokes and ground."""
    leaf = strokes.clone().requires_grad_()
    ground = torch.tensor(plain(HEIGHT, WIDTH, (0.9, 0.8, 0.7))).expand(len(strokes), -1, -1, -1).clone()
    ground.requires_grad_()
    frames = rasteriser.paint(leaf, ground, torch.tensor([steps] * len(strokes)), shade, 1.3, covers)
    error = (frames - torch.tensor(landscape(HEIGHT, WIDTH))).square().sum()
    onto_strokes, onto_ground = torch.autograd.grad(error, [leaf, ground])
    return frames.detach(), onto_strokes, onto_ground


@interpreted
@pytest.mark.parametrize("covers", [1.0, 0.0])
@pytest.mark.parametrize("kind", ["gentle", "wild", "textured"])
def test_kernels_paint_and_differentiate_as_torch_does(
    kind: str, covers: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = {"gentle": gentle_strokes, "wild": wild_strokes, "textured": textured_strokes}[kind]
    strokes = torch.tensor(np.stack([make(5, HEIGHT, WIDTH, seed=seed) for seed in range(2)]))
    marks = marks_of(make_brush(BristleBrush()), 0.5)
    shade = TexturedShade.of(marks) if kind == "textured" else rasteriser.ribbon_shade
    expected = painted(strokes, shade, covers, [0, 3, 3, 5])
    monkeypatch.setattr(rasteriser, "is_fused", lambda _: True)
    for value, true in zip(painted(strokes, shade, covers, [0, 3, 3, 5]), expected, strict=True):
        assert (value - true).norm() <= 2e-3 * true.norm()
    assert (painted(strokes, shade, covers, [5])[0] - expected[0][:, 3:]).abs().max() < 1 / 255


@interpreted
def test_kernel_scores_candidates_as_torch_does(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = ((32, 40), (16, 20))
    pictures = [np.stack([landscape(*size), plain(*size, (0.2, 0.4, 0.6))]) for size in sizes]
    pyramid = scoring.pyramid_of([torch.from_numpy(level) for level in pictures], (1.0, 1.0, 1.0))
    candidates = np.stack([gentle_strokes(5, 32, 40, seed=seed) for seed in range(2)])
    candidates[0, 0, :6] += 9  # beside the canvas
    for number in range(2):
        expected = scoring.score(torch.tensor(candidates), pyramid, number)
        with monkeypatch.context() as patch:
            patch.setattr(rasteriser, "is_fused", lambda _: True)
            gains, colours = scoring.score(torch.tensor(candidates), pyramid, number)
        assert torch.allclose(gains, expected[0], atol=1e-4) and gains[0, 0] == -1
        some = gains > 0
        assert some.any() and torch.allclose(colours[some], expected[1][some], atol=1e-4)


class _Unlaunched:
    """A kernel that must not be launched, because Triton refuses an empty grid."""

    def __getitem__(self, grid: object) -> None:
        raise AssertionError(f"a kernel was started on a grid of {grid}")


def test_no_kernel_is_started_for_no_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    from renderers.raster.gpu import fused

    for kernel in ("_compose", "_pull_back"):
        monkeypatch.setattr(fused, kernel, _Unlaunched())
    none, mask, colour = torch.zeros(0, dtype=torch.int32), torch.zeros(0, 64), torch.zeros(0, 3, 1)
    tape = fused.compose(mask, colour, torch.zeros(0, 3, 64), none, none, 1.0)
    frames, painted = torch.zeros(2, 0, 3, 64), torch.zeros(2, 0, dtype=torch.int32)
    onto_mask, onto_colour, onto_ground = fused.pull_back(mask, colour, tape, frames, painted, none, none, 1.0)
    assert tape.shape == onto_ground.shape == (0, 3, 64)
    assert onto_mask.shape == mask.shape and onto_colour.shape == colour.shape


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("kind", ["gentle", "textured"])
def test_a_gpu_paints_and_differentiates_as_the_cpu_does_and_twice_alike(kind: str) -> None:
    make = {"gentle": gentle_strokes, "textured": textured_strokes}[kind]
    programs, marks = np.stack([make(60, 64, 80, seed=seed) for seed in range(3)]), marks_of(make_brush(WashBrush()), 0)
    results = []
    for device in ("cpu", "cuda", "cuda"):
        shade = TexturedShade.of(marks, device) if kind == "textured" else rasteriser.ribbon_shade
        leaf = torch.tensor(programs, device=device, requires_grad=True)
        target = torch.tensor(landscape(64, 80), device=device)
        steps = torch.tensor([[0, 9, 60]] * 3, device=device)
        frames = rasteriser.paint(leaf, torch.ones_like(target).expand(3, -1, -1, -1), steps, shade)
        (gradient,) = torch.autograd.grad((frames - target).square().sum(), leaf)
        results.append((frames.detach().cpu(), gradient.cpu()))
    (frames, gradient), (gpu_frames, gpu_gradient), again = results
    assert (gpu_frames - frames).abs().max() <= 1 / 255
    assert np.corrcoef(gpu_gradient.flatten(), gradient.flatten())[0, 1] > 0.999
    assert torch.equal(again[0], gpu_frames) and torch.equal(again[1], gpu_gradient)
