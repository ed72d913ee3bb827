"""The ground of a painting: thin umber in the dark areas separates them from the light ones at the start."""

import cv2
import numpy as np

from renderers.bezier.fit import Brief, fit_brief
from renderers.painting import Image
from renderers.studio.config import StudioConfig
from renderers.studio.easel import Easel
from renderers.studio.media import LUMA, Palette
from renderers.studio.phases import WHOLE

_SHARE, _FEWEST = 0.02, 6  # of the strokes
_RADII, _LENGTHS = (0.16, 0.1), (1.5, 3.0)
_UMBER, _DEPTH = np.array([0.45, 0.36, 0.27], np.float32), 0.28
_OPACITY = 0.6
_BLUR = 0.04
_LIGHTS = 0.7  # quantile of lightness above which nothing is toned


def paint_ground(
    easel: Easel, image: Image, paper: tuple[float, float, float], palette: Palette, config: StudioConfig,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """Tone the darks of a picture (h, w, 3)."""
    luma = cv2.GaussianBlur(image @ LUMA, (0, 0), _BLUR * easel.short_px)
    dark = (np.quantile(luma, _LIGHTS) - luma) / max(1e-3, float(np.ptp(luma)))
    bare = np.array(paper, np.float32)
    tone = _DEPTH * np.clip(1.6 * dark, 0.0, 1.0)[..., None]
    count = max(_FEWEST, round(_SHARE * config.num_strokes))
    brief = Brief(
        target=(bare + tone * (_UMBER - bare)).astype(np.float32),
        blank=paper,
        radii=np.geomspace(*_RADII, count, dtype=np.float32),
        min_opacity=_OPACITY,
        lengths=_LENGTHS,
    )
    ribbons = fit_brief(brief, config.effort, rng)
    easel.lay(palette.strokes(ribbons, np.zeros(count, np.uint8), rng), "ground", WHOLE)
