"""Oil: opaque bristle strokes on a toned canvas, broad first, then along the form, then detail."""

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from renderers.bezier.along import STATE_WEIGHT, fit_along, under_paintings
from renderers.bezier.fit import ANYHOW, Beginning, Brief, attentive, fit_brief, underpaintings_after
from renderers.bezier.precedence import subject_first
from renderers.brush.config import BrushConfig
from renderers.brush.guide import guide_along
from renderers.brush.stroke import FAR_RED, MARK, NUM_BRUSH_COLUMNS, THICKNESS, Marks, new_brush_scratch, solve_colours
from renderers.brush.style import StrokeCharacter
from renderers.painting import Image
from renderers.raster.gradient import NO_STATES
from renderers.raster.ribbon import NUM_COLUMNS, R0, R2, RED, X0, Y0, Floats, grid
from renderers.shrink import shrink
from renderers.things.saliency import rough_saliency
from renderers.time_line import TimeLine

_RADIUS_FIRST, _RADIUS_LAST, _RADIUS_POWER = 0.16, 0.009, 0.33
_ATTENTIVE_FIRST, _ATTENTION, _CROSSING, _LOYALTY = 0.1, 8.0, 3.0, 0.02
_MIN_OPACITY = 0.9
_LENGTHS = (1.5, 5.0)
_GUIDE_SCALE = 0.02
_SOLVE_PX, _SOLVE_STEPS, _UNDERPAINTING_WEIGHT = 256, 16, 0.04
_MOST_STRAYING = 0.15  # in RGB, from all colours of a stroke's place: it makes up for gaps between bristles
_MOST_SAMPLES = 16  # of a place, along each side
_LEAST_THICKNESS = 0.3  # of the first layers: fat over lean


def plan_oil(
    image: Image, config: BrushConfig, character: StrokeCharacter | None, marks: Marks, rng: np.random.Generator
) -> Floats:
    """Strokes of an oil painting.

    Args:
        image: (H, W, 3) float32 RGB in [0, 1], in the colours that are wanted.
        character: how the strokes of a style run, or None.
        marks: of the brush.

    Returns:
        (N, NUM_BRUSH_COLUMNS) strokes in painting order.
    """
    saliency = rough_saliency(image)
    brief = _brief(
        image, config.canvas, config, character, attentive(saliency, config.attention, _ATTENTION, _CROSSING)
    )
    ribbons = fit_brief(brief, config.effort, rng)
    after = underpaintings_after(len(ribbons))
    strokes = _with_marks(ribbons, brief, after, NO_STATES, config, character, marks, rng)
    if not config.dark_to_light:
        strokes = strokes[subject_first(strokes, saliency, config.attention)]
        strokes[:, THICKNESS] = np.sort(strokes[:, THICKNESS])  # still thin first, thick last
    return strokes


def plan_oil_along(
    image: Image, time_line: TimeLine, config: BrushConfig, character: StrokeCharacter | None, marks: Marks,
    rng: np.random.Generator,
) -> Floats:  # fmt: skip
    """Strokes of an oil painting that follow a painter, whose order replaces `attention`; arguments as in `plan_oil`.

    Args:
        time_line: the painter's; its `begun` has the size of the image.
    """
    config = replace(config, attention=0.0)
    brief = _brief(image, config.canvas if time_line.begun is None else time_line.begun, config, character)
    states = time_line.states(image)
    ribbons, ends = fit_along(brief, states, time_line.progress, config.effort, rng)
    after, matched = under_paintings(ends)
    pictures = [shrink(state, _SOLVE_PX).reshape(-1) for state in states]
    wanted = np.stack([pictures[state] for state in matched]) if matched else NO_STATES
    return _with_marks(ribbons, brief, after, wanted, config, character, marks, rng)


def _brief(
    image: Image, blank: tuple[float, float, float] | Image, config: BrushConfig, character: StrokeCharacter | None,
    beginning: Beginning = ANYHOW,
) -> Brief:  # fmt: skip
    count = config.num_strokes
    lengths = _LENGTHS if character is None else (max(1.0, 0.5 * character.elongation), 1.5 * character.elongation)
    last = _RADIUS_LAST if character is None else float(np.clip(0.5 * character.width, 0.006, 0.03))
    first = _ATTENTIVE_FIRST if config.attention else _RADIUS_FIRST
    share = (np.arange(count) / count) ** _RADIUS_POWER
    last = min(first / 2, last * np.sqrt(500 / count))
    return Brief(
        target=image,
        blank=blank,
        radii=(first * (last / first) ** share).astype(np.float32),
        min_opacity=_MIN_OPACITY,
        lengths=lengths,
        guide=guide_along(image, _GUIDE_SCALE, 1.0 if character is None else 1.5 - character.alignment),
        dark_to_light=config.dark_to_light,
        absolute=config.loss == "absolute",
        transport=config.transport,
        beginning=beginning,
    )


def _with_marks(
    ribbons: Floats, brief: Brief, after: NDArray[np.int64], states: Floats, config: BrushConfig,
    character: StrokeCharacter | None, marks: Marks, rng: np.random.Generator,
) -> Floats:  # fmt: skip
    """Oil strokes along fitted ribbons (N, 13), with colours for what their marks leave.

    Args:
        after, states: under-paintings, as in `solve_colours`.
    """
    count = len(ribbons)
    strokes = np.zeros((count, NUM_BRUSH_COLUMNS), np.float32)
    strokes[:, :NUM_COLUMNS] = ribbons
    strokes[:, FAR_RED : FAR_RED + 3] = strokes[:, RED : RED + 3]
    strokes[:, MARK] = rng.integers(0, len(marks.cover), count)
    strokes[:, THICKNESS] = np.linspace(_LEAST_THICKNESS, 1.0, count)
    small = shrink(brief.target, _SOLVE_PX)
    pixels = grid(*small.shape[:2])
    solve_colours(
        strokes, pixels, marks, small.reshape(-1), brief.ground(_SOLVE_PX), after,
        np.float32(STATE_WEIGHT if len(states) else _UNDERPAINTING_WEIGHT),
        np.float32(_LOYALTY if config.attention else 0.0), _SOLVE_STEPS, new_brush_scratch(pixels), states,
    )  # fmt: skip
    if len(states):
        colours = np.concatenate([states, small.reshape(1, -1), brief.ground(_SOLVE_PX).reshape(1, -1)])
        _stay_near(strokes, colours.reshape(-1, *small.shape))
    if character is not None:
        variation = rng.standard_normal((count, 1)) * character.colour_variation * 0.5
        strokes[:, RED : RED + 3] = np.clip(strokes[:, RED : RED + 3] + variation, 0, 1)
        strokes[:, FAR_RED : FAR_RED + 3] = np.clip(strokes[:, FAR_RED : FAR_RED + 3] + variation, 0, 1)
    if config.palette:
        limit_palette(strokes, config.palette)
    return strokes


def _stay_near(strokes: Floats, pictures: NDArray[np.float32]) -> None:
    """Keep the colours of strokes near those that are wanted at any time where they lie, in place.

    Without this, a stroke that is covered before the next under-painting may take any colour, and is seen until then.

    Args:
        pictures: (n, h, w, 3) RGB that is wanted at some time.
    """
    for stroke in strokes:
        colours = pictures[:, *_place_of(stroke, *pictures.shape[1:3])].reshape(-1, 3)
        if len(colours) == 0:
            continue  # beside the canvas
        for end in (slice(RED, RED + 3), slice(FAR_RED, FAR_RED + 3)):
            nearest = colours[np.square(colours - stroke[end]).sum(axis=1).argmin()]
            distance = np.linalg.norm(stroke[end] - nearest)
            if distance > _MOST_STRAYING:
                stroke[end] = nearest + _MOST_STRAYING / distance * (stroke[end] - nearest)


def _place_of(stroke: Floats, height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns that a stroke may touch on a canvas, `_MOST_SAMPLES` of each at most."""
    unit, reach = min(height, width), max(stroke[R0], stroke[R2])
    rows, columns = (
        np.clip([(points.min() - reach) * unit, (points.max() + reach) * unit + 1], 0, side).astype(int)
        for points, side in ((stroke[Y0 : Y0 + 5 : 2], height), (stroke[X0 : X0 + 5 : 2], width))
    )
    top, bottom, left, right = (int(one) for one in (*rows, *columns))
    return (
        slice(top, bottom, max(1, -(-(bottom - top) // _MOST_SAMPLES))),
        slice(left, right, max(1, -(-(right - left) // _MOST_SAMPLES))),
    )


def limit_palette(strokes: Floats, num_colours: int) -> NDArray[np.float32]:
    """Mix all strokes from so many colours (k-means over the colours at both ends of strokes), in place.

    Returns:
        (num_colours, 3) the palette.
    """
    ends = np.concatenate([strokes[:, RED : RED + 3], strokes[:, FAR_RED : FAR_RED + 3]])
    num_colours = min(num_colours, len(np.unique(ends.round(4), axis=0)))
    cv2.setRNGSeed(0)
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 30, 1e-4)
    _, labels, palette = cv2.kmeans(np.ascontiguousarray(ends), num_colours, None, criteria, 2, cv2.KMEANS_PP_CENTERS)
    mixed = palette[labels[:, 0]]
    strokes[:, RED : RED + 3], strokes[:, FAR_RED : FAR_RED + 3] = mixed[: len(strokes)], mixed[len(strokes) :]
    colours: NDArray[np.float32] = palette
    return colours
