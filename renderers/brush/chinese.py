"""Brushes for Chinese ink: the round brush, the same one almost dry (feibai, "flying white"), and a wash.

Ink lies in the paper and not on it, so its relief is flat. Cover stands here for how much ink the paper takes.
"""

import numpy as np

from renderers.brush.bristle import Field, coordinates, edge, noise, ramp, reach, streaks, touch


def round_tip(rng: np.random.Generator, num_across: int, num_along: int) -> tuple[Field, Field]:
    """A round brush full of ink: it comes down on its tip, swells, and leaves in a point; edges bleed a little."""
    t, v = coordinates(num_across, num_along)
    begin, finish = rng.uniform(0.35, 0.6), rng.uniform(0.05, 0.25)
    swell = begin + (1.0 - begin) * ramp(t, 0.0, 0.14)
    width = np.minimum(swell, finish + (1.0 - finish) * np.sqrt(np.clip((1.0 - t) / 0.3, 0.0, 1.0)))
    # The tip does not travel down the middle: the hand leans to one side, more so where the stroke is thin.
    lean = (1.0 - width) * rng.uniform(-0.7, 0.7)
    soft = 0.16
    wavering = 0.025 * noise(rng, num_across, num_along, 0.5, 0.08)
    cover = ramp(width * 0.97 + wavering - np.abs(v - lean), -0.5 * soft, 0.5 * soft)
    pooled = 0.96 + 0.02 * noise(rng, num_across, num_along, 0.4, 0.25)
    return np.clip(cover * pooled, 0.0, 1.0), np.zeros_like(cover)


def feibai(rng: np.random.Generator, num_across: int, num_along: int) -> tuple[Field, Field]:
    """The round brush moved fast and nearly dry: solid where it sets down, then split into long thin white streaks."""
    t, v = coordinates(num_across, num_along)
    field = streaks(rng, num_across, num_along, num_bristles=30, along=0.45, clumps=0.9)
    field += 0.35 * noise(rng, num_across, num_along, 0.025, 0.02)  # the tooth of the paper
    # Ink is drawn to the middle of the brush, and the side on which the hand leans carries more of it.
    field += (rng.uniform(-0.5, 0.5) * v - 0.5 * v**2) * t
    share = 1.0 - 0.62 * ramp(t, -0.1, 1.0)
    cover = reach(field, share[0], softness=0.5)
    cover *= touch(rng, num_across, t - 0.06 * v**4, down=0.9, ragged=0.02)
    cover *= touch(rng, num_across, 1.0 - t, down=0.45, ragged=0.14)
    cover *= edge(rng, v, num_along, width=0.96, roughness=0.025, softness=0.1)
    return cover, np.zeros_like(cover)


def wash(rng: np.random.Generator, num_across: int, num_along: int) -> tuple[Field, Field]:
    """Much water, little ink: granulating blooms, a dark rim where the puddle dried last, ends that fade away."""
    t, v = coordinates(num_across, num_along)
    wavering = 0.93 + 0.03 * noise(rng, 2, num_along, 1.0, 0.1)
    inside = np.where(v < 0, wavering[:1], wavering[1:]) - np.abs(v)
    bloom = 0.05 * noise(rng, num_across, num_along, 0.3, 0.12) + 0.03 * noise(rng, num_across, num_along, 0.06, 0.02)
    rim = 0.3 * np.exp(-(((inside - 0.04) / 0.05) ** 2)) + 0.08 * np.exp(-np.clip(inside, 0.0, None) / 0.2)
    fade = ramp(t + 0.04 * noise(rng, num_across, 2, 0.3, 1.0)[:, :1], 0.0, 0.28)
    fade *= ramp(1.0 - t + 0.04 * noise(rng, num_across, 2, 0.3, 1.0)[:, :1], 0.0, 0.35)
    cover = (0.55 + bloom + rim) * ramp(inside, -0.03, 0.03) * fade
    return np.clip(cover, 0.0, 1.0).astype(np.float32), np.zeros_like(cover)
