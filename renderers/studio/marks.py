"""Strokes of a flat brush: marks that end square, ragged and dry, not as round as the strokes are planned.

The planner knows strokes as curves of some width with half a disc at either end. A flat brush leaves no discs. So its
marks keep off both ends of a stroke, and strokes are made longer by as much: paint begins and ends where it did, by
area. How much of a stroke its round ends are hangs on its shape, so that there are marks for short ones and for long
ones.
"""

import numpy as np
from numpy.typing import NDArray

from renderers.brush.kinds import BristleBrush
from renderers.brush.texture import BrushTexture, make_brush
from renderers.raster.ribbon import R0, R2, X0, X1, X2, Y0, Y1, Y2, Floats

_ASPECTS = (2.5, 6.0)  # length of a stroke over its width, for which there are marks
_KEPT_OFF = 0.4  # how far paint keeps off the tip, in radii
_LONGER = 0.13  # in radii; no more, for corners spill over silhouettes where discs do not
_LEVEL = 128  # of relief where there is no paint
_STEP = np.uint8(5)  # of 255: nobody sees finer ones in a stroke, and files shrink by a third
_TINY = 1e-6

FLAT_ACROSS = 80
"""Texels across a mark of a flat brush: broad strokes show every bristle."""


def flat_marks(brush: BristleBrush) -> BrushTexture:
    """As many marks as any brush has, one after the other for each shape of strokes."""
    texture = make_brush(brush, num_across=FLAT_ACROSS)
    each = texture.num_variants // len(_ASPECTS)
    parts = [slice(place * each, (place + 1) * each) for place in range(len(_ASPECTS))]
    covers, reliefs = [], []
    for part, aspect in zip(parts, _ASPECTS, strict=True):
        margin = _KEPT_OFF / (2.0 * aspect)
        covers.append(_squeezed(texture.cover[part], margin, 0))
        reliefs.append(_squeezed(texture.relief[part], margin, _LEVEL))
    return BrushTexture(np.concatenate(covers), np.concatenate(reliefs))


def in_few_levels(texture: BrushTexture) -> BrushTexture:
    """Marks of 52 levels instead of 256."""
    cover, relief = (_STEP * np.rint(levels / _STEP).astype(np.uint8) for levels in (texture.cover, texture.relief))
    return BrushTexture(cover, relief)


def shapes_of(ribbons: Floats) -> NDArray[np.int64]:
    """(N,) which marks suit each of (N, 13) ribbons, a place among the shapes of `flat_marks`."""
    width = np.maximum(ribbons[:, R0] + ribbons[:, R2], _TINY)
    first, last = _ways(ribbons)
    length = np.linalg.norm(first, axis=1) + np.linalg.norm(last, axis=1)
    shapes: NDArray[np.int64] = ((length + width) / width > np.sqrt(_ASPECTS[0] * _ASPECTS[1])).astype(np.int64)
    return shapes


def num_shapes() -> int:
    """How many shapes of strokes have marks of their own."""
    return len(_ASPECTS)


def lengthened(ribbons: Floats) -> Floats:
    """Ribbons (N, 13) that go on at both ends for as far as marks keep off them."""
    longer = ribbons.copy()
    first, last = _ways(ribbons)
    for way, radius, columns, sign in ((first, R0, [X0, Y0], -1.0), (last, R2, [X2, Y2], 1.0)):
        length = np.maximum(np.linalg.norm(way, axis=1, keepdims=True), _TINY)
        longer[:, columns] += sign * _LONGER * ribbons[:, radius, None] * way / length
    return longer


def _ways(ribbons: Floats) -> tuple[Floats, Floats]:
    """(N, 2) from the first point to the middle one, and from that to the last."""
    points = [ribbons[:, columns] for columns in ([X0, Y0], [X1, Y1], [X2, Y2])]
    return points[1] - points[0], points[2] - points[1]


def _squeezed(marks: NDArray[np.uint8], margin: float, outside: int) -> NDArray[np.uint8]:
    """Marks (K, V, U) drawn together along, so that a share of them stays free at either end."""
    count = marks.shape[2]
    places = (np.linspace(0.0, 1.0, count) - margin) / (1.0 - 2.0 * margin) * (count - 1)
    left = np.clip(np.floor(places).astype(int), 0, count - 2)
    share = np.clip(places - left, 0.0, 1.0)
    between = marks[..., left] * (1.0 - share) + marks[..., left + 1] * share
    inside = (places >= 0.0) & (places <= count - 1)
    squeezed: NDArray[np.uint8] = np.rint(np.where(inside, between, outside)).astype(np.uint8)
    return squeezed
