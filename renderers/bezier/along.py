"""Strokes that follow a painter's time line: each paints what is done in one interval between two frames.

Strokes that were fitted to the finished picture alone cannot be put into another order, because those below were
coloured for those above them (docs/decisions/029). So the strokes of a schedule are dealt to the intervals, and placed
on the canvas as it is then, where the painter works. Then all are refined together, with the painter's frames as
under-paintings.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from renderers.bezier.config import Effort
from renderers.bezier.fit import (
    RATES,
    Brief,
    build_pyramid,
    limits_of,
    pyramid_sizes,
    search_of,
    stages_of,
)
from renderers.bezier.place import MAX_CELLS, level_grid, place
from renderers.bezier.refine import Moments, refine
from renderers.distance import num_octaves
from renderers.painting import Image
from renderers.raster.gradient import Loss
from renderers.raster.ribbon import NUM_COLUMNS, Floats, grid
from renderers.raster.stamp import new_scratch
from renderers.shrink import shrink, shrunk_size

STATE_WEIGHT = 0.02
"""Weight of the error at each of the painter's frames; that of the finished picture is 1."""

APART = 0.06
"""The most strokes from one under-painting to the next, as a share of all."""

_STEPS_FACTOR = 8  # times the refinement steps of a painting without a time line: several pictures are to be matched
_AT_WORK = 4.0  # 1 / share of its way that a place goes between two frames when it is fully at work
_GOLDEN = 0.6180339887  # of a low-discrepancy sequence, which deals neighbouring strokes far apart in time


def fit_along(
    brief: Brief, states: Sequence[Image], progress: NDArray[np.float32], effort: Effort, rng: np.random.Generator
) -> tuple[Floats, NDArray[np.int64]]:
    """Find strokes that take the canvas through the states.

    Args:
        brief: of the finished picture.
        states: S of (H, W, 3), the last being the brief's target.
        progress: (S + 1, h, w) share of its way that each place has gone: before the first state, and at each.

    Returns:
        (N, 13) strokes in painting order, and (S,) how many of them have been painted by each state.
    """
    slots = dealt(brief, states)
    order = np.argsort(slots, kind="stable")
    radii, ends = brief.radii[order], np.cumsum(np.bincount(slots, minlength=len(states)))
    limits, stages = limits_of(brief), list(stages_of(brief, effort))
    strokes = np.zeros((len(radii), NUM_COLUMNS), np.float32)
    _place_all(strokes, radii, brief, states, progress, ends, effort, stages[0].short_px, rng)
    after, matched = under_paintings(ends)
    for stage in stages:
        small = shrink(brief.target, stage.short_px)
        pictures = [shrink(state, stage.short_px).reshape(-1) for state in states]
        wanted = np.stack([pictures[state] for state in matched]) if matched else np.empty((0, small.size), np.float32)
        loss = Loss(
            brief.absolute, after, np.float32(STATE_WEIGHT), np.empty_like(wanted), np.zeros(0, np.float32),
            wanted,
        )  # fmt: skip
        paces, softs_px = (np.repeat(values, _STEPS_FACTOR) for values in (stage.paces, stage.softs_px))
        refine(
            strokes, grid(small.shape[0], small.shape[1], brief.covers), small.reshape(-1),
            brief.ground(stage.short_px), loss, paces, softs_px,
            Moments(np.zeros_like(strokes), np.zeros_like(strokes)), 0, RATES, limits,
        )  # fmt: skip
    return strokes, ends


def under_paintings(ends: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[int]]:
    """The strokes after which the canvas should look like a state: the last of each state, and some before it.

    Without the latter, strokes that are soon covered would take any colour, and be seen in the frames in between.

    Args:
        ends: (S,) how many strokes have been painted by each state.

    Returns:
        Numbers of strokes, ascending, and the state that the canvas should look like after each of them.
    """
    marks: dict[int, int] = {}
    apart = APART * ends[-1]
    for state, (start, end) in enumerate(pairwise([0, *ends.tolist()])):
        parts = max(2, math.ceil((end - start) / apart))
        for mark in np.linspace(start, end, parts + 1).astype(int)[1:].tolist():
            if start < mark < ends[-1]:
                marks[mark - 1] = state
    return np.array(list(marks), np.int64), list(marks.values())


def _place_all(
    strokes: Floats, radii: Floats, brief: Brief, states: Sequence[Image], progress: NDArray[np.float32],
    ends: NDArray[np.int64], effort: Effort, finest_px: int, rng: np.random.Generator,
) -> None:  # fmt: skip
    """Place strokes state by state; where the painter does not work, the target is the canvas as it is."""
    limits, search = limits_of(brief), search_of(brief, effort)
    height, width = brief.target.shape[:2]
    sizes = pyramid_sizes(height, width, finest_px)
    pyramid = build_pyramid(brief, finest_px)
    scratch, errors = new_scratch(level_grid(pyramid, 0)), np.zeros(MAX_CELLS, np.float32)
    start = 0
    for state, end, progress_made in zip(states, ends, np.diff(progress, axis=0), strict=True):
        work = np.minimum(_AT_WORK * cv2.GaussianBlur(progress_made, (0, 0), 1.0), 1.0)
        wanted, shares = [], []
        for size in sizes:
            rows, columns = shrunk_size(height, width, size)
            wanted.append(shrink(state, size).reshape(-1))
            share = cv2.resize(work, (columns, rows), interpolation=cv2.INTER_LINEAR)
            shares.append(np.repeat(share.reshape(-1), 3))
        target = pyramid.canvases + np.concatenate(shares) * (np.concatenate(wanted) - pyramid.canvases)
        pyramid = pyramid._replace(targets=target.astype(np.float32))
        place(strokes[start:end], radii[start:end], pyramid, scratch, errors, search, limits, brief.guide, rng)
        start = end


def dealt(brief: Brief, states: Sequence[Image]) -> NDArray[np.int64]:
    """(N,) the interval, from 0 to S - 1, in which each stroke of the schedule is painted.

    Strokes of a size are dealt in proportion to how much each interval changes in the octave of that size.
    """
    target = brief.target
    first = np.broadcast_to(np.array(brief.blank, np.float32), target.shape)
    changes = np.stack([_octaves(after - before) for before, after in zip([first, *states], states, strict=False)])
    shares = np.cumsum(changes, axis=0) / np.maximum(changes.sum(0), 1e-9)
    last = shares.shape[1] - 1
    octaves = np.clip(np.log2(2.0 * brief.radii * min(target.shape[:2])), 0, last)
    finer = octaves.astype(int)
    part = octaves - finer
    risen = (1.0 - part) * shares[:, finer] + part * shares[:, np.minimum(finer + 1, last)]
    draws = np.arange(len(brief.radii)) * _GOLDEN % 1.0
    slots: NDArray[np.int64] = np.minimum((risen < draws).sum(0), len(states) - 1)
    return slots


def _octaves(change: Image) -> NDArray[np.float64]:
    """(B + 1,) size of a change, summed over blocks: in octaves from single pixels up, and in all that is coarser."""
    sums, means = [], np.ascontiguousarray(change)
    for _ in range(num_octaves(*change.shape[:2])):
        rows, columns = (side // 2 * 2 for side in means.shape[:2])
        halved = cv2.resize(means[:rows, :columns], (columns // 2, rows // 2), interpolation=cv2.INTER_AREA)
        detail = means[:rows, :columns] - halved.repeat(2, 0).repeat(2, 1)
        sums.append(float(np.linalg.norm(detail, axis=-1).sum()))
        means = halved
    return np.array([*sums, float(np.linalg.norm(means, axis=-1).sum())])
