"""The drawing that a painting begins with: construction lines, contours thing by thing, hatching.

Contours are found, chained to long curves, and drawn as a hand draws them: see `edges`, `chains`, `curves`, `hand`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from renderers.brush.stroke import FAR_RED, MARK, NUM_BRUSH_COLUMNS, marks_of
from renderers.brush.texture import NUM_VARIANTS
from renderers.painting import Image
from renderers.raster.ribbon import RED, Floats
from renderers.studio.drawing.construction import construct
from renderers.studio.drawing.contours import contours_of, draw_contours, resized
from renderers.studio.drawing.hand import NUM_LINE_COLUMNS
from renderers.studio.drawing.hatching import Preview, goal_darkness, hatched
from renderers.studio.drawing.pencils import PENCILS, pencil_texture
from renderers.things import Things

CONSTRUCTION, CONTOUR, HATCHING = range(3)

_CONSTRUCTION_SHARE = 0.15
_LINES_OF_TONAL, _LINES_WITH_SHADOWS = 0.25, 0.65  # shares of the strokes that are not hatching
_SHEET_PX = 256
_ONE_THING_AFTER_ANOTHER = 0.6  # share of drawings


@dataclass(frozen=True, kw_only=True)
class DrawnLines:
    """Lines of a drawing, N strokes in drawing order.

    Attributes:
        strokes: (N, NUM_BRUSH_COLUMNS) rows of `renderers.brush.stroke`; MARK counts the marks of `pencil_texture`.
        kinds: (N,) uint8, CONSTRUCTION, CONTOUR or HATCHING.
        things: (N,) uint16, number of the thing that each belongs to.
    """

    strokes: Floats
    kinds: NDArray[np.uint8]
    things: NDArray[np.uint16]

    def chosen(self, which: NDArray[np.bool_]) -> "DrawnLines":
        """The lines that a mask (N,) selects."""
        return DrawnLines(strokes=self.strokes[which], kinds=self.kinds[which], things=self.things[which])


def draw(
    image: Image, things: Things, medium: str, num_strokes: int, hatching: bool, rng: np.random.Generator,
    order: Sequence[int] | None = None,
) -> DrawnLines:  # fmt: skip
    """Draw a picture.

    Args:
        image: (H, W, 3) float32 RGB in [0, 1].
        things: what it shows.
        medium: one of `renderers.studio.drawing.pencils.PENCILS`.
        num_strokes: the most that are drawn.
        hatching: whether shadows are hatched, and in pencil all tones.
        rng: gives all random numbers.
        order: in which things are hatched, one after another; None for the salient first, and now and then all at once.
    """
    pencil = PENCILS[medium]
    colour = pencil.colours[int(rng.integers(len(pencil.colours)))]
    share = (_LINES_OF_TONAL if pencil.tonal else _LINES_WITH_SHADOWS) if hatching else 1.0
    num_lines = round(share * num_strokes)
    contours = contours_of(image, things)
    num_measures = round(_CONSTRUCTION_SHARE * num_lines) if pencil.constructs else 0
    construction = construct(things, contours, pencil, num_measures, rng)
    left = num_lines - sum(len(rows) for rows, _ in construction)
    lines = [
        *((rows, thing, CONSTRUCTION) for rows, thing in construction),
        *((rows, thing, CONTOUR) for rows, thing in draw_contours(contours, things, pencil, left, rng)),
    ]
    lengths = [len(rows) for rows, _, _ in lines]
    strokes = np.zeros((sum(lengths), NUM_BRUSH_COLUMNS), np.float32)
    strokes[:, :NUM_LINE_COLUMNS] = np.concatenate([np.zeros((0, NUM_LINE_COLUMNS)), *(rows for rows, _, _ in lines)])
    strokes[:, MARK] = rng.integers(0, NUM_VARIANTS, len(strokes))
    kinds = np.repeat(np.array([kind for _, _, kind in lines], np.uint8), lengths)
    stroke_things = np.repeat(np.array([thing for _, thing, _ in lines], np.uint16), lengths)
    if hatching:
        tones, tone_things = _tones(image, things, strokes, medium, num_strokes - len(strokes), rng, order)
        strokes, stroke_things = np.concatenate([strokes, tones]), np.concatenate([stroke_things, tone_things])
        kinds = np.concatenate([kinds, np.full(len(tones), HATCHING, np.uint8)])
    strokes[:, RED : RED + 3] = colour
    if pencil.sketched_in is not None:
        strokes[kinds == CONSTRUCTION, RED : RED + 3] = pencil.sketched_in
    strokes[:, FAR_RED : FAR_RED + 3] = strokes[:, RED : RED + 3]
    return DrawnLines(strokes=strokes, kinds=kinds, things=stroke_things)


def _tones(
    image: Image, things: Things, strokes: Floats, medium: str, num_strokes: int, rng: np.random.Generator,
    order: Sequence[int] | None,
) -> tuple[Floats, NDArray[np.uint16]]:  # fmt: skip
    """Strokes of hatching, and the thing of each; from light to dark, at once or thing by thing."""
    texture = pencil_texture(medium)
    small, labels = resized(image, things.labels, _SHEET_PX)
    preview = Preview(goal_darkness(small, shadows_only=not PENCILS[medium].tonal), marks_of(texture, 0.0))
    preview.lay(strokes)
    cover = float(texture.cover[NUM_VARIANTS:].mean()) / 255
    tones, origins = hatched(small, labels, things.saliency, preview, PENCILS[medium].layers, cover, num_strokes, rng)
    rank = np.empty(len(things.saliency), np.int64)
    rank[np.argsort(-things.saliency, kind="stable") if order is None else list(order)] = np.arange(len(rank))
    layer, thing = origins[:, 0], origins[:, 1]
    by_thing = rng.random() < _ONE_THING_AFTER_ANOTHER or order is not None
    turns = np.lexsort((layer, rank[thing]) if by_thing else (rank[thing], layer))
    return tones[turns], thing[turns].astype(np.uint16)
