"""Marks of bristle brushes: flats, filberts, dry brushes that drag paint over the ground.

A mark treats a stroke as a strip, `(V, U)`: rows across it, columns along it. Some dozen bristles of unequal load run
along the strip; where the load is high enough, paint reaches the ground. How much of the ground it reaches is stated as
a share, and the threshold is the quantile that gives this share, so that how much a brush covers is a property of the
brush and not of its random noise.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from renderers.brush.kinds import BristleBrush

Field = NDArray[np.float32]


def bristle_mark(brush: BristleBrush, rng: np.random.Generator, num_across: int, num_along: int) -> tuple[Field, Field]:
    """One mark of a brush of bristles.

    Returns:
        Cover (V, U) in [0, 1], and height of the paint (V, U), about -1 to 1, with any mean.
    """
    t, v = coordinates(num_across, num_along)
    field = streaks(rng, num_across, num_along, brush.bristles, brush.hold, brush.clumps)
    if brush.grain:
        field += np.float32(brush.grain) * noise(rng, num_across, num_along, 0.045, 0.03)
    # The tip is oval: its corners come down later, leave sooner and carry less than its middle.
    corners = np.float32(brush.oval) * v**4
    field -= np.float32(0.5) * corners
    if brush.lean:  # paint is drawn to the middle, and the side on which the hand leans carries more of it
        field += np.float32(brush.lean) * (rng.uniform(-0.5, 0.5) * v - 0.5 * v**2) * t
    since = landed(rng, num_across, t + 0.02 - 0.09 * corners, ragged=brush.ragged[0])
    until = landed(rng, num_across, 1.0 - t - 0.12 * corners, ragged=brush.ragged[1])
    share = brush.load - brush.runs_out * ramp(t, brush.runs_out_from, 1.0)
    cover = reach(field, share[0], brush.softness) * down(since) * down(until)
    cover *= edge(rng, v, num_along, width=0.96, roughness=brush.rough, softness=brush.edge)
    return cover, np.float32(brush.ridges) * paint(cover, field, v, until)


def coordinates(num_across: int, num_along: int) -> tuple[Field, Field]:
    """(1, U) places along a stroke, 0 to 1, and (V, 1) places across it, -1 to 1."""
    t = np.linspace(0.0, 1.0, num_along, dtype=np.float32)[None, :]
    v = np.linspace(-1.0, 1.0, num_across, dtype=np.float32)[:, None]
    return t, v


def noise(rng: np.random.Generator, num_across: int, num_along: int, across: float, along: float) -> Field:
    """(V, U) smooth noise of mean 0 and deviation 1, correlated over the given shares of the stroke's two sides."""
    rows, columns = (max(2, math.ceil(1.5 / length)) + 4 for length in (across, along))
    coarse = cv2.GaussianBlur(rng.standard_normal((rows, columns), dtype=np.float32), (5, 5), 0.9)
    # Resized with two cells to spare on each side, then cut, so that nothing is mirrored at the borders.
    cut_rows, cut_columns = (2 * side / (cells - 4) for side, cells in ((num_across, rows), (num_along, columns)))
    place_rows = (np.arange(num_across, dtype=np.float32) + 0.5 + cut_rows) * ((rows - 4) / num_across) - 0.5
    place_columns = (np.arange(num_along, dtype=np.float32) + 0.5 + cut_columns) * ((columns - 4) / num_along) - 0.5
    grid = np.meshgrid(place_columns.astype(np.float32), place_rows.astype(np.float32))
    field = cv2.remap(coarse, grid[0], grid[1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return standard(field)


def standard(field: Field) -> Field:
    """The field with mean 0 and deviation 1."""
    result: Field = (field - field.mean()) / (field.std() + np.float32(1e-6))
    return result


def ramp(values: Field, low: float, high: float) -> Field:
    """0 up to low, 1 from high, smooth between."""
    x = np.clip((values - low) / (high - low), 0.0, 1.0).astype(np.float32)
    smooth: Field = x * x * (3.0 - 2.0 * x)
    return smooth


def streaks(
    rng: np.random.Generator, num_across: int, num_along: int, num_bristles: int, along: float, clumps: float
) -> Field:
    """(V, U) load of bristles, mean 0, deviation 1: it varies from bristle to bristle and slowly along each.

    Args:
        rng: gives all random numbers.
        num_across, num_along: V and U.
        num_bristles: bristles side by side.
        along: the share of the stroke over which the load of a bristle stays the same.
        clumps: how much of the load neighbouring bristles have in common.
    """
    # Jittered about even places: wholly random ones leave holes so wide that no bristle has weight there.
    places = (np.arange(num_bristles) + rng.uniform(0.0, 1.0, num_bristles)).astype(np.float32)
    places = places * (2.0 / num_bristles) - 1.0
    loads = standard(noise(rng, num_bristles, num_along, 1.0 / num_bristles, along))
    loads += standard(rng.standard_normal((num_bristles, 1), dtype=np.float32))
    weights = np.exp(-((np.linspace(-1, 1, num_across, dtype=np.float32)[:, None] - places) ** 2) * num_bristles**2)
    weights /= weights.sum(axis=1, keepdims=True)
    # Not a matrix product: how BLAS sums may depend on its number of threads.
    carried = np.einsum("vb,bu->vu", weights, loads)
    return standard(standard(carried) + clumps * noise(rng, num_across, num_along, 0.25, along))


def reach(field: Field, share: Field, softness: float) -> Field:
    """(V, U) cover in [0, 1]: the given share (U,) of each column, where the field is highest."""
    level = np.quantile(field, 1.0 - np.clip(share, 0.0, 1.0)).astype(np.float32)
    return ramp(field - level, -0.5 * softness, 0.5 * softness)


def landed(rng: np.random.Generator, num_across: int, from_end: Field, ragged: float) -> Field:
    """(V, U) how far each bristle has come since it touched down near an end of the stroke, below 0 where it has not.

    Args:
        rng: gives all random numbers.
        num_across: V.
        from_end: (1, U) or (V, U) distance from that end, as a share of the stroke.
        ragged: the share of the stroke over which the bristles follow one another, tuft by tuft.
    """
    tufts = noise(rng, num_across, 2, 0.12, 1.0)[:, :1] + 0.6 * noise(rng, num_across, 2, 0.04, 1.0)[:, :1]
    late = ragged * (tufts - tufts.min()) / (np.ptp(tufts) + np.float32(1e-6))
    since: Field = (from_end - late).astype(np.float32)
    return since


def down(since: Field) -> Field:
    """(V, U) in [0, 1]: cover where bristles are down; none before, so that no half-empty tip is smeared out."""
    return ramp(since, 0.0, 0.022)


def edge(rng: np.random.Generator, v: Field, num_along: int, width: float, roughness: float, softness: float) -> Field:
    """(V, U) in [0, 1]: inside the two long edges, that waver about `width`."""
    wavering = width + roughness * noise(rng, 2, num_along, 1.0, 0.06)
    limit = np.where(v < 0, wavering[:1], wavering[1:])
    return ramp(limit - np.abs(v), -0.5 * softness, 0.5 * softness)


def paint(cover: Field, field: Field, v: Field, until: Field) -> Field:
    """(V, U) height of thick paint: ridges along streaks and at the two edges, a bead where bristles lift."""
    ridges = 0.25 * np.tanh(field) + 0.35 * np.exp(-(((np.abs(v) - 0.87) / 0.08) ** 2))
    bead = 0.35 * np.exp(-(((until - 0.035) / 0.02) ** 2))
    height = cover * (0.8 + ridges + bead)
    soft: Field = cv2.GaussianBlur(height.astype(np.float32), (3, 3), 0.6)
    return soft
