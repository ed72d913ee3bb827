"""Describes how a painting begins: how much canvas is bare, and whether the first edges are those of the picture."""

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.evaluation.process import VISIBLE, Lab, Process

_LEAST_MARKED = 0.01  # share of the canvas: a frame with fewer marks counts as blank
_SMOOTH_PX = 0.7
_EDGE_SLOPE = 4.0  # ΔE per pixel: colours with a steeper slope are edges


def bare_shares(process: Process) -> NDArray[np.float64]:
    """(T,) share of pixels that have not changed visibly up to and including frame t; it never rises.

    Unlike in one minus coverage, a pixel that is painted over in the colour of the ground does not become bare again.
    """
    untouched = np.logical_and.accumulate(process.from_blank <= VISIBLE, axis=0)
    shares: NDArray[np.float64] = untouched.mean((1, 2), dtype=np.float64)
    return shares


def first_state(process: Process) -> int:
    """The first frame with marks on at least a hundredth of the canvas, or else the last frame."""
    has_marks = (process.from_blank > VISIBLE).mean((1, 2)) >= _LEAST_MARKED
    return int(has_marks.argmax()) if has_marks.any() else len(has_marks) - 1


def kept_edges(process: Process) -> float:
    """Share of the edges of the first state that are edges of the finished picture, corrected for chance.

    (kept - chance) / (1 - chance), as in Cohen's κ (1960): 1 if every edge stays, 0 if as many stay as of random
    pixels, below 0 if fewer do. It is also 0 if the first state has no edges, or the finished picture is all edges.
    """
    first, finished = _edges(process.lab[first_state(process)]), _edges(process.lab[-1])
    chance = float(finished.mean())
    if not first.any() or chance == 1.0:
        return 0.0
    return (float(finished[first].mean()) - chance) / (1.0 - chance)


def _edges(lab: Lab) -> NDArray[np.bool_]:
    """(H, W), True at edges of colour; smoothing makes them about three pixels broad, so that they may move by one."""
    smooth = cv2.GaussianBlur(lab, (0, 0), _SMOOTH_PX)
    across, down = (cv2.Sobel(smooth, cv2.CV_32F, *orders, scale=1 / 8) for orders in ((1, 0), (0, 1)))
    steep: NDArray[np.bool_] = (across**2 + down**2).sum(-1) > _EDGE_SLOPE**2
    return steep
