"""A user's own picture as a brush: what in it is paint, which way round it lies, and how its marks come to differ."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from conf.errors import ConfigError
from renderers.brush.texture import NUM_ACROSS, NUM_ALONG, BrushTexture, levels, relief_levels

Field = NDArray[np.float32]

MAX_SIDE_PX = 4096
_FAINT = 0.04  # scanned paper is never of one tone: less than this is ground


class _Variation(NamedTuple):
    """How a mark differs from the picture: mirrored across, squeezed, and where it lies in the space gained (0-1)."""

    mirrored: bool
    along: float
    across: float
    place_along: float
    place_across: float


# Squeezed only, never stretched or shifted beyond the stroke: nothing of the user's shape may be cut off.
_VARIATIONS = (
    _Variation(False, 1.0, 1.0, 0.0, 0.0),
    _Variation(True, 1.0, 1.0, 0.0, 0.0),
    _Variation(False, 0.93, 0.94, 0.3, 1.0),
    _Variation(True, 0.96, 0.92, 1.0, 0.2),
    _Variation(False, 0.97, 0.9, 0.0, 0.3),
    _Variation(True, 0.9, 0.96, 0.6, 0.0),
)


def coverage_of(rgba: Field) -> Field:
    """The part of a picture that is paint.

    Alpha, where it varies. Else the picture is paint on a ground, and the ground is what its border shows: coverage is
    darkness on a light ground, lightness on a dark one.

    Args:
        rgba: (h, w, 4) in [0, 1], as decoded.

    Returns:
        (h, w) coverage in [0, 1].

    Raises:
        ValueError: if it has another shape.
    """
    if rgba.ndim != 3 or rgba.shape[2] != 4 or 0 in rgba.shape:
        raise ValueError(f"expected an (h, w, 4) picture, not {rgba.shape}")
    alpha = rgba[..., 3]
    if float(np.ptp(alpha)) > 1.5 / 255:
        return np.ascontiguousarray(alpha, np.float32)
    grey = rgba[..., :3] @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    ground = float(np.median(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])))
    paint = (ground - grey) / ground if ground >= 0.5 else (grey - ground) / (1.0 - ground)
    paint = np.clip((paint - _FAINT) / (1.0 - _FAINT), 0.0, 1.0)
    strongest = float(paint.max())
    if strongest > 0.5:  # scanned ink is seldom black, but where it is darkest it covers fully
        paint = paint / strongest
    coverage: Field = (alpha * paint).astype(np.float32)
    return coverage


def brush_from_picture(picture: Field, height: Field | None = None) -> BrushTexture:
    """Make a brush of a picture: its mark is what the picture shows, cropped to its content, laid along the stroke.

    The longer side of the content lies along the stroke. A wide picture starts at its left; a tall one is turned a
    quarter to the left, so that it starts at its top, the way a stroke is pulled.

    Args:
        picture: (h, w) coverage in [0, 1], see `coverage_of`; at most 4096 px a side.
        height: (h, w) height of the paint in [0, 1]; without it, paint stands highest where it is dense and at edges.

    Raises:
        ConfigError: if the picture is empty, covers everything, is too large, or the height map is of another size.
        ValueError: if the picture is not (h, w).
    """
    if picture.ndim != 2:
        raise ValueError(f"expected an (h, w) coverage, not {picture.shape}")
    size = f"{picture.shape[1]} x {picture.shape[0]} px"
    if max(picture.shape) > MAX_SIDE_PX:
        raise ConfigError("path", f"a picture of {size}", f"at most {MAX_SIDE_PX} px a side")
    if height is not None and height.shape != picture.shape:
        height_size = " x ".join(str(side) for side in height.shape[1::-1])
        raise ConfigError("height_path", f"a picture of {height_size} px", f"the size of the brush picture, {size}")
    strongest = float(picture.max()) if picture.size else 0.0
    if not strongest > _FAINT:
        raise ConfigError("path", f"an empty picture of {size}", "one that shows a mark, in its alpha or in grey")
    if float((picture < 0.9 * strongest).mean()) < 1e-3:
        raise ConfigError(
            "path", f"a picture of {size} covered all over", "one that shows a mark on an empty background"
        )

    content = np.nonzero(picture > _FAINT)
    box = tuple(slice(int(places.min()), int(places.max()) + 1) for places in content)
    cover = picture[box]
    relief = None if height is None else height[box]
    if cover.shape[0] > cover.shape[1]:
        cover, relief = np.rot90(cover), None if relief is None else np.rot90(relief)

    shape = (len(_VARIATIONS), NUM_ACROSS, NUM_ALONG)
    covers, reliefs = np.empty(shape, np.uint8), np.empty(shape, np.uint8)
    for k, variation in enumerate(_VARIATIONS):
        mark = _placed(cover, variation)
        covers[k] = levels(mark)
        reliefs[k] = relief_levels(mark, _raised(mark) if relief is None else _placed(relief, variation))
    return BrushTexture(covers, reliefs)


def _placed(content: Field, variation: _Variation) -> Field:
    """(V, U): the (h, w) content, resampled and varied."""
    sides = [(NUM_ACROSS, variation.across), (NUM_ALONG, variation.along)]
    num_across, num_along = (round(side * share) for side, share in sides)
    first_across = round((NUM_ACROSS - num_across) * variation.place_across)
    first_along = round((NUM_ALONG - num_along) * variation.place_along)
    mark = np.zeros((NUM_ACROSS, NUM_ALONG), np.float32)
    oriented = np.flipud(content) if variation.mirrored else content
    mark[first_across : first_across + num_across, first_along : first_along + num_along] = _resized(
        oriented, num_across, num_along
    )
    return mark


def _resized(content: Field, num_across: int, num_along: int) -> Field:
    """Resample one axis after the other: OpenCV averages areas only where both shrink, and else skips pixels."""
    result = np.ascontiguousarray(content, np.float32)
    for size in ((result.shape[1], num_across), (num_along, num_across)):
        shrinks = size[0] <= result.shape[1] and size[1] <= result.shape[0]
        result = cv2.resize(result, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return result


def _raised(mark: Field) -> Field:
    """(V, U) height of paint where none is given: paint is raised where it covers, with a ridge along its edges."""
    blurred = cv2.GaussianBlur(mark, (0, 0), sigmaX=NUM_ALONG / 36, sigmaY=NUM_ACROSS / 12)
    height: Field = 0.5 * mark + 0.6 * mark * (mark - blurred)
    return height
