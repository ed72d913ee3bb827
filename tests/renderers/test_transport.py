"""Optimal transport between canvas and picture, and what it does for a stroke far from where it belongs."""

import numpy as np
import ot
import pytest
from numpy.typing import NDArray

from renderers.bezier.place import Limits
from renderers.bezier.refine import Moments, Rates, refine
from renderers.bezier.transport import CELLS, divergence_slope, grid_costs, transport_pull
from renderers.painting import Image
from renderers.raster.gradient import Loss
from renderers.raster.ribbon import Floats, grid
from renderers.raster.stamp import draw_all, new_scratch
from tests.renderers.pictures import landscape

SIDE = 64


def divergence(one: NDArray[np.float64], two: NDArray[np.float64], size: tuple[int, int]) -> float:
    """The debiased Sinkhorn divergence by the definition, from plans solved to the end."""

    def cost(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        costs, reg = grid_costs(size), 0.01
        plan = ot.sinkhorn(a, b, costs, reg, numItermax=20_000, stopThr=1e-14)
        relative = (plan * np.log(plan / (a[:, None] * b) + 1e-300)).sum()
        return float((plan * costs).sum() + reg * relative)

    return cost(one, two) - 0.5 * cost(one, one) - 0.5 * cost(two, two)


def test_slope_is_that_of_the_divergence() -> None:
    rng, size = np.random.default_rng(0), (5, 4)
    one, two = (mass / mass.sum() for mass in rng.uniform(0.2, 1.0, (2, 20)))
    slope = divergence_slope(one, two, size)
    for _ in range(4):
        move = rng.normal(size=20)
        move -= move.mean()
        measured = (divergence(one + 1e-5 * move, two, size) - divergence(one - 1e-5 * move, two, size)) / 2e-5
        assert slope @ move == pytest.approx(measured, rel=0.02, abs=1e-4)


def test_nothing_pulls_on_a_finished_canvas_or_a_black_one() -> None:
    picture = landscape(48, 72)
    assert np.abs(transport_pull(picture, picture)).max() < 1e-6
    assert (transport_pull(np.zeros_like(picture), picture) == 0).all()
    assert (transport_pull(picture, np.zeros_like(picture)) == 0).all()
    assert np.abs(transport_pull(picture, picture[:, ::-1].copy())).max() > 1e-3


def test_pull_leads_light_to_where_it_is_wanted_from_anywhere() -> None:
    canvas, target = spot(0.2), spot(0.8)
    pull = transport_pull(canvas, target).mean((0, 2))
    falling = pull[SIDE // CELLS : -SIDE // CELLS]
    assert (np.diff(falling[: round(0.7 * len(falling))]) < 0).all()  # downhill all the way to the right


@pytest.mark.parametrize(("weight", "arrives"), [(0.0, False), (10.0, True)])
def test_a_stroke_far_from_its_place_gets_there_by_transport_alone(weight: float, arrives: bool) -> None:
    """A white stroke at the left, a white spot wanted at the right: no pixel that it touches says so."""
    stroke = np.array([[0.2, 0.45, 0.2, 0.5, 0.2, 0.55, 0.08, 0.08, 1, 1, 1, 1, 1]], np.float32)
    target, moments = spot(0.8), Moments(np.zeros_like(stroke), np.zeros_like(stroke))
    for taken in range(0, 120, 5):
        pull = weight * transport_pull(painted(stroke), target)
        _refine(stroke, target, pull.astype(np.float32), moments, taken)
        stroke[:, 6:] = [0.08, 0.08, 1, 1, 1, 1, 1]  # it may only move
    assert (abs(float(stroke[0, 0:6:2].mean()) - 0.8) < 0.1) == arrives


def spot(x: float) -> Image:
    """A white spot at (x, 1/2) on black."""
    rows, columns = (np.mgrid[:SIDE, :SIDE] + 0.5) / SIDE
    mask = (columns - x) ** 2 + (rows - 0.5) ** 2 < 0.1**2
    return np.repeat(mask[..., None], 3, axis=-1).astype(np.float32)


def painted(strokes: Floats) -> Image:
    canvas = np.zeros(3 * SIDE * SIDE, np.float32)
    draw_all(strokes, grid(SIDE, SIDE), canvas, new_scratch(grid(SIDE, SIDE)))
    return canvas.reshape(SIDE, SIDE, 3)


def _refine(strokes: Floats, target: Image, more: Image, moments: Moments, taken: int) -> None:
    one = np.float32(1)
    nothing = np.zeros((0, target.size), np.float32)
    refine(
        strokes, grid(SIDE, SIDE), target.reshape(-1), np.zeros(target.size, np.float32),
        Loss(False, np.zeros(0, np.int64), np.float32(0), nothing, more.reshape(-1)),
        np.ones(5, np.float32), np.full(5, 1.5, np.float32), moments, taken,
        Rates(one, np.float32(0), np.float32(0), np.float32(0)),
        Limits(width=one, height=one, min_radius=np.float32(0.01), min_opacity=np.float32(0.1)),
    )  # fmt: skip
