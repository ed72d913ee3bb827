"""The media of the studio: how paint meets the canvas, the brushes, and the limits of strokes in each phase."""

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from renderers.brush.ink import INK, ink_targets
from renderers.brush.kinds import FEIBAI, BristleBrush, Brush, WashBrush
from renderers.brush.stroke import FAR_RED, MARK, NUM_BRUSH_COLUMNS, THICKNESS, Marks, marks_of
from renderers.brush.texture import NUM_ACROSS, BrushTexture, make_brush
from renderers.painting import Image
from renderers.raster.ribbon import NUM_COLUMNS, RED, Floats
from renderers.studio.drawing.pencils import pencil_texture
from renderers.studio.marks import FLAT_ACROSS, flat_marks, in_few_levels, lengthened, num_shapes, shapes_of
from renderers.studio.patch import Handling
from renderers.studio.phases import PHASES

_SOLID = BristleBrush(
    bristles=2, hold=1.0, clumps=0.0, oval=0.6, ragged=(0.0, 0.0), runs_out=0.0, softness=2.0, rough=0.0, edge=0.08,
    ridges=0.0,
)  # fmt: skip
_BLOCKING = BristleBrush(
    bristles=40, hold=0.6, clumps=0.35, grain=0.06, oval=0.25, ragged=(0.06, 0.2), runs_out=0.12,
    runs_out_from=0.35, softness=0.6, rough=0.05,
)  # fmt: skip
_FLAT = BristleBrush(
    bristles=28, hold=0.7, clumps=0.4, grain=0.02, oval=0.3, ragged=(0.02, 0.08), runs_out=0.03, runs_out_from=0.5,
    rough=0.03, ridges=0.8,
)  # fmt: skip
_SMALL_FLAT = replace(_FLAT, grain=0.0, ragged=(0.01, 0.03), runs_out=0.02)
_WET_WASH = WashBrush(tone=0.95, rim=0.02, blooms=0.8, tide=0.05, granulation=0.04, fades=(0.16, 0.24))
_POOL = WashBrush(tone=0.92, rim=0.06, blooms=1.0, tide=0.06, granulation=0.04, fades=(0.04, 0.06))
_WASH = WashBrush(tone=0.88, rim=0.12, blooms=0.6, tide=0.04, granulation=0.04, fades=(0.06, 0.08))
_INK_WASH = WashBrush(tone=0.75, rim=0.12, blooms=0.8, tide=0.03, granulation=0.012, fades=(0.08, 0.12))


_SIDE_BY_SIDE = Handling()
_THICKNESSES = (0.3, 0.6, 1.0)  # of block-in, form and detail
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_EMPTY, _TINT = 0.28, 0.5  # of ink: share of the paper that stays bare, and how much of the picture's hues it takes on
_BROAD, _OPENED = 0.05, 0.45  # of ink: size of the darks that are thinned, and the share of their tone that they lose
_RESERVED, _KEY = 0.85, 0.92  # of watercolour: quantile of lightness above which paper stays bare, and the lighter key
_NEAR_PAPER = 0.1  # of watercolour: amount in any channel from which not even the lightest place is left to the paper


@dataclass(frozen=True, kw_only=True)
class Medium:
    """A medium of the studio.

    Attributes:
        phrase: what captions say of it.
        canvas: RGB of the bare canvas or paper.
        density: what full paint absorbs, in nepers; 0 for paint that covers.
        relief: how thick paint is.
        brushes: for block-in, for form, for detail.
        flat: whether they are flat brushes, whose strokes end square.
        radii: of the first and the last stroke of 500, in units of the canvas's shorter side.
        lengths: half lengths of strokes, least and most, in radii.
        min_opacity: of strokes.
        handling: how masses are blocked in.
        first_strength: strength of a block-in; below 1, a first wash is thinner than the goal.
        restates: whether contours are drawn again over a finished object.
        constructs: whether a drawing keeps its construction lines.
        tones: whether the darks of the ground are toned.
        coats: whether the ground may have a coat of one colour.
        paints: whether there is paint, or drawing alone.
    """

    phrase: str
    canvas: tuple[float, float, float]
    density: float = 0.0
    relief: float = 0.0
    brushes: tuple[Brush, Brush, Brush]
    flat: bool = False
    radii: tuple[float, float] = (0.05, 0.008)
    lengths: tuple[float, float] = (1.5, 5.0)
    min_opacity: float = 0.8
    handling: Handling = _SIDE_BY_SIDE
    first_strength: float = 1.0
    restates: bool = False
    constructs: bool = True
    tones: bool = False
    coats: bool = False
    paints: bool = True

    @property
    def absorbs(self) -> bool:
        """Whether light goes through it to the paper and back: colours are amounts, 0 for bare paper."""
        return self.density > 0.0


MEDIA = {
    "oil": Medium(
        phrase="drawn and painted in oil",
        canvas=(0.82, 0.76, 0.66),
        relief=0.2,
        tones=True,
        coats=True,
        brushes=(_BLOCKING, _FLAT, _SMALL_FLAT),
        flat=True,
    ),
    "digital": Medium(
        phrase="drawn and painted digitally",
        canvas=(0.97, 0.97, 0.97),
        brushes=(_SOLID, _SOLID, _SOLID),
        lengths=(1.0, 5.0),
        handling=Handling(radius=0.018, spacing=1.3, longest=60.0, loose=0.0, even=True, strokes=2.0),
        coats=True,
        restates=True,
    ),
    "pencil": Medium(
        phrase="drawn in pencil",
        canvas=(0.94, 0.93, 0.90),
        brushes=(_SOLID, _SOLID, _SOLID),
        paints=False,
    ),
    "ink": Medium(
        phrase="drawn and washed in ink",
        canvas=(0.955, 0.935, 0.885),
        density=3.0,
        brushes=(_INK_WASH, _INK_WASH, FEIBAI),
        radii=(0.06, 0.007),
        min_opacity=0.5,
        handling=Handling(radius=0.045, spacing=1.1, longest=16.0, within=0.85, loose=0.7, strokes=1.3),
        first_strength=0.7,
        restates=True,
        constructs=False,
        coats=True,
    ),
    "watercolour": Medium(
        phrase="drawn and painted in watercolour",
        canvas=(0.97, 0.96, 0.93),
        density=3.0,
        brushes=(_POOL, _WASH, _WASH),
        min_opacity=0.55,
        handling=Handling(radius=0.045, spacing=1.0, longest=20.0, within=0.85, loose=0.7, strokes=1.3),
        first_strength=0.75,
        coats=True,
    ),
}


@dataclass(frozen=True)
class Palette:
    """A medium ready for painting.

    Attributes:
        medium: the medium.
        texture: the marks of all its brushes.
        first_marks, num_marks: (4,) where the marks of the brushes for block-in, form, detail and lines begin, and how
            many each has.
    """

    medium: Medium
    texture: BrushTexture
    first_marks: tuple[int, ...]
    num_marks: tuple[int, ...]

    @cached_property
    def marks(self) -> Marks:
        """The marks as colours are solved for: without relief."""
        return marks_of(self.texture, 0.0)

    def strokes(self, ribbons: Floats, phases: NDArray[np.uint8], rng: np.random.Generator) -> Floats:
        """Ribbons (N, 13) of phases (N,), with marks of the brush for each phase; accents take the brush for detail."""
        brush = np.clip(phases.astype(int) - PHASES.index("block_in"), 0, 2)
        strokes = np.zeros((len(ribbons), NUM_BRUSH_COLUMNS), np.float32)
        strokes[:, :NUM_COLUMNS] = lengthened(ribbons) if self.medium.flat else ribbons
        strokes[:, FAR_RED : FAR_RED + 3] = strokes[:, RED : RED + 3]
        chance, num_marks = rng.random(len(ribbons)), np.array(self.num_marks)[brush]
        if self.medium.flat:
            chance = (shapes_of(ribbons) + chance) / num_shapes()
        which = np.floor(chance * num_marks)
        strokes[:, MARK] = np.array(self.first_marks)[brush] + which
        strokes[:, THICKNESS] = np.array(_THICKNESSES, np.float32)[brush]  # fat over lean
        return strokes

    def lines(self, strokes: Floats) -> Floats:
        """Strokes of a drawing (N, 18) with this medium's marks, in RGB or in amounts."""
        lines = strokes.copy()
        lines[:, MARK] += self.first_marks[-1]
        if self.medium.absorbs:
            for end in (slice(RED, RED + 3), slice(FAR_RED, FAR_RED + 3)):
                lines[:, end] = amounts_of(lines[:, end], (1.0, 1.0, 1.0), self.medium.density)
        return lines


@lru_cache(maxsize=len(MEDIA))
def palette_of(name: str) -> Palette:
    """Everything to paint with in one medium."""
    medium = MEDIA[name]
    brushes = list(dict.fromkeys(medium.brushes))  # a brush that serves twice is stored once
    across = FLAT_ACROSS if medium.flat else NUM_ACROSS
    textures = [*(_marks_of(brush, medium) for brush in brushes), pencil_texture(name, across)]
    all_marks = BrushTexture(
        np.concatenate([texture.cover for texture in textures]),
        np.concatenate([texture.relief for texture in textures]),
    )
    if medium.flat:
        all_marks = in_few_levels(all_marks)
    counts = [texture.num_variants for texture in textures]
    starts = np.cumsum([0, *counts]).tolist()
    brush_numbers = [*(brushes.index(brush) for brush in medium.brushes), len(brushes)]
    return Palette(medium, all_marks, tuple(starts[i] for i in brush_numbers), tuple(counts[i] for i in brush_numbers))


def _marks_of(brush: Brush, medium: Medium) -> BrushTexture:
    return flat_marks(brush) if medium.flat and isinstance(brush, BristleBrush) else make_brush(brush)


def goals_of(name: str, image: Image, paper: tuple[float, float, float]) -> tuple[Image, Image]:
    """The goals of a painting of a picture, in RGB or amounts: of block-ins, and of all that follows.

    Watercolour keeps the lightest paper bare, as far as the picture comes near it there, and is light in key. Ink sees
    tones first and tints them later, object by object; broad darks stay transparent, so that full black is left to
    small accents.

    Args:
        image: (h, w, 3) float32 RGB in [0, 1].
    """
    medium = MEDIA[name]
    if not medium.absorbs:
        return image, image
    if name == "ink":
        tones = np.maximum(ink_targets(image, _EMPTY)[0], 0.0)
        broad = cv2.GaussianBlur(tones, (0, 0), _BROAD * min(tones.shape))
        amounts = amounts_of(image, paper, medium.density)
        grey = (tones * (1.0 - _OPENED * broad))[..., None] * np.array(INK, np.float32)
        pigment = amounts - amounts.min(-1, keepdims=True)  # the part that is not grey
        return grey, grey + _TINT * pigment
    light = image @ LUMA
    amounts = amounts_of(image, paper, medium.density)
    reserved = np.clip((light - np.quantile(light, _RESERVED)) / 0.1, 0.0, 1.0)
    reserved *= np.clip(1.0 - amounts.max(-1) / _NEAR_PAPER, 0.0, 1.0)
    thinned = _KEY * amounts * (1.0 - reserved[..., None])
    return thinned, thinned


def amounts_of(colours: Image, paper: tuple[float, float, float], density: float) -> Image:
    """Amounts of paint through which paper shows such colours (Beer and Lambert), 0 where paper is no lighter.

    Args:
        colours: (..., 3) RGB in [0, 1].
    """
    transmittance = np.clip(colours / np.array(paper, np.float32), np.exp(-density), 1.0)
    amounts: Image = (-np.log(transmittance) / density).astype(np.float32)
    return amounts
