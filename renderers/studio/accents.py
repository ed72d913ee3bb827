"""The last strokes: wherever the canvas is still farthest from the picture, whatever object that is."""

import numpy as np

from renderers.bezier.fit import Brief, fit_brief
from renderers.brush.guide import guide_along
from renderers.painting import Image
from renderers.studio.config import StudioConfig
from renderers.studio.easel import Easel
from renderers.studio.media import Palette
from renderers.studio.phases import PHASES, WHOLE

_BROADEST = 0.02
_GUIDE_SCALE = 0.02


def paint_accents(
    easel: Easel, goal: Image, count: int, palette: Palette, config: StudioConfig, rng: np.random.Generator
) -> None:
    """Set so many accents on the canvas as it is, towards `goal` (h, w, 3)."""
    medium = palette.medium
    if medium.absorbs:
        goal = np.maximum(goal, easel.canvas)  # what paper has taken in cannot be lightened
    last = medium.radii[1] * np.sqrt(500 / config.num_strokes)
    brief = Brief(
        target=goal,
        blank=easel.canvas,
        radii=np.geomspace(max(_BROADEST, 1.5 * last), last, count, dtype=np.float32),
        min_opacity=medium.min_opacity,
        lengths=medium.lengths,
        guide=guide_along(goal, _GUIDE_SCALE),
        area=count / config.num_strokes,
    )
    phases = np.full(count, PHASES.index("accents"), np.uint8)
    strokes = palette.strokes(fit_brief(brief, config.effort, rng), phases, rng)
    easel.solve(strokes, goal)
    easel.lay(strokes, phases, WHOLE)
