"""Brushes for Chinese ink: the round brush, the same one almost dry (feibai, "flying white"), and a wash.

Ink lies in the paper and not on it, so its relief is flat. Cover stands here for how much ink the paper takes.
"""

import cv2
import numpy as np

from renderers.brush.bristle import Field, coordinates, down, edge, landed, noise, ramp, reach, streaks


def round_tip(rng: np.random.Generator, num_across: int, num_along: int) -> tuple[Field, Field]:
    """A round brush full of ink: it sets down on its tip, swells, and leaves in a point; edges bleed a little."""
    t, v = coordinates(num_across, num_along)
    head, tail = rng.uniform(0.08, 0.16), rng.uniform(0.2, 0.4)
    leave = np.clip((1.0 - t) / tail, 0.0, 1.0)
    width = (0.6 + 0.4 * ramp(t, -0.5 * head, head)) * (leave * (2.0 - leave)) ** 0.8
    # The tip does not travel down the middle: the hand leans to one side, more so where the stroke is thin.
    lean = (1.0 - width) * rng.uniform(-0.5, 0.5)
    soft = 0.12
    wavering = (0.02 * noise(rng, 2, num_along, 1.0, 0.08))[np.where(v[:, 0] < 0, 0, 1)]
    cover = ramp(width * 0.97 * (1.0 + wavering) - np.abs(v - lean), -0.25 * soft, 0.75 * soft) * width**0.3
    pooled = 0.96 + 0.02 * noise(rng, num_across, num_along, 0.4, 0.25)
    # Where the outline runs steeply from column to column, sampling between them would show steps.
    cover = cv2.GaussianBlur((cover * pooled).astype(np.float32), (5, 3), sigmaX=1.2, sigmaY=0.5)
    return np.clip(cover, 0.0, 1.0), np.zeros_like(cover)


def feibai(rng: np.random.Generator, num_across: int, num_along: int) -> tuple[Field, Field]:
    """The round brush moved fast and nearly dry: solid where it sets down, then split into long thin white streaks."""
    t, v = coordinates(num_across, num_along)
    field = streaks(rng, num_across, num_along, num_bristles=40, along=0.5, clumps=0.4)
    field += 0.2 * noise(rng, num_across, num_along, 0.045, 0.03)  # the tooth of the paper
    # Ink is drawn to the middle of the brush, and the side on which the hand leans carries more of it.
    field += (rng.uniform(-0.5, 0.5) * v - 0.5 * v**2) * t
    since = landed(rng, num_across, t + 0.02 - 0.08 * v**4, ragged=0.012)
    until = landed(rng, num_across, 1.0 - t, ragged=0.1)
    share = 1.0 - 0.6 * ramp(t, 0.0, 1.0)
    cover = reach(field, share[0], softness=0.45) * down(since) * down(until)
    cover *= edge(rng, v, num_along, width=0.96, roughness=0.02, softness=0.1)
    return cover, np.zeros_like(cover)


def wash(rng: np.random.Generator, num_across: int, num_along: int) -> tuple[Field, Field]:
    """Much water, little ink: granulating blooms, a dark rim where the puddle dried last, ends that fade away."""
    t, v = coordinates(num_across, num_along)
    wavering = 0.93 + 0.025 * noise(rng, 2, num_along, 1.0, 0.12)
    inside = np.where(v < 0, wavering[:1], wavering[1:]) - np.abs(v)
    bloom = 0.05 * noise(rng, num_across, num_along, 0.6, 0.15) + 0.03 * noise(rng, num_across, num_along, 0.2, 0.04)
    grain = 0.012 * noise(rng, num_across, num_along, 0.04, 0.012)
    rim = 0.22 * np.exp(-(((inside - 0.06) / 0.06) ** 2)) + 0.14 * np.exp(-np.clip(inside, 0.0, None) / 0.25)
    rim *= 1.0 + 0.25 * noise(rng, 2, num_along, 1.0, 0.15)[np.where(v[:, 0] < 0, 0, 1)]
    # Water that creeps back into a drying wash leaves tide marks: a contour of something smooth.
    beyond = noise(rng, num_across, num_along, 0.7, 0.2) - 0.4
    tide = 0.06 * ramp(beyond, -0.12, 0.06) * np.exp(-np.clip(beyond, 0.0, None) / 0.35)
    uneven = np.exp(0.25 * noise(rng, num_across, num_along, 0.4, 0.3))
    fade = ramp(t * uneven, 0.0, 0.2) * ramp((1.0 - t) * uneven, 0.0, 0.28)
    cover = (0.5 + bloom + tide + grain + rim) * ramp(inside, -0.04, 0.06) * fade
    return np.clip(cover, 0.0, 1.0).astype(np.float32), np.zeros_like(cover)
