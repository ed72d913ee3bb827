"""The last strokes: small ones, where the canvas is still farthest from the picture, preferably where the eye goes.

They go from one object to the next, and come to the most salient one last, as a painter leaves the highlights in the
eyes to the end.
"""

import cv2
import numpy as np

from renderers.bezier.fit import Beginning, Brief, fit_brief
from renderers.brush.guide import guide_along
from renderers.painting import Image
from renderers.studio.config import StudioConfig
from renderers.studio.easel import Easel, pixels_at_middles
from renderers.studio.media import Palette
from renderers.studio.phases import PHASES, WHOLE
from renderers.things import Things

_BROADEST = 0.016
_ATTENTION = 2.0  # how much more errors count in the most salient object
_GUIDE_SCALE = 0.02


def paint_accents(
    easel: Easel, goal: Image, things: Things, count: int, palette: Palette, config: StudioConfig,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """Set `count` accents on the canvas as it is, towards `goal` (h, w, 3)."""
    medium = palette.medium
    if medium.absorbs:
        goal = np.maximum(goal, easel.canvas)  # what paper has absorbed cannot be lightened
    height, width = goal.shape[:2]
    labels = cv2.resize(things.labels, (width, height), interpolation=cv2.INTER_NEAREST)
    last = medium.radii[1] * np.sqrt(500 / config.num_strokes)
    brief = Brief(
        target=goal,
        blank=easel.canvas,
        radii=np.geomspace(max(_BROADEST, 1.5 * last), last, count, dtype=np.float32),
        min_opacity=medium.min_opacity,
        lengths=medium.lengths,
        guide=guide_along(goal, _GUIDE_SCALE),
        area=count / config.num_strokes,
        beginning=Beginning(np.ascontiguousarray(_ATTENTION * things.saliency[labels], np.float32)),
    )
    phases = np.full(count, PHASES.index("accents"), np.uint8)
    ribbons = fit_brief(brief, config.effort, rng)
    objects = labels[pixels_at_middles(ribbons, (height, width))]
    ribbons = ribbons[np.argsort(things.saliency[objects], kind="stable")]
    strokes = palette.strokes(ribbons, phases, rng)
    easel.solve(strokes, goal)
    easel.lay(strokes, phases, WHOLE)
