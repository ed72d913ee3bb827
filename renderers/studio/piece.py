"""Strokes for one object: fitted inside its silhouette, then coloured for what they leave on the canvas as it is.

The planner has no notion of masks, so the silhouette is put into its target: inside, the object; outside, a colour that
the object does not have. Its blank canvas has such a colour too. Paint outside is then an error, and so is canvas left
bare inside. Where a neighbour is painted later, a narrow band beyond the border continues the object's own colours:
spilling there costs nothing, and no bare seam is left between the two.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from renderers.bezier.config import Effort
from renderers.bezier.fit import Brief, fit_brief, underpaintings_after
from renderers.brush.guide import guide_along
from renderers.brush.stroke import FAR_RED
from renderers.painting import Image
from renderers.raster.ribbon import R0, R2, RED, X0, X1, X2, Y0, Y1, Y2, Floats
from renderers.studio.easel import Box, Easel
from renderers.studio.media import Palette
from renderers.studio.phases import PHASES, Phase, phase_shares

_MARGIN = 0.03
_LEAST_PX = 16
# How far the planner's blank canvas is from the object's mean colour: inside, outside, and where others have painted.
_BARE, _OUTSIDE, _GUARD = 0.3, 0.6, 1.6
_RADIUS_POWER = 0.33
_INSIDE = 0.45  # a stroke that has less of itself inside is not the object's
_GUIDE_SCALE = 0.02
_SAMPLES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, kw_only=True)
class Commission:
    """One object to paint.

    Attributes:
        own: (h, w) share of each pixel that is the object; more than half somewhere.
        unpainted: (h, w) where others' turn is still to come.
        goal: (h, w, 3) the picture, in RGB or in amounts.
        count: strokes.
        phases: which of `OBJECT_PHASES` it goes through.
        spill: how far paint may go over a border behind which nothing is painted yet, in units of the canvas.
    """

    own: NDArray[np.float32]
    unpainted: NDArray[np.bool_]
    goal: Image
    count: int
    phases: tuple[Phase, ...]
    spill: float


def paint_piece(
    easel: Easel, piece: Commission, label: int, palette: Palette, effort: Effort, rng: np.random.Generator,
    phase: Phase | None = None,
) -> None:  # fmt: skip
    """Paint one object, coarse to fine.

    Args:
        phase: what its strokes count as, where not as their own phases.
    """
    short, medium = easel.short_px, palette.medium
    box = _box(piece.own > 0.5, round(_MARGIN * short))
    inside = piece.own[box] > 0.5
    spill_px = round(piece.spill * short)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * spill_px + 1, 2 * spill_px + 1))
    mine = inside | ((cv2.dilate(inside.astype(np.uint8), disc) > 0) & piece.unpainted[box])
    goal = piece.goal[box]
    foil = _foil(goal[inside].mean(0), mine, piece.unpainted[box])
    target = np.where(mine[..., None], _continued(goal, inside), foil)
    unit = min(target.shape[:2]) / short  # of the crop, in units of the canvas
    depth = cv2.distanceTransform(np.pad(inside, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    last = medium.radii[1] * np.sqrt(500 / piece.count * min(1.0, float(mine.sum()) / short**2))
    first = max(1.5 * last, min(medium.radii[0], 0.8 * float(depth.max()) / short))
    shares, phases = phase_shares(piece.phases, piece.count)
    brief = Brief(
        target=target,
        blank=foil,
        radii=(first / unit * (last / first) ** (shares**_RADIUS_POWER)).astype(np.float32),
        min_opacity=medium.min_opacity,
        lengths=medium.lengths,
        guide=guide_along(target, _GUIDE_SCALE),
        dark_to_light=medium.absorbs,  # amounts: the lightest washes first
        area=float(mine.mean()),
    )
    fitted = fit_brief(brief, effort, rng)
    on_object = _share_inside(fitted, mine) >= _INSIDE
    on_object[0] |= not on_object.any()
    phases = phases[on_object]
    strokes = palette.strokes(fitted[on_object], phases, rng)
    easel.solve(strokes, piece.goal, box, underpaintings_after(len(strokes)))
    first_washes = int((phases == PHASES.index("block_in")).sum()) if medium.first_strength < 1.0 else 0
    if first_washes:  # thinner than the goal: what follows is coloured for what they leave
        for end in (slice(RED, RED + 3), slice(FAR_RED, FAR_RED + 3)):
            strokes[:first_washes, end] *= medium.first_strength
        easel.lay(_moved(strokes[:first_washes], box, short), phases[:first_washes], label)
        strokes, phases = strokes[first_washes:].copy(), phases[first_washes:]
        easel.solve(strokes, piece.goal, box)
    easel.lay(_moved(strokes, box, short), phases if phase is None else phase, label)


def _foil(mean: NDArray[np.float32], mine: NDArray[np.bool_], unpainted: NDArray[np.bool_]) -> Image:
    """(h, w, 3) the planner's blank canvas.

    What others have finished is guarded by a colour so far off that no stroke is worth crossing it.
    """
    away = np.where(mean > 0.5, -1.0, 1.0)
    far = np.where(mine, _BARE, np.where(unpainted, _OUTSIDE, _GUARD))[..., None]
    foil: Image = (mean + far * away).astype(np.float32)
    return foil


def _moved(strokes: Floats, box: Box, short_px: int) -> Floats:
    """Strokes of a crop in coordinates of the canvas."""
    own_px = min(side.stop - side.start for side in box)
    placed = strokes.copy()
    placed[:, [X0, Y0, X1, Y1, X2, Y2, R0, R2]] *= own_px / short_px
    placed[:, [X0, X1, X2]] += box[1].start / short_px
    placed[:, [Y0, Y1, Y2]] += box[0].start / short_px
    return placed


def _box(inside: NDArray[np.bool_], margin: int) -> Box:
    """What holds all of it, with a margin, and is not too small to be painted."""
    sides = []
    for axis in (1, 0):
        places = np.flatnonzero(inside.any(axis=axis))
        length = inside.shape[1 - axis]
        start, stop = int(places[0]) - margin, int(places[-1]) + 1 + margin
        lack = max(0, _LEAST_PX - (stop - start))
        sides.append(slice(max(0, start - lack // 2), min(length, stop + lack - lack // 2)))
    return sides[0], sides[1]


def _continued(image: Image, inside: NDArray[np.bool_]) -> Image:
    """The image with everything outside in the colour of the nearest pixel inside."""
    if inside.all():
        return image
    _, nearest = cv2.distanceTransformWithLabels(
        (~inside).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    colours = np.zeros((int(nearest.max()) + 1, 3), np.float32)
    colours[nearest[inside]] = image[inside]
    continued: Image = np.where(inside[..., None], image, colours[nearest])
    return continued


def _share_inside(strokes: Floats, mine: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n,) how much of the middle line of each stroke is inside."""
    short = min(mine.shape)
    hits = np.zeros(len(strokes))
    for t in _SAMPLES:
        weights = (1 - t) ** 2, 2 * t * (1 - t), t * t
        x = sum(weight * strokes[:, column] for weight, column in zip(weights, (X0, X1, X2), strict=True)) * short
        y = sum(weight * strokes[:, column] for weight, column in zip(weights, (Y0, Y1, Y2), strict=True)) * short
        columns = np.clip(x, 0, mine.shape[1] - 1).astype(int)
        rows = np.clip(y, 0, mine.shape[0] - 1).astype(int)
        hits += mine[rows, columns]
    return hits / len(_SAMPLES)
