"""How a painting begins: what of the canvas is still bare, and whether the first lines are those of the picture."""

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.evaluation.process import VISIBLE, Lab, Process

_BEGUN = 0.01  # share of the canvas: a frame with fewer marks is a blank canvas, not a first state
_SMOOTH_PX = 0.7
_STEEP = 4.0  # ΔE a pixel: steeper colour is an edge


def bare_shares(process: Process) -> NDArray[np.float64]:
    """(T,) share of pixels on which nothing was done that can be seen, up to and with frame t. Never rises.

    Unlike one minus coverage, a pixel that was painted over in the colour of the ground is not bare again.
    """
    untouched = np.logical_and.accumulate(process.from_blank <= VISIBLE, axis=0)
    shares: NDArray[np.float64] = untouched.mean((1, 2), dtype=np.float64)
    return shares


def first_state(process: Process) -> int:
    """The frame in which the painting has begun: the first with marks on a hundredth of the canvas; else the last."""
    begun = (process.from_blank > VISIBLE).mean((1, 2)) >= _BEGUN
    return int(begun.argmax()) if begun.any() else len(begun) - 1


def kept_edges(process: Process) -> float:
    """Share of the edges of the first state that are edges of the finished picture, corrected for chance.

    (kept - chance) / (1 - chance), as in Cohen's κ (1960): 1 when every edge stays, 0 when no more stay than of pixels
    thrown at random, below 0 when fewer do. 0 where there are no edges to be kept, or where the finished picture is all
    edges.
    """
    first, finished = _edges(process.lab[first_state(process)]), _edges(process.lab[-1])
    chance = float(finished.mean())
    if not first.any() or chance == 1.0:
        return 0.0
    return (float(finished[first].mean()) - chance) / (1.0 - chance)


def _edges(lab: Lab) -> NDArray[np.bool_]:
    """(H, W) where colour is steep; smoothing makes an edge about three pixels broad, so that it may move by one."""
    smooth = cv2.GaussianBlur(lab, (0, 0), _SMOOTH_PX)
    across, down = (cv2.Sobel(smooth, cv2.CV_32F, *way, scale=1 / 8) for way in ((1, 0), (0, 1)))
    steep: NDArray[np.bool_] = (across**2 + down**2).sum(-1) > _STEEP**2
    return steep
