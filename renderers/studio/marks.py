"""Strokes of a flat brush: marks that end square, ragged and dry, not as round as the strokes are planned.

The planner treats strokes as curves of some width with half a disc at either end. A flat brush leaves no discs. So its
marks leave both ends of a stroke free, and strokes are made longer to make up for it, so that the painted area stays
the same. The share of a stroke that its round ends take depends on its shape, so there are marks for short strokes and
for long ones.
"""

import numpy as np
from numpy.typing import NDArray

from renderers.brush.kinds import BristleBrush
from renderers.brush.texture import BrushTexture, make_brush
from renderers.raster.ribbon import R0, R2, X0, X1, X2, Y0, Y1, Y2, Floats

_ASPECTS = (2.5, 6.0)  # length of a stroke over its width, for which there are marks
_FREE_TIP = 0.4  # distance from the tip to where paint begins, in radii
_LENGTHENED_BY = 0.13  # in radii; no more, because corners spill over silhouettes where discs do not
_LEVEL = 128  # of relief where there is no paint
_STEP = np.uint8(5)  # of 255: finer ones are not seen in a stroke, and files shrink by a third
_TINY = 1e-6

FLAT_ACROSS = 80
"""Texels across a mark of a flat brush: broad strokes show every bristle."""


def flat_marks(brush: BristleBrush) -> BrushTexture:
    """The marks of a flat brush: as many as any brush has, divided among the shapes of strokes."""
    texture = make_brush(brush, num_across=FLAT_ACROSS)
    num_each = texture.num_variants // len(_ASPECTS)
    parts = [slice(place * num_each, (place + 1) * num_each) for place in range(len(_ASPECTS))]
    covers, reliefs = [], []
    for part, aspect in zip(parts, _ASPECTS, strict=True):
        margin = _FREE_TIP / (2.0 * aspect)
        covers.append(_squeezed(texture.cover[part], margin, 0))
        reliefs.append(_squeezed(texture.relief[part], margin, _LEVEL))
    return BrushTexture(np.concatenate(covers), np.concatenate(reliefs))


def in_few_levels(texture: BrushTexture) -> BrushTexture:
    """Marks of 52 levels instead of 256."""
    cover, relief = (_STEP * np.rint(levels / _STEP).astype(np.uint8) for levels in (texture.cover, texture.relief))
    return BrushTexture(cover, relief)


def shapes_of(ribbons: Floats) -> NDArray[np.int64]:
    """(N,) which shape of `flat_marks` suits each of (N, 13) ribbons, as a place among the shapes."""
    width = np.maximum(ribbons[:, R0] + ribbons[:, R2], _TINY)
    first, last = _halves(ribbons)
    length = np.linalg.norm(first, axis=1) + np.linalg.norm(last, axis=1)
    shapes: NDArray[np.int64] = ((length + width) / width > np.sqrt(_ASPECTS[0] * _ASPECTS[1])).astype(np.int64)
    return shapes


def num_shapes() -> int:
    """How many shapes of strokes have marks of their own."""
    return len(_ASPECTS)


def lengthened(ribbons: Floats) -> Floats:
    """Ribbons (N, 13), lengthened at both ends to make up for what marks leave free there."""
    longer = ribbons.copy()
    first, last = _halves(ribbons)
    for way, radius, columns, sign in ((first, R0, [X0, Y0], -1.0), (last, R2, [X2, Y2], 1.0)):
        length = np.maximum(np.linalg.norm(way, axis=1, keepdims=True), _TINY)
        longer[:, columns] += sign * _LENGTHENED_BY * ribbons[:, radius, None] * way / length
    return longer


def _halves(ribbons: Floats) -> tuple[Floats, Floats]:
    """(N, 2) vectors from the first point to the middle one, and from that to the last."""
    points = [ribbons[:, columns] for columns in ([X0, Y0], [X1, Y1], [X2, Y2])]
    return points[1] - points[0], points[2] - points[1]


def _squeezed(marks: NDArray[np.uint8], margin: float, outside: int) -> NDArray[np.uint8]:
    """Marks (K, V, U) squeezed along the stroke, so that a share of them stays free at either end."""
    count = marks.shape[2]
    places = (np.linspace(0.0, 1.0, count) - margin) / (1.0 - 2.0 * margin) * (count - 1)
    left = np.clip(np.floor(places).astype(int), 0, count - 2)
    share = np.clip(places - left, 0.0, 1.0)
    between = marks[..., left] * (1.0 - share) + marks[..., left + 1] * share
    inside = (places >= 0.0) & (places <= count - 1)
    squeezed: NDArray[np.uint8] = np.rint(np.where(inside, between, outside)).astype(np.uint8)
    return squeezed
