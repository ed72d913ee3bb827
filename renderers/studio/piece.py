"""Strokes for one object: blocked in mass by mass, then fitted inside its silhouette, coloured for what they leave.

A block-in is laid as a hand does it, strokes side by side (`patch`). It also covers small things that are painted
later, as one paints a sky behind branches. Strokes that model and finish are planned, on top of the block-in. The
planner has no notion of masks, so the silhouette is put into its target: inside, the object; outside, a colour that the
object does not have. Its canvas has that colour there, too, so paint outside is an error. Where a neighbour is painted
later, a narrow band beyond the border continues the object's own colours: spilling there costs nothing, and no bare
seam is left between the two.
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
from renderers.studio.easel import Box, Easel, pixels_along
from renderers.studio.masses import masses_of
from renderers.studio.media import Palette
from renderers.studio.patch import patch
from renderers.studio.phases import PHASES, Phase, phase_shares
from renderers.studio.silhouette import Silhouette

# How far the planner's canvas is from the object's mean colour: inside, where there is no block-in; outside; and where
# others have painted.
_BARE, _OUTSIDE, _GUARD = 0.3, 0.6, 1.6
_RADIUS_POWER = 0.33
_INSIDE = 0.45  # share of its middle line: a stroke with less inside is dropped
_GUIDE_SCALE = 0.02
_SAMPLES = (0.05, 0.25, 0.5, 0.75, 0.95)
_FEWEST = 8  # of a block-in
_MOST_MASSES, _STROKES_OF_A_MASS = 3, 5
_NARROWEST_PX = 1.6  # of a block-in; of the canvas that all strokes together are worth
_SOLVE_SHARE = 0.5  # of the size of an object, at which its block-in is given colours
_COVERED_GAP = 0.04  # half the width of what a block-in covers though it is not the object's, in units of the canvas


@dataclass(frozen=True, kw_only=True)
class Commission:
    """One object to paint.

    Attributes:
        silhouette: where it is.
        unpainted: (h, w) where other objects are still to be painted.
        goal: (h, w, 3) the picture, in RGB or in amounts.
        count: number of strokes that model and finish it.
        blocked_in: whether there is a block-in before what models and finishes it.
        spill: how far paint may go over a border behind which nothing is painted yet, in units of the canvas.
    """

    silhouette: Silhouette
    unpainted: NDArray[np.bool_]
    goal: Image
    count: int
    spill: float
    blocked_in: bool = True


def block_in(
    easel: Easel, piece: Commission, label: int, palette: Palette, rng: np.random.Generator, phase: Phase = "block_in"
) -> NDArray[np.bool_]:
    """Lay in the masses of one object, each with strokes side by side.

    Args:
        phase: what its strokes count as.

    Returns:
        (h, w) what they should cover: the object, and what is small in it or across it and still unpainted.
    """
    medium, short = palette.medium, easel.short_px
    silhouette, box = piece.silhouette, piece.silhouette.box
    area = silhouette.inside
    if not medium.absorbs:  # on paper everything shines through
        area = area | (silhouette.closed(round(_COVERED_GAP * short)) & piece.unpainted[box])
    goal = silhouette.continued(piece.goal)
    most = max(_FEWEST, round(medium.handling.strokes * piece.count))
    mass_ribbons: list[Floats] = []
    for mass in masses_of(goal, area, min(_MOST_MASSES, max(1, most // _STROKES_OF_A_MASS)), short):
        share = max(1, round(most * float(mass.sum()) / float(area.sum())))
        ribbons = patch(mass, medium.handling, _NARROWEST_PX, short, share, rng)
        ribbons[:, RED : RED + 3] = _mean_colour(goal, mass)
        mass_ribbons.append(ribbons)
    ribbons = np.concatenate(mass_ribbons)
    strokes = palette.strokes(ribbons, np.full(len(ribbons), PHASES.index("block_in"), np.uint8), rng)
    if not medium.handling.even:
        easel.solve(strokes, np.where(area[..., None], goal, piece.goal[box]), box, share=_SOLVE_SHARE)
    for end in (slice(RED, RED + 3), slice(FAR_RED, FAR_RED + 3)):
        strokes[:, end] *= medium.first_strength  # if thinner than the goal, later strokes make up for it
    strokes = _moved(strokes, box, short)
    if medium.absorbs:  # washes that merge would take the drawing and what is below them with them
        easel.deepen(strokes)
    easel.lay(strokes, phase, label)
    covered = np.zeros(piece.unpainted.shape, bool)
    covered[box] = area
    return covered


def finish(
    easel: Easel, piece: Commission, label: int, palette: Palette, phases: tuple[Phase, ...], effort: Effort,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """Model and finish one object, coarse to fine.

    Args:
        phases: the phases after the block-in that it goes through.
    """
    short, medium = easel.short_px, palette.medium
    silhouette, box = piece.silhouette, piece.silhouette.box
    goal = silhouette.continued(piece.goal)
    allowed = silhouette.inside | (silhouette.grown(round(piece.spill * short)) & piece.unpainted[box])
    foil = _foil(_mean_colour(goal, silhouette.inside), allowed, piece.unpainted[box])
    target = np.where(allowed[..., None], goal, foil)
    unit = min(target.shape[:2]) / short  # of the crop, in units of the canvas
    last = medium.radii[1] * np.sqrt(500 / piece.count * min(1.0, float(allowed.sum()) / short**2))
    first = max(1.5 * last, min(medium.radii[0], 0.8 * silhouette.deepest_px() / short))
    shares, places = phase_shares(phases, piece.count)
    brief = Brief(
        target=target,
        blank=np.where(allowed[..., None], easel.canvas[box], foil) if piece.blocked_in else foil,
        radii=(first / unit * (last / first) ** (shares**_RADIUS_POWER)).astype(np.float32),
        min_opacity=medium.min_opacity,
        lengths=medium.lengths,
        guide=guide_along(target, _GUIDE_SCALE),
        dark_to_light=medium.absorbs,  # amounts: the lightest washes first
        area=float(allowed.mean()),
    )
    fitted = fit_brief(brief, effort, rng)
    on_object = _share_inside(fitted, allowed) >= _INSIDE
    on_object[0] |= not on_object.any()
    strokes = palette.strokes(fitted[on_object], places[on_object], rng)
    easel.solve(strokes, piece.goal[box], box, underpaintings_after(len(strokes)))
    easel.lay(_moved(strokes, box, short), places[on_object], label)


def _mean_colour(image: Image, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(3,) of the pixels of an image (h, w, 3) in a mask (h, w)."""
    return np.array(cv2.mean(image, mask.astype(np.uint8))[:3])


def _foil(mean: NDArray[np.float64], allowed: NDArray[np.bool_], unpainted: NDArray[np.bool_]) -> Image:
    """(h, w, 3) the planner's blank canvas.

    Other objects that are finished are guarded by a colour so different that no stroke gains by crossing them.
    """
    direction = np.where(mean > 0.5, -1.0, 1.0)
    distance = np.where(allowed, _BARE, np.where(unpainted, _OUTSIDE, _GUARD))[..., None]
    foil: Image = (mean + distance * direction).astype(np.float32)
    return foil


def _moved(strokes: Floats, box: Box, short_px: int) -> Floats:
    """Strokes of a crop in coordinates of the canvas."""
    own_px = min(side.stop - side.start for side in box)
    placed = strokes.copy()
    placed[:, [X0, Y0, X1, Y1, X2, Y2, R0, R2]] *= own_px / short_px
    placed[:, [X0, X1, X2]] += box[1].start / short_px
    placed[:, [Y0, Y1, Y2]] += box[0].start / short_px
    return placed


def _share_inside(strokes: Floats, allowed: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n,) how much of the middle line of each stroke is inside."""
    hits = np.sum([allowed[pixels_along(strokes, t, (allowed.shape[0], allowed.shape[1]))] for t in _SAMPLES], axis=0)
    shares: NDArray[np.float64] = hits / len(_SAMPLES)
    return shares
