"""How oil, ink and Bézier strokes begin: within silhouettes, with what draws the eye, in honest colours."""

from dataclasses import replace

import numpy as np
import pytest

from conf.errors import ConfigError
from renderers import bezier, brush
from renderers.bezier.precedence import subject_first
from renderers.brush.ink import PIGMENTS
from renderers.brush.kinds import BristleBrush
from renderers.brush.stroke import FAR_RED, MARK, lay_all, marks_of, new_brush_scratch, solve_colours
from renderers.brush.texture import make_brush
from renderers.pace import by_logarithm
from renderers.painting import FrameSchedule, Image, StrokeProgram
from renderers.raster.gradient import NO_STATES
from renderers.raster.ribbon import A0, NUM_COLUMNS, R0, R2, RED, X0, grid
from renderers.things.saliency import rough_saliency
from tests.oracles.test_brush_oracle import textured_strokes
from tests.renderers.pictures import landscape, plain

NUM_STROKES = 120
FEW = 12
BEZIER = bezier.Config(preset="fast", num_strokes=NUM_STROKES)
OIL = brush.Config(preset="fast", num_strokes=NUM_STROKES)
INK = brush.Config(medium="ink", preset="fast", num_strokes=NUM_STROKES, canvas=(0.955, 0.935, 0.885))


SUBJECT = slice(24, 60), slice(48, 84)


def with_subject() -> Image:
    """A place of strong colours and a few details on a ground that is mottled all over, but weakly."""
    image = plain(96, 96, (0.45, 0.5, 0.45))
    image[(np.add.outer(np.arange(96) // 8, np.arange(96) // 8) % 2).astype(bool)] += 0.05
    image[SUBJECT] = (0.9, 0.25, 0.1)
    image[24:60, 48:64] = (0.95, 0.85, 0.2)
    image[30:38, 52:60], image[44:52, 70:78] = (0.1, 0.1, 0.4), (0.1, 0.1, 0.4)
    return image


PICTURE = with_subject()


def canvas_after(program: StrokeProgram, steps: int) -> Image:
    (canvas,) = (
        bezier.RENDERER.replay(program, [steps])
        if program.family == "bezier"
        else brush.RENDERER.replay(program, [steps])
    )
    return canvas


@pytest.mark.parametrize("name", ["bezier", "oil"])
def test_another_order_of_strokes_finishes_the_same_painting(name: str) -> None:
    image = landscape(72, 96)
    if name == "bezier":
        program = bezier.RENDERER.plan(image, replace(BEZIER, attention=0.0), np.random.SeedSequence(0))
    else:
        program = brush.RENDERER.plan(image, replace(OIL, attention=0.0), np.random.SeedSequence(0))
    order = subject_first(program.strokes, rough_saliency(image), 4.0)
    assert sorted(order) == list(range(NUM_STROKES)) and list(order) != sorted(order)
    other = replace(program, strokes=program.strokes[order])
    assert np.array_equal(canvas_after(program, NUM_STROKES), canvas_after(other, NUM_STROKES))


def test_strokes_that_cover_one_another_keep_their_order() -> None:
    stack = np.zeros((3, 13), np.float32)
    stack[:, X0:R0] = [0.3, 0.3] * 3
    stack[2, X0:R0] = [0.8, 0.8] * 3  # alone
    stack[:, R0 : R2 + 1], stack[:, A0:RED] = 0.05, 1.0
    draws_the_eye = np.zeros((32, 32), np.float32)
    draws_the_eye[20:, 20:] = 1.0
    assert list(subject_first(stack, draws_the_eye, 4.0)) == [2, 0, 1]
    assert list(subject_first(stack, 1.0 - draws_the_eye, 4.0)) == [0, 1, 2]
    assert list(subject_first(stack, draws_the_eye, 0.0)) == [0, 1, 2]


@pytest.mark.parametrize("name", ["bezier", "oil"])
def test_what_draws_the_eye_is_painted_early(name: str) -> None:
    """Against the same renderer with attention=0."""
    errors = []
    for attention in (1.0, 0.0):
        if name == "bezier":
            program = bezier.RENDERER.plan(PICTURE, replace(BEZIER, attention=attention), np.random.SeedSequence(0))
        else:
            program = brush.RENDERER.plan(PICTURE, replace(OIL, attention=attention), np.random.SeedSequence(0))
        early = canvas_after(program, NUM_STROKES // 3)
        errors.append(float(((early - PICTURE)[SUBJECT] ** 2).mean()))
    assert errors[0] < 0.8 * errors[1]


def test_first_strokes_keep_within_silhouettes() -> None:
    """What the picture varies under the first strokes, against the same renderer with attention=0."""
    image = plain(96, 96, (0.85, 0.8, 0.7))
    image[:, 30:66] = (0.15, 0.25, 0.5)
    spreads = []
    for attention in (1.0, 0.0):
        config = replace(OIL, attention=attention)
        programs = [brush.RENDERER.plan(image, config, np.random.SeedSequence(seed)) for seed in range(3)]
        strokes = np.concatenate([program.strokes[:FEW, :NUM_COLUMNS] for program in programs])
        spreads.append(np.mean([_spread(stroke, image) for stroke in strokes]))
    assert spreads[0] < 0.9 * spreads[1]


def _spread(stroke: np.ndarray, image: Image) -> float:
    """Deviation of the picture's colours under a stroke."""
    covered = stroke.copy()[None]
    covered[0, A0:RED], covered[0, RED:] = 1.0, 1.0
    program = StrokeProgram(family="bezier", strokes=covered, canvas=(0.0, 0.0, 0.0), height_px=96, width_px=96)
    weights = canvas_after(program, 1)[..., :1].astype(np.float64)
    mean = (weights * image).sum((0, 1)) / weights.sum()
    return float(np.sqrt((weights * (image - mean) ** 2).sum() / weights.sum()))


def test_covered_strokes_take_the_colour_of_their_place_and_seen_ones_hardly_change() -> None:
    """Of two strokes on the same place the lower is never seen: only loyalty says what colour it has."""
    strokes = textured_strokes(1, 40, 40, seed=1).repeat(2, axis=0)
    strokes[:, A0:RED], strokes[:, MARK] = 1.0, 0
    strokes[:, RED : FAR_RED + 3] = (1.0, 0.0, 1.0) * 2
    marks = marks_of(make_brush(BristleBrush(runs_out=0.0, ragged=(0.0, 0.0), softness=2.0)), 0.0)
    pixels, target = grid(40, 40), plain(40, 40, (0.2, 0.6, 0.3)).reshape(-1)
    solved = {}
    for loyalty in (0.0, 0.05):
        solved[loyalty] = strokes.copy()
        solve_colours(
            solved[loyalty], pixels, marks, target, np.ones_like(target), np.zeros(0, np.int64), np.float32(0),
            np.float32(loyalty), 200, new_brush_scratch(pixels), NO_STATES,
        )  # fmt: skip
    away = {loyalty: np.abs(both[:, RED : RED + 3] - (0.2, 0.6, 0.3)).max(1) for loyalty, both in solved.items()}
    assert away[0.05][0] < 0.3 * away[0.0][0]
    assert away[0.05][1] < 0.1
    canvas = np.ones_like(target)
    lay_all(solved[0.05], pixels, marks, canvas, new_brush_scratch(pixels))
    assert np.abs(canvas - target)[canvas < 0.9].mean() < 0.1


def test_violet_places_are_washed_in_violet() -> None:
    image = plain(64, 64, (0.95, 0.93, 0.88))
    image[16:48, 16:48] = (0.45, 0.2, 0.6)
    strokes = brush.RENDERER.plan(image, INK, np.random.SeedSequence(0)).strokes
    violet = np.array(PIGMENTS["violet"])
    absorbed = strokes[:, RED : RED + 3]
    order = absorbed.argsort(1)
    assert (order == violet.argsort()).all(1).mean() > 0.2  # most to green, then red, least to blue


def test_washes_run_from_one_tone_to_the_next() -> None:
    shade = np.linspace(0.15, 0.95, 96, dtype=np.float32)
    image = np.repeat(np.tile(shade, (96, 1))[..., None], 3, axis=-1)
    strokes = brush.RENDERER.plan(image, INK, np.random.SeedSequence(0)).strokes
    assert (strokes[:, RED] != strokes[:, FAR_RED]).mean() > 0.1
    plain_washes = brush.RENDERER.plan(image, replace(INK, attention=0.0), np.random.SeedSequence(0)).strokes
    assert np.array_equal(plain_washes[:, RED], plain_washes[:, FAR_RED])


@pytest.mark.parametrize("name", ["bezier", "oil", "ink"])
def test_frames_follow_the_painters_time_and_never_recede(name: str) -> None:
    image = landscape(72, 96)
    if name == "bezier":
        painting = bezier.RENDERER.paint(image, BEZIER, np.random.SeedSequence(0))
    else:
        painting = brush.RENDERER.paint(image, OIL if name == "oil" else INK, np.random.SeedSequence(0))
    steps = list(FrameSchedule(num_frames=6).steps(painting.left))
    assert (np.diff(painting.distances[steps]) < 0).all()
    gaps = np.diff(steps)
    assert gaps[-1] > 3 * gaps[1]  # broad strokes take longer than fine ones


def test_time_stands_still_at_setbacks_and_ends_at_nothing() -> None:
    left = by_logarithm(np.array([1.0, 0.8, 0.9, 0.5, 0.0]))
    assert left[0] == 1 and left[-1] == 0 and left[2] == left[1]
    assert left[1] == pytest.approx(1 - np.log(2) / np.log(5))


@pytest.mark.parametrize("config", [bezier.Config, brush.Config])
@pytest.mark.parametrize("attention", [-0.1, 4.1, float("nan")])
def test_attention_out_of_range_is_refused(config: type, attention: float) -> None:
    with pytest.raises(ConfigError, match=r"attention.*0 to 4"):
        config(attention=attention)
