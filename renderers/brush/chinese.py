"""Marks of the round brush of Chinese painting, and of a wash.

Ink lies in the paper and not on it, so its relief is flat. Cover stands here for how much ink the paper takes.
"""

import cv2
import numpy as np

from renderers.brush.bristle import Field, coordinates, noise, ramp
from renderers.brush.kinds import RoundBrush, WashBrush


def round_mark(brush: RoundBrush, rng: np.random.Generator, num_across: int, num_along: int) -> tuple[Field, Field]:
    """One mark of a round brush, as `bristle_mark` gives it."""
    t, v = coordinates(num_across, num_along)
    head, tail = (low + (high - low) * rng.uniform() for low, high in (brush.swells, brush.tapers))
    leave = np.clip((1.0 - t) / tail, 0.0, 1.0)
    width = (0.6 + 0.4 * ramp(t, -0.5 * head, head)) * (leave * (2.0 - leave)) ** 0.8
    # The tip does not travel down the middle: the hand leans to one side, more so where the stroke is thin.
    lean = (1.0 - width) * rng.uniform(-brush.lean, brush.lean)
    soft = brush.bleed
    wavering = (0.02 * noise(rng, 2, num_along, 1.0, 0.08))[np.where(v[:, 0] < 0, 0, 1)]
    cover = ramp(width * 0.97 * (1.0 + wavering) - np.abs(v - lean), -0.25 * soft, 0.75 * soft) * width**0.3
    pooled = 0.96 + brush.pools * noise(rng, num_across, num_along, 0.4, 0.25)
    # Where the outline runs steeply from column to column, sampling between them would show steps.
    cover = cv2.GaussianBlur((cover * pooled).astype(np.float32), (5, 3), sigmaX=1.2, sigmaY=0.5)
    return np.clip(cover, 0.0, 1.0), np.zeros_like(cover)


def wash_mark(brush: WashBrush, rng: np.random.Generator, num_across: int, num_along: int) -> tuple[Field, Field]:
    """One mark of a wash, as `bristle_mark` gives it: blooms, a dark rim, ends that fade away."""
    t, v = coordinates(num_across, num_along)
    wavering = 0.93 + 0.025 * noise(rng, 2, num_along, 1.0, 0.12)
    inside = np.where(v < 0, wavering[:1], wavering[1:]) - np.abs(v)
    bloom = 0.05 * noise(rng, num_across, num_along, 0.6, 0.15) + 0.03 * noise(rng, num_across, num_along, 0.2, 0.04)
    grain = brush.granulation * noise(rng, num_across, num_along, 0.04, 0.012)
    rim = np.exp(-(((inside - 0.06) / 0.06) ** 2)) + (0.14 / 0.22) * np.exp(-np.clip(inside, 0.0, None) / 0.25)
    rim *= brush.rim * (1.0 + 0.25 * noise(rng, 2, num_along, 1.0, 0.15)[np.where(v[:, 0] < 0, 0, 1)])
    # Water that creeps back into a drying wash leaves tide marks: a contour of something smooth.
    beyond = noise(rng, num_across, num_along, 0.7, 0.2) - 0.4
    tide = brush.tide * ramp(beyond, -0.12, 0.06) * np.exp(-np.clip(beyond, 0.0, None) / 0.35)
    uneven = np.exp(0.25 * noise(rng, num_across, num_along, 0.4, 0.3))
    fade = ramp(t * uneven, 0.0, brush.fades[0]) * ramp((1.0 - t) * uneven, 0.0, brush.fades[1])
    cover = (brush.tone + brush.blooms * bloom + tide + grain + rim) * ramp(inside, -0.04, 0.06) * fade
    return np.clip(cover, 0.0, 1.0).astype(np.float32), np.zeros_like(cover)
