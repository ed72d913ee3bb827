"""The plan of a painting: ground, drawing, one object after another, accents."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from renderers.begun import begun_arrays
from renderers.bezier.fit import aspect_of, worth_px
from renderers.brush.canvas import program_arrays
from renderers.brush.stroke import FAR_RED
from renderers.painting import NO_ASSETS, NOTHING_KNOWN, Assets, Image, Knowledge, StrokeProgram
from renderers.raster.ribbon import RED, Floats
from renderers.shrink import shrink
from renderers.studio.accents import paint_accents
from renderers.studio.config import StudioConfig
from renderers.studio.corrections import chosen_for_correction, wrong_colours
from renderers.studio.drawing import CONSTRUCTION, CONTOUR, HATCHING, DrawnLines, draw
from renderers.studio.easel import Easel, pixels_at_middles
from renderers.studio.ground import Colour, coat_ground, ground_colour, tone_darks
from renderers.studio.media import LUMA, goals_of, palette_of
from renderers.studio.order import objects_in_order, strokes_of_objects
from renderers.studio.phases import PHASES, phase_shares
from renderers.studio.piece import Commission, block_in, finish
from renderers.studio.silhouette import Silhouette
from renderers.studio.sittings import (
    Sittings,
    dealt_sittings,
    in_order_of_beginnings,
    in_order_of_endings,
    sittings_along,
)
from renderers.things import Things, find_things
from renderers.time_line import TimeLine

_DARK_GROUND, _CHALK = 0.4, (0.86, 0.84, 0.78)  # luma of a ground below which lines are of chalk
_LINES_A_STROKE = 4  # of a pencil, which together cover as much as one of a brush


def plan(
    image: Image,
    config: StudioConfig,
    seed: np.random.SeedSequence,
    assets: Assets = NO_ASSETS,
    known: Knowledge = NOTHING_KNOWN,
    time_line: TimeLine | None = None,
) -> StrokeProgram:
    """The strokes alone; arguments as in `Renderer.paint`.

    Args:
        time_line: of a painter to follow. On a canvas that is begun, only what is left to do is drawn and painted.

    Raises:
        ConfigError: as `find_things` and `objects_in_order`.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    things = find_things(image, known, config.things, rng, assets)
    palette = palette_of(config.medium)
    medium = palette.medium
    paper = config.ground
    small = shrink(image, round(worth_px(config.num_strokes, aspect_of(image))))
    begun = None if time_line is None else time_line.begun
    bare = np.zeros(3, np.float32) if medium.absorbs else np.array(paper, np.float32)
    canvas = np.tile(bare, (*small.shape[:2], 1)) if begun is None else shrink(begun, min(small.shape[:2]))
    to_do = np.ones(small.shape[:2], np.float32) if time_line is None else time_line.to_do(*small.shape[:2])
    easel = Easel(canvas, palette.marks)
    followed = None
    if time_line is not None and config.order == "mixed" and config.object_phases:
        followed = sittings_along(things, time_line, config.object_phases)
    order = objects_in_order(things, config, rng) if followed is None else in_order_of_beginnings(followed)
    goals = goals_of(config.medium, small, paper)
    ground = paper if begun is None else _mean_colour(canvas, to_do)
    if begun is None and "ground" in config.phases:
        ground = _prepared(easel, small, goals[1], things, config, rng)
    is_ordered = followed is not None or config.order != "mixed"
    lines = None
    if "drawing" in config.phases:
        lines = _draw(easel, image, things, ground, to_do, order if is_ordered else None, config, rng)
    if medium.paints:
        covers = [cover * to_do for cover in things.coverages(*small.shape[:2])]
        _paint(easel, goals, things, covers, order, followed, lines, config, rng)
    height, width = image.shape[:2]
    return StrokeProgram(
        family="studio",
        strokes=easel.strokes(),
        canvas=paper,
        height_px=height,
        width_px=width,
        arrays={
            **program_arrays(palette.texture, medium.density, medium.relief, merges=medium.absorbs),
            **easel.turns(tuple(things.names)).to_arrays(),
            **begun_arrays(begun),
        },
    )


def _prepared(
    easel: Easel, small: Image, goal: Image, things: Things, config: StudioConfig, rng: np.random.Generator
) -> Colour:
    """Prepare the ground; returns its colour, or that of the paper.

    Args:
        small: (h, w, 3) the picture.
        goal: (h, w, 3) the same in the medium's own terms.
    """
    palette = palette_of(config.medium)
    ground = config.ground
    if palette.medium.coats and rng.random() < config.toned:
        colour = ground_colour(goal, things)
        coat_ground(easel, colour, goal, palette, rng)
        if not palette.medium.absorbs:
            ground = colour
    if palette.medium.tones:
        tone_darks(easel, small, ground, palette, config, rng)
    return ground


def _draw(
    easel: Easel, image: Image, things: Things, ground: Colour, to_do: NDArray[np.float32],
    order: tuple[int, ...] | None, config: StudioConfig, rng: np.random.Generator,
) -> DrawnLines:  # fmt: skip
    """Draw. Where there is no paint, all strokes are the drawing's, and hatching blocks in, models and finishes.

    Args:
        ground: what lines have to be seen on.
        to_do: (h, w) share of each pixel that is not finished.
        order: in which objects are hatched; None to leave it to the drawing.
    """
    palette = palette_of(config.medium)
    tonal = not palette.medium.paints and bool(config.object_phases)
    count = config.num_lines + (_LINES_A_STROKE * config.num_strokes if tonal else 0)
    lines = draw(image, things, config.medium, count, tonal or config.hatching, rng, order)
    if not palette.medium.constructs:
        lines = lines.chosen(lines.kinds != CONSTRUCTION)
    lines = lines.chosen(to_do[pixels_at_middles(lines.strokes, to_do.shape)] > 0.5)
    phases = np.full(len(lines.kinds), PHASES.index("drawing"), np.uint8)
    if tonal:
        for label in np.unique(lines.things[lines.kinds == HATCHING]):
            of_thing = np.flatnonzero((lines.kinds == HATCHING) & (lines.things == label))
            phases[of_thing] = phase_shares(config.object_phases, len(of_thing))[1]
    strokes = palette.lines(lines.strokes)
    if palette.medium.coats and np.dot(ground, LUMA) < _DARK_GROUND:
        strokes[:, RED : RED + 3] = strokes[:, FAR_RED : FAR_RED + 3] = _CHALK
    easel.lay(strokes, phases, lines.things)
    return lines


def _paint(
    easel: Easel, goals: tuple[Image, Image], things: Things, covers: Sequence[NDArray[np.float32]],
    order: tuple[int, ...], followed: Sittings | None, lines: DrawnLines | None, config: StudioConfig,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """Paint all objects, sitting by sitting, and the accents.

    Args:
        goals: (h, w, 3) what block-ins are to look like, and what all that follows is.
        covers: (h, w) share of each pixel that an object covers and that is not finished.
        followed: the sittings of a painter; None to deal them.
    """
    palette = palette_of(config.medium)
    block_in_goal, goal = goals
    num_accents = round(config.accents * config.num_strokes) if "accents" in config.phases else 0
    if config.object_phases:
        shares = strokes_of_objects(things, config.num_strokes - num_accents)
        # On paper nothing can be painted over; and an order that is asked for, or that a painter has, is to be kept.
        is_free = followed is None and config.order == "mixed"
        corrections = config.corrections if is_free and not palette.medium.absorbs else 0.0
        for label in chosen_for_correction(order, covers, corrections, rng):
            piece = Commission(
                silhouette=Silhouette(covers[label]), unpainted=np.ones(goal.shape[:2], bool), count=int(shares[label]),
                goal=wrong_colours(block_in_goal, rng), spill=config.spill,
            )  # fmt: skip
            block_in(easel, piece, label, palette, rng, phase="correction")
        unpainted = _unpainted_after(covers, order)
        unfinished = unpainted if followed is None else _unpainted_after(covers, in_order_of_endings(followed))
        pieces = {
            label: Commission(
                silhouette=Silhouette(covers[label]), unpainted=unfinished[label], goal=goal, count=int(shares[label]),
                spill=config.spill, blocked_in="block_in" in config.object_phases,
            )
            for label in order
            if covers[label].max() > 0.5  # else it is too thin for so few strokes to show
        }  # fmt: skip
        for label, steps in dealt_sittings(order, config, rng) if followed is None else followed:
            if label not in pieces:
                continue
            piece = pieces[label]
            if "block_in" in steps:
                first_piece = replace(piece, goal=block_in_goal, unpainted=unpainted[label])
                covered = block_in(easel, first_piece, label, palette, rng)
                if lines is not None and palette.medium.handling.even:  # line art lies above flats
                    easel.lay(palette.lines(_contours_in(lines, covered)), "block_in", label)
            phases = tuple(phase for phase in steps if phase != "block_in")
            if phases:
                finish(easel, piece, label, palette, phases, config.effort, rng)
                if lines is not None and palette.medium.restates:
                    easel.lay(palette.lines(_contours_of(lines, label)), phases[-1], label)
    if num_accents:
        paint_accents(easel, goal, things, num_accents, palette, config, rng)


def _unpainted_after(covers: Sequence[NDArray[np.float32]], order: Sequence[int]) -> dict[int, NDArray[np.bool_]]:
    """(h, w) for every object, where others are still to be painted after it."""
    remaining = np.sum(covers, axis=0)
    unpainted = {}
    for label in order:
        remaining -= covers[label]
        unpainted[label] = remaining > 0.5
    return unpainted


def _mean_colour(canvas: Image, to_do: NDArray[np.float32]) -> Colour:
    """(3,) mean colour of a canvas (h, w, 3), where it is not finished."""
    red, green, blue = np.average(canvas.reshape(-1, 3), axis=0, weights=to_do.reshape(-1) + 1e-6).tolist()
    return red, green, blue


def _contours_of(lines: DrawnLines, label: int) -> Floats:
    """Contours of one object."""
    chosen: Floats = lines.strokes[(lines.things == label) & (lines.kinds == CONTOUR)]
    return chosen


def _contours_in(lines: DrawnLines, area: NDArray[np.bool_]) -> Floats:
    """Contours whose middle lies in an area (h, w)."""
    height, width = area.shape
    is_inside = area[pixels_at_middles(lines.strokes, (height, width))]
    chosen: Floats = lines.strokes[is_inside & (lines.kinds == CONTOUR)]
    return chosen
