"""Chinese ink: washes for the masses, lines for the contours, paper left for the light. Nothing is ever lightened.

Ink adds up: where strokes overlap, their absorptions do (Beer and Lambert), so painting is a sum of masks times
amounts, amounts cannot be negative, and each pixel only darkens. Light places are given a target below zero, so that
straying onto paper that should stay empty costs more than leaving a shadow a little light.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from renderers.bezier.fit import Brief, attentive, fit_brief
from renderers.bezier.precedence import subject_first
from renderers.brush.config import BrushConfig
from renderers.brush.guide import guide_along
from renderers.brush.stroke import FAR_RED, MARK, NUM_BRUSH_COLUMNS, Marks, new_brush_scratch, solve_colours
from renderers.brush.texture import BrushTexture, make_brush
from renderers.painting import Image
from renderers.raster.gradient import NO_STATES
from renderers.raster.ribbon import NUM_COLUMNS, R0, R2, RED, X0, X1, X2, Y0, Y1, Y2, Floats, grid
from renderers.shrink import shrink
from renderers.things.saliency import rough_saliency
from renderers.time_line import TimeLine

DENSITY = 3.0  # what full ink absorbs, in nepers: it reflects a twentieth
MOST = 2.0  # times that which an amount of 1 absorbs: a pigment as dark as full ink needs up to 1.8 times in a channel
TONES = (0.05, 0.13, 0.28, 0.55, 1.0)  # the five tones of ink, as shares of full ink: from clear to burnt
INK = (1.0, 1.0, 0.96)  # absorption of black ink, a little warm
PIGMENTS = {  # absorption of red, green and blue
    "indigo": (1.0, 0.72, 0.40),
    "ochre": (0.36, 0.72, 1.0),
    "cinnabar": (0.25, 0.90, 1.0),
    "gamboge": (0.12, 0.36, 1.0),
    "violet": (0.70, 1.0, 0.42),
}
_INK_IN_PIGMENT = 0.3  # pigments are never used pure

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_LINE_SHARE = 0.5  # of the strokes
_WASH_RADII, _LINE_RADII = (0.07, 0.007), (0.014, 0.0045)
_WASH_LENGTHS, _LINE_LENGTHS = (1.5, 4.0), (3.0, 10.0)
_EMPTY_TARGET = -0.13
_LEAST_AMOUNT = 0.03
_LEAST_CONTRAST = 0.3  # between the lumas of full ink and of bare paper
_LEAST_CONTOUR, _MOST_OF_EVEN = 0.12, 0.1  # what a line needs, and the most that tone without an edge gives to it
_PALE = 0.8  # luma from which on a picture without contrast is bare paper
_LEAST_CHROMA = 8.0  # of a colourful place, in CIE Lab: in absorption, the faintest cast of a near-black is strong
_SOLVE_PX, _SOLVE_STEPS = 256, 48
_NUM_BRUSHES = 3
_SAMPLES = (0.1, 0.3, 0.5, 0.7, 0.9)  # places along a stroke
_LEAST_TO_DO = 0.5  # share of a stroke's middle line that must have something left to do
_ATTENTION, _CROSSING, _HASTE = 2.0, 0.5, 0.4


def ink_brushes(config: BrushConfig) -> BrushTexture:
    """The marks of the three brushes of an ink painting, one after the other: for lines, dry, for washes."""
    textures = [make_brush(brush) for brush in (config.line_brush, config.dry_brush, config.wash_brush)]
    return BrushTexture(
        np.concatenate([texture.cover for texture in textures]),
        np.concatenate([texture.relief for texture in textures]),
    )


def plan_ink(image: Image, config: BrushConfig, marks: Marks, rng: np.random.Generator) -> Floats:
    """Strokes of an ink painting.

    Args:
        image: (H, W, 3) float32 RGB in [0, 1].
        marks: of `ink_brushes`, or of the user's own brush.

    Returns:
        (N, NUM_BRUSH_COLUMNS) strokes in painting order; colours are amounts of red, green and blue in [0, 1], of which
        1 absorbs `MOST` times what full ink does.
    """
    wash, line = ink_targets(image, config.empty)
    saliency = rough_saliency(image)
    num_lines = round(_LINE_SHARE * config.num_strokes)
    guide = guide_along(image, 0.012)
    washes, lines = (
        fit_brief(
            Brief(
                target=np.repeat(target[..., None], 3, axis=-1),
                blank=(0.0, 0.0, 0.0),
                covers=0.0,
                radii=np.geomspace(*radii, count, dtype=np.float32),
                min_opacity=0.5,
                lengths=lengths,
                guide=guide,
                absolute=config.loss == "absolute",
                transport=config.transport,
                beginning=attentive(saliency, config.attention, _ATTENTION, _CROSSING),
            ),
            config.effort,
            rng,
        )
        for target, radii, lengths, count in (
            (wash, _WASH_RADII, _WASH_LENGTHS, config.num_strokes - num_lines),
            (line, _LINE_RADII, _LINE_LENGTHS, num_lines),
        )
    )
    strokes = np.zeros((config.num_strokes, NUM_BRUSH_COLUMNS), np.float32)
    strokes[:, :NUM_COLUMNS] = np.concatenate([washes, lines])
    strokes[:, FAR_RED : FAR_RED + 3] = strokes[:, RED : RED + 3]
    is_line = np.arange(config.num_strokes) >= len(washes)
    if config.brush.path is None:
        strokes[:, MARK] = _choose_marks(strokes, is_line, len(marks.cover), rng)
    else:
        strokes[:, MARK] = rng.integers(0, len(marks.cover), config.num_strokes)
    _solve(strokes, wash, line, marks)
    amounts = _settle_tones(strokes, is_line, image, config.pigments, graded=config.attention > 0)
    is_visible = amounts > _LEAST_AMOUNT
    if not is_visible.any():  # an empty sheet is no painting, so keep the strongest
        is_visible = amounts >= amounts.max()
    order = subject_first(strokes, saliency, _HASTE * config.attention, covers=0.0)
    is_late = ~is_line if config.order == "lines_first" else is_line
    order = order[np.argsort(is_late[order], kind="stable")]
    return np.ascontiguousarray(strokes[order][is_visible[order]])


def along(strokes: Floats, time_line: TimeLine) -> Floats:
    """Ink strokes in a painter's order. Overlapping ink adds up, so any order gives the same painting.

    Args:
        strokes: (N, NUM_BRUSH_COLUMNS); on a canvas that is begun, those that lie where nothing is to do are left out.

    Returns:
        The strokes, sorted by the mean arrival of places along their middle lines.
    """
    moments = _on_middle_line(strokes, time_line.arrival)
    if time_line.begun is not None:
        to_do = _on_middle_line(strokes, (time_line.arrival > 0).astype(np.float32)) > _LEAST_TO_DO
        to_do[0] |= not to_do.any()
        strokes, moments = strokes[to_do], moments[to_do]
    return np.ascontiguousarray(strokes[np.argsort(moments, kind="stable")])


def _on_middle_line(strokes: Floats, field: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N,) means of a (h, w) field over places along each stroke."""
    height, width = field.shape
    unit = min(height, width)
    t = np.array(_SAMPLES)
    weights = np.stack([(1 - t) ** 2, 2 * t * (1 - t), t**2])
    columns = np.clip(strokes[:, [X0, X1, X2]] @ weights * unit, 0, width - 1).astype(int)
    rows = np.clip(strokes[:, [Y0, Y1, Y2]] @ weights * unit, 0, height - 1).astype(int)
    means: NDArray[np.float64] = field[rows, columns].mean(1, dtype=np.float64)
    return means


def ink_targets(image: Image, empty: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Amounts of ink wanted of washes and of lines, (H, W) each; negative where paper should stay bare.

    Washes follow the picture's tone, smoothed within its edges. Lines follow the darker side of its contours
    (difference of Gaussians; Winnemöller et al., 2012), heavier where it is dark.
    """
    scale = min(image.shape[:2]) / 256
    smooth = image
    for _ in range(2):
        smooth = cv2.bilateralFilter(smooth, 0, 0.12, 3.5 * scale)
    luma = smooth @ _LUMA
    darkest, lightest = stretched(np.quantile(luma, 0.02), np.quantile(luma, 1.0 - empty), _LEAST_CONTRAST)
    tone = np.clip((luma - darkest) / (lightest - darkest), 0.0, 1.0)
    amount = -np.log(0.06 + 0.94 * tone) / DENSITY
    wash = np.where(tone >= 0.985, _EMPTY_TARGET, amount)
    near, far = (cv2.GaussianBlur(image @ _LUMA, (0, 0), sigma * scale) for sigma in (0.9, 1.8))
    even = np.minimum(0.66 * near - 0.25, _MOST_OF_EVEN)  # more in the light, where a weaker edge is seen
    contour = np.clip((far - near) * 22 + even, 0.0, 1.0) * (0.35 + 0.65 * (1.0 - tone))
    line = np.where(contour < _LEAST_CONTOUR, _EMPTY_TARGET, 0.8 * contour)
    return wash.astype(np.float32), line.astype(np.float32)


def stretched(
    darkest: np.floating[Any], lightest: np.floating[Any], least_contrast: float
) -> tuple[np.floating[Any], np.floating[Any]]:
    """The lumas of the darkest mark and of bare paper: those of the picture, moved apart if it has hardly any contrast.

    So fog stays pale, a page with a few words stays bare, and a black picture stays black.
    """
    lacking = np.maximum(least_contrast - (lightest - darkest), 0.0)
    paleness = np.minimum(lightest / _PALE, 1.0)
    return darkest - lacking * paleness, lightest + lacking * (1.0 - paleness)


def _choose_marks(strokes: Floats, is_line: NDArray[np.bool_], num_marks: int, rng: np.random.Generator) -> Floats:
    """Marks of `ink_brushes`: of the line brush for lines, the dry one for dark slender washes, else the wash brush."""
    variants = num_marks // _NUM_BRUSHES
    breadth = strokes[:, [R0, R2]].mean(1)
    dry = (strokes[:, RED] > 0.3) & (breadth < 0.03)
    brush = np.where(is_line, 0, np.where(dry, 1, 2))
    return (brush * variants + rng.integers(0, variants, len(strokes))).astype(np.float32)


def _solve(strokes: Floats, wash: NDArray[np.float32], line: NDArray[np.float32], marks: Marks) -> None:
    """Solve for the amounts of all strokes together, given the marks that they really leave; in place."""
    wanted = np.where(wash > 0, 1.1 * wash, wash) + np.maximum(line, 0.0)
    small = shrink(np.repeat(wanted[..., None], 3, axis=-1).astype(np.float32), _SOLVE_PX)
    pixels = grid(small.shape[0], small.shape[1], covers=0.0)
    target, no_underpaintings = small.reshape(-1), np.zeros(0, np.int64)
    solve_colours(
        strokes,
        pixels,
        marks,
        target,
        np.zeros_like(target),
        no_underpaintings,
        np.float32(0),
        np.float32(0),
        _SOLVE_STEPS,
        new_brush_scratch(pixels),
        NO_STATES,
    )


def _settle_tones(
    strokes: Floats, is_line: NDArray[np.bool_], image: Image, pigments: bool, graded: bool
) -> NDArray[np.float32]:
    """Give every stroke the nearest of five tones: lines in ink, washes in their place's pigment; in place.

    Args:
        strokes: their colours are shares of full ink; they become amounts as `plan_ink` returns them.
        graded: a wash runs from one tone to its neighbour where its two ends ask for it.

    Returns:
        (N,) mean shares of full ink before.
    """
    ends = slice(RED, RED + 3), slice(FAR_RED, FAR_RED + 3)
    of_ends = [strokes[:, end].mean(1) for end in ends]
    amounts: NDArray[np.float32] = np.stack(of_ends).mean(0)
    nearest = _nearest_tones(amounts)
    absorption = np.tile(np.array(INK, np.float32), (len(strokes), 1))
    if pigments:
        absorption[~is_line] = _pigments_at(strokes[~is_line], image)
    for end, amount in zip(ends, of_ends, strict=True):
        wanted = np.where(is_line, nearest, np.clip(_nearest_tones(amount), nearest - 1, nearest + 1))
        tones = np.array(TONES, np.float32)[wanted if graded else nearest, None]
        strokes[:, end] = tones * absorption / np.float32(MOST)
    return amounts


def _nearest_tones(amounts: NDArray[np.float32]) -> NDArray[np.int_]:
    """(N,) index of the one of five tones that looks nearest to each amount."""
    tones = np.array(TONES, np.float32)
    nearest: NDArray[np.int_] = np.abs(np.log(amounts[:, None] + 1e-3) - np.log(tones + 1e-3)).argmin(1)
    return nearest


def _pigments_at(strokes: Floats, image: Image) -> NDArray[np.float32]:
    """(N, 3) absorption for every stroke: ink, or the pigment nearest in hue where the picture is colourful."""
    height, width = image.shape[:2]
    short = min(height, width)
    calm = cv2.GaussianBlur(image, (0, 0), short / 64)
    middle = 0.25 * strokes[:, 0:2] + 0.5 * strokes[:, 2:4] + 0.25 * strokes[:, 4:6]
    columns = np.clip((middle[:, 0] * short).astype(int), 0, width - 1)
    rows = np.clip((middle[:, 1] * short).astype(int), 0, height - 1)
    colours = calm[rows, columns]
    absorbed = -np.log(np.clip(colours, 0.02, 1.0))
    lab = cv2.cvtColor(colours[None], cv2.COLOR_RGB2LAB)[0]
    ink = np.array(INK, np.float32)
    choices = np.array(list(PIGMENTS.values()), np.float32)
    hues = choices - choices.mean(1, keepdims=True)
    chroma = absorbed - absorbed.mean(1, keepdims=True)
    strength = np.linalg.norm(chroma, axis=1)
    likeness = chroma @ (hues / np.linalg.norm(hues, axis=1, keepdims=True)).T
    chosen = _INK_IN_PIGMENT * ink + (1 - _INK_IN_PIGMENT) * choices[likeness.argmax(1)]
    chosen = chosen / (chosen @ _LUMA)[:, None]  # as dark as ink of the same tone
    colourful = (np.hypot(lab[:, 1], lab[:, 2]) > _LEAST_CHROMA) & (likeness.max(1) > 0.8 * strength)
    absorption: NDArray[np.float32] = np.where(colourful[:, None], chosen, ink).astype(np.float32)
    return absorption
