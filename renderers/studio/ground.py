"""The ground of a painting: a coat in the colour of its largest mass, and thin umber where it will be dark."""

import cv2
import numpy as np
from numpy.typing import NDArray

from renderers.bezier.fit import Brief, fit_brief
from renderers.painting import Image
from renderers.raster.ribbon import RED
from renderers.shrink import shrink
from renderers.studio.config import StudioConfig
from renderers.studio.easel import Easel
from renderers.studio.media import LUMA, Palette
from renderers.studio.patch import Handling, patch
from renderers.studio.phases import WHOLE
from renderers.things import Things

_COAT, _COAT_LEAST_PX, _MOST_COAT_STROKES = Handling(radius=0.08, spacing=0.85, longest=9.0), 3.0, 60
_DARKEST_WASH = 0.25  # in amounts: a first wash must leave room for what is darker
_RESERVED, _UNSEEN = 0.7, 0.03  # of its amounts: less than this stays bare paper; and an amount too small to be seen
_GOAL_BLUR = 0.01  # in units of the shorter side
_SALIENCY_PENALTY = 0.5  # how much less the area of what draws the eye counts
_SHARE, _FEWEST = 0.02, 6  # of the strokes
_RADII, _LENGTHS = (0.16, 0.1), (1.5, 3.0)
_UMBER, _DEPTH = np.array([0.45, 0.36, 0.27], np.float32), 0.28
_OPACITY = 0.6
_BLUR = 0.04
_TONED_PX = 64  # along the shorter side: darks are broad
_LIGHTS = 0.7  # quantile of lightness above which nothing is toned

Colour = tuple[float, float, float]


def ground_colour(goal: Image, things: Things) -> Colour:
    """The median colour of the largest thing that does not draw the eye.

    Painters choose a ground that the picture can use: where it shows through, or is painted last, it is right already.

    Args:
        goal: (h, w, 3) the picture, in RGB or in amounts.
    """
    largest = int(np.argmax(things.areas_px * (1.0 - _SALIENCY_PENALTY * things.saliency)))
    labels = cv2.resize(things.labels, goal.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    is_largest = labels == largest if (labels == largest).any() else np.ones(labels.shape, bool)
    red, green, blue = np.median(goal[is_largest], axis=0).tolist()
    return red, green, blue


def coat_ground(easel: Easel, colour: Colour, goal: Image, palette: Palette, rng: np.random.Generator) -> None:
    """Lay the canvas in with one colour, broad strokes side by side; here and there the canvas shows between them.

    On paper it is a first wash, which leaves out what is lighter or of another hue. A dark colour is not laid at all.
    """
    area: NDArray[np.bool_] = np.ones(easel.canvas.shape[:2], bool)
    if palette.medium.absorbs:
        if np.mean(colour) > _DARKEST_WASH:
            return
        needed = cv2.GaussianBlur(goal, (0, 0), _GOAL_BLUR * easel.short_px)
        area = (needed >= _RESERVED * np.array(colour, np.float32) - _UNSEEN).all(-1)
    ribbons = patch(area, _COAT, _COAT_LEAST_PX, easel.short_px, _MOST_COAT_STROKES, rng)
    ribbons[:, RED : RED + 3] = colour
    easel.lay(palette.strokes(ribbons, np.zeros(len(ribbons), np.uint8), rng), "ground", WHOLE)


def tone_darks(
    easel: Easel, image: Image, ground: Colour, palette: Palette, config: StudioConfig, rng: np.random.Generator
) -> None:
    """Tone the darks of a picture (h, w, 3) on a ground of one colour, which separates them from the lights."""
    image = shrink(image, _TONED_PX)
    luma = cv2.GaussianBlur(image @ LUMA, (0, 0), _BLUR * min(image.shape[:2]))
    dark = (np.quantile(luma, _LIGHTS) - luma) / max(1e-3, float(np.ptp(luma)))
    bare = np.array(ground, np.float32)
    tone = _DEPTH * np.clip(1.6 * dark, 0.0, 1.0)[..., None]
    count = max(_FEWEST, round(_SHARE * config.num_strokes))
    brief = Brief(
        target=(bare + tone * (_UMBER - bare)).astype(np.float32),
        blank=ground,
        radii=np.geomspace(*_RADII, count, dtype=np.float32),
        min_opacity=_OPACITY,
        lengths=_LENGTHS,
    )
    ribbons = fit_brief(brief, config.effort, rng)
    easel.lay(palette.strokes(ribbons, np.zeros(count, np.uint8), rng), "ground", WHOLE)
