"""The drawing tool of each medium: its mark, width, darkness and colours.

Colours are those of paint that covers (see `renderers.raster.ribbon.Grid`). Lengths are in units of the canvas's
shorter side.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from renderers.brush.kinds import BristleBrush
from renderers.brush.texture import NUM_ACROSS, BrushTexture, make_brush
from renderers.studio.drawing.hand import Hand

Colour = tuple[float, float, float]

UMBER, CHARCOAL, GRAPHITE, INK, LINE_ART, SKETCH_BLUE = (
    (0.27, 0.17, 0.10), (0.16, 0.15, 0.15), (0.20, 0.20, 0.21), (0.07, 0.07, 0.08), (0.10, 0.10, 0.14),
    (0.55, 0.70, 0.93),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer of hatching; lengths in units of the canvas's shorter side.

    Attributes:
        turned: angle from the hand's own, in radians; None for lines along the forms.
        spacing: between lines, when strokes are plenty.
        width: of a line, in spacings.
        pressure: the most opaque that a line gets.
        filling: share of the lacking density that it adds.
        longest: greatest length of its lines.
        share: its share of all strokes of hatching.
    """

    turned: float | None
    spacing: float
    width: float
    pressure: float
    filling: float
    longest: float
    share: float


@dataclass(frozen=True, kw_only=True)
class Pencil:
    """A tool for lines.

    Attributes:
        brush: the mark of a piece of a line. It neither touches down nor lifts: pressure does that, so that pieces
            join without a seam.
        colours: one of them is dealt to a drawing.
        hand: how it is held.
        restated: share of the silhouettes that are first searched for with a pale line, 0 to 1.
        layers: layers of its hatching.
        constructs: whether construction lines come first.
        sketched_in: colour of construction lines, if it is another one.
        tonal: whether it hatches all tones instead of shadows.
    """

    brush: BristleBrush
    colours: tuple[Colour, ...]
    hand: Hand
    restated: float
    layers: tuple[Layer, ...]
    constructs: bool = True
    sketched_in: Colour | None = None
    tonal: bool = False


def _line(bristles: int, grain: float, load: float, softness: float, edge: float) -> BristleBrush:
    return BristleBrush(
        bristles=bristles, hold=0.5, clumps=0.4, grain=grain, oval=0.0, ragged=(0.0, 0.0), load=load, runs_out=0.0,
        softness=softness, rough=0.05, edge=edge, ridges=0.0,
    )  # fmt: skip


_FULL_TONE = (
    Layer(turned=0.0, spacing=0.014, width=1.1, pressure=0.3, filling=0.55, longest=0.35, share=0.11),
    Layer(turned=0.25, spacing=0.012, width=0.7, pressure=0.4, filling=0.6, longest=0.2, share=0.15),
    Layer(turned=None, spacing=0.012, width=0.8, pressure=0.55, filling=0.8, longest=0.14, share=0.20),
    Layer(turned=1.2, spacing=0.010, width=0.65, pressure=0.6, filling=0.8, longest=0.12, share=0.14),
    Layer(turned=None, spacing=0.010, width=0.9, pressure=0.8, filling=1.0, longest=0.10, share=0.20),
    Layer(turned=None, spacing=0.007, width=0.9, pressure=0.95, filling=1.2, longest=0.06, share=0.20),
)
_SHADOWS = (
    Layer(turned=0.0, spacing=0.016, width=0.4, pressure=0.5, filling=0.7, longest=0.16, share=0.65),
    Layer(turned=1.1, spacing=0.014, width=0.4, pressure=0.7, filling=0.8, longest=0.10, share=0.35),
)
_CUN = (
    Layer(turned=None, spacing=0.016, width=0.35, pressure=0.7, filling=0.8, longest=0.10, share=0.6),
    Layer(turned=None, spacing=0.010, width=0.45, pressure=0.9, filling=1.0, longest=0.05, share=0.4),
)
"""Texture strokes of Chinese painting: short and dry, along the folds of rocks, bark and coats."""

_SIDE = BristleBrush(
    bristles=9, hold=0.4, clumps=0.5, grain=1.2, oval=0.9, ragged=(0.02, 0.08), load=0.92, runs_out=0.35,
    runs_out_from=0.5, softness=2.0, rough=0.06, edge=0.5, ridges=0.0,
)  # fmt: skip
"""The side of a lead, or a nearly dry brush, in quick strokes that lift off."""

PENCILS = {
    "oil": Pencil(
        brush=_line(6, 0.8, 0.93, 1.2, 0.5), colours=(UMBER, UMBER, CHARCOAL), restated=0.5,
        hand=Hand(radius=0.0046, thinning=0.65, opacity=0.85, fading=0.6, wobble=0.0016, overshoot=0.008, taper=0.05),
        layers=_SHADOWS,
    ),
    "pencil": Pencil(
        brush=_line(4, 1.6, 0.85, 1.8, 0.5), colours=(GRAPHITE,), restated=0.6,
        hand=Hand(radius=0.0030, thinning=0.4, opacity=0.8, fading=0.75, wobble=0.0013, overshoot=0.008, taper=0.05),
        layers=_FULL_TONE, tonal=True,
    ),
    "ink": Pencil(
        brush=_line(12, 0.1, 1.0, 0.4, 0.3), colours=(INK,), restated=0.0, constructs=False,
        hand=Hand(radius=0.0068, thinning=0.85, opacity=0.95, fading=0.2, wobble=0.0012, overshoot=0.006, taper=0.08),
        layers=_CUN,
    ),
    "watercolour": Pencil(
        brush=_line(4, 1.6, 0.8, 1.8, 0.5), colours=(GRAPHITE,), restated=0.3,
        hand=Hand(radius=0.0026, thinning=0.4, opacity=0.5, fading=0.6, wobble=0.0014, overshoot=0.008, taper=0.05),
        layers=_SHADOWS,
    ),
    "digital": Pencil(
        brush=_line(2, 0.0, 1.0, 0.3, 0.15), colours=(LINE_ART,), restated=0.0, sketched_in=SKETCH_BLUE,
        hand=Hand(radius=0.0040, thinning=0.65, opacity=1.0, fading=0.1, wobble=0.0004, overshoot=0.0, taper=0.05),
        layers=_SHADOWS,
    ),
}  # fmt: skip
"""The pencil of each medium of the studio."""


@lru_cache(maxsize=len(PENCILS))
def pencil_texture(medium: str, num_across: int = NUM_ACROSS) -> BrushTexture:
    """Marks of the lines of `drawing.draw` in that medium, counted from 0 in column MARK of its strokes.

    The first NUM_VARIANTS are those of lines, as many again are those of hatching.
    """
    lines, hatching = (make_brush(brush, num_across=num_across) for brush in (PENCILS[medium].brush, _SIDE))
    return BrushTexture(np.concatenate([lines.cover, hatching.cover]), np.concatenate([lines.relief, hatching.relief]))
