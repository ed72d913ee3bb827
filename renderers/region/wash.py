"""Watercolour washes: light tones first, then darker ones over them; the first flows wet, the last lies on dry paper.

Paint is transparent: what lies on the paper multiplies the light, so that tones are amounts of paint, logarithms of
light (Beer and Lambert). A wash lays no more than its tone anywhere: what is light is finished by the first, what is
dark takes all of them, and white paper stays bare.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]

_TONES = (0.35, 0.65, 1.0)  # amount of paint up to which each wash goes, in shares of a region's deepest
_BEGINS, _LASTS = (0.0, 0.4, 0.7), (0.5, 0.4, 0.3)  # of each wash, in shares of the time that a region takes
_SOFTNESS = (0.3, 0.15, 0.06)  # of the edge of each while it flows, in shares of its own time
_RAGGED, _LOBES = 0.3, (11, 37)  # by how much of a region's time the edge comes early; lobes along the shorter side
_SPREAD = 0.012  # how far the tones of the first run into each other, in shorter sides
_DEEPEST = 95  # percentile of amounts that counts as the deepest: a few black pixels make no tone
_BLACK = np.float32(0.02)  # light that the deepest black still gives


def amounts(picture: Pixels, blank: Pixels) -> Pixels:
    """(..., 3) how much paint each pixel (..., 3) has in the end; below 0 where it is lighter than the paper."""
    paint: Pixels = np.log((blank + _BLACK) / (picture + _BLACK)).astype(np.float32)
    return paint


def ragged(times: Pixels, height: int, width: int) -> Pixels:
    """(H * W,) times at which a wash reaches each pixel, early in some places, as paper takes water unevenly."""
    rng = np.random.default_rng(0)  # the same paper for every picture, at every size
    early = np.zeros((height, width), np.float32)
    for lobes in _LOBES:
        grid = rng.random((lobes, lobes), np.float32)
        rows, columns = (np.arange(side) * lobes / min(height, width) for side in (height, width))
        x, y = np.meshgrid(columns.astype(np.float32) % lobes, rows.astype(np.float32) % lobes)
        early += cv2.remap(grid, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP) / len(_LOBES)
    uneven: Pixels = np.maximum(times - _RAGGED * early.ravel(), 0.0).astype(np.float32)
    return uneven


def depths(paint: Pixels, height: int, width: int) -> tuple[Pixels, Pixels]:
    """(H * W,) depth of the tone of each pixel, and the same for a wet wash, in which tones run together."""
    tone = np.abs(paint).mean(-1).astype(np.float32)
    deviation = max(0.3, _SPREAD * min(height, width))
    spread = cv2.GaussianBlur(tone.reshape(height, width), (0, 0), deviation, borderType=cv2.BORDER_REFLECT).ravel()
    return tone, np.maximum(tone, spread)


def washed(
    goal: Pixels, paint: Pixels, tone: Pixels, spread: Pixels, times: Pixels, blank: Pixels, share: float
) -> Pixels:
    """The pixels of a region after a share of the time that it takes.

    Every pixel only ever comes nearer to its goal.

    Args:
        goal, paint: (n, 3) the pixels in the end, and their `amounts`.
        tone, spread: (n,) their `depths`.
        times: (n,) when a wash reaches each, in [0, 1].
        blank: (3,) the paper.
        share: in [0, 1].
    """
    deepest = max(float(np.percentile(tone, _DEEPEST)), 1e-6) if tone.size else 1.0
    laid, before = np.zeros_like(tone), np.zeros_like(tone)
    for level, begin, lasts, softness in zip(_TONES, _BEGINS, _LASTS, _SOFTNESS, strict=True):
        wash_tone = spread if begin == 0 else tone
        reached = np.minimum(1.0, level * deepest / np.maximum(wash_tone, 1e-6)) if level < 1 else np.ones_like(tone)
        flow = np.clip((share - begin) / lasts, 0.0, 1.0) * (1.0 + softness)
        laid += (reached - before) * np.clip((flow - times) / softness, 0.0, 1.0)
        before = reached
    light = (blank + _BLACK) * np.exp(-paint * laid[:, None]) - _BLACK
    between: Pixels = np.clip(light, np.minimum(goal, blank), np.maximum(goal, blank)).astype(np.float32)
    return between
