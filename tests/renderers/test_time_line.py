"""What strokes that follow a painter promise."""

import numpy as np
import pytest
from numpy.typing import NDArray

from renderers.bezier import RENDERER as BEZIER
from renderers.bezier import Config as BezierConfig
from renderers.bezier.along import APART, under_paintings
from renderers.brush import RENDERER as BRUSH
from renderers.brush import Config as BrushConfig
from renderers.brush.stroke import FAR_RED
from renderers.distance import canvas_distances
from renderers.family import Renderer
from renderers.pace import by_logarithm, by_strokes
from renderers.painting import Image, Painting, StrokeProgram, spaced_steps
from renderers.quality import psnr_db
from renderers.raster.ribbon import RED
from renderers.time_line import TimeLine, arrival_agreement, upsampled
from tests.renderers.pictures import landscape

SIDE = 64
LEFT = slice(0, SIDE // 2)
MEDIA = [
    pytest.param(BEZIER, BezierConfig(num_strokes=120, preset="fast"), id="bezier"),
    pytest.param(BRUSH, BrushConfig(num_strokes=120, preset="fast"), id="oil"),
    pytest.param(BRUSH, BrushConfig(medium="ink", num_strokes=120, preset="fast"), id="ink"),
]


def halves(picture: Image, blank: float = 0.8) -> NDArray[np.float32]:
    """A painter who paints the right half, then the left one: 5 frames."""
    bare = np.full_like(picture, blank)
    right = picture.copy()
    right[:, LEFT] = blank
    return np.stack([bare, (bare + right) / 2, right, (picture + right) / 2, picture])


def followed(renderer: Renderer, config: object, picture: Image, frames: NDArray[np.float32]) -> Painting:
    return renderer.follow(picture, TimeLine(frames=frames), config, np.random.SeedSequence(0))


@pytest.mark.parametrize(("renderer", "config"), MEDIA)
def test_strokes_come_where_the_painter_works(renderer: Renderer, config: object) -> None:
    picture = landscape(SIDE, SIDE)
    frames = halves(picture)
    painting = followed(renderer, config, picture, frames)
    steps = spaced_steps(painting.left, 5, "distance")
    canvases = np.stack(list(renderer.replay(painting.program, steps)))
    least = 0.3 if getattr(config, "medium", None) == "ink" else 0.5  # ink cannot take back what it laid beside
    assert arrival_agreement(canvases, frames) > least
    half_way = np.abs(canvases[2] - canvases[-1]).mean((0, 2))
    assert half_way[LEFT].mean() > 2 * half_way[SIDE // 2 :].mean()


@pytest.mark.parametrize(("renderer", "config"), MEDIA)
def test_every_frame_is_nearer_to_the_finished_painting(renderer: Renderer, config: object) -> None:
    picture = landscape(SIDE, SIDE)
    painting = followed(renderer, config, picture, halves(picture))
    canvases = list(renderer.replay(painting.program, spaced_steps(painting.left, 8, "distance")))
    assert (np.diff(canvas_distances(list(canvases), canvases[0])) < 0).all()


def test_a_painters_order_costs_little_of_the_finished_picture() -> None:
    picture = landscape(SIDE, SIDE)
    config = BezierConfig(num_strokes=200)
    painting = followed(BEZIER, config, picture, halves(picture))
    (finished,) = BEZIER.replay(painting.program, [200])
    (own,) = BEZIER.replay(BEZIER.plan(picture, config, np.random.SeedSequence(0)), [200])
    assert psnr_db(finished, picture) > psnr_db(own, picture) - 2.5


@pytest.mark.parametrize(("renderer", "config"), MEDIA)
def test_what_was_finished_before_stays_and_is_stored_with_the_strokes(renderer: Renderer, config: object) -> None:
    picture = landscape(SIDE, SIDE)
    frames = halves(picture)[2:]
    time_line = TimeLine(frames=frames, begun=frames[0])
    painting = renderer.follow(picture, time_line, config, np.random.SeedSequence(0))
    program = StrokeProgram.from_bytes(painting.program.to_bytes())
    begun, finished = renderer.replay(program, [0, len(program.strokes)])
    assert np.abs(begun - frames[0]).max() < 0.003
    changed = np.abs(finished - begun).mean((0, 2))
    assert changed[LEFT].mean() > 4 * changed[SIDE // 2 + 4 :].mean()


def test_following_is_deterministic() -> None:
    picture = landscape(SIDE, SIDE)
    config = BezierConfig(num_strokes=60, preset="fast")
    one, other = (followed(BEZIER, config, picture, halves(picture)).program.to_bytes() for _ in range(2))
    assert one == other


def test_a_damaged_picture_beside_a_program_is_named() -> None:
    picture = landscape(SIDE, SIDE)
    program = followed(BEZIER, BezierConfig(num_strokes=20, preset="fast"), picture, halves(picture)).program
    damaged = StrokeProgram(**{**vars(program), "arrays": {"begun": np.arange(9, dtype=np.uint8)}})
    with pytest.raises(ValueError, match="begun on is damaged"):
        next(iter(BEZIER.replay(damaged, [0])))


def test_no_stroke_of_oil_has_a_colour_that_is_wanted_nowhere() -> None:
    """Strokes that others soon cover are seen until then: cyan and magenta among greys and browns."""
    picture = landscape(SIDE, SIDE)
    frames = halves(picture)
    config = BrushConfig(medium="oil", num_strokes=200, preset="fast")
    strokes = followed(BRUSH, config, picture, frames).program.strokes
    canvas = np.array(config.canvas, np.float32)
    wanted = np.concatenate([frames.reshape(-1, 3)[::7], picture.reshape(-1, 3), canvas[None]])
    for colour in np.concatenate([strokes[:, RED : RED + 3], strokes[:, FAR_RED : FAR_RED + 3]]):
        assert np.linalg.norm(wanted - colour, axis=1).min() < 0.2


def test_the_last_state_is_the_picture_and_progress_never_falls() -> None:
    picture = landscape(SIDE, SIDE)
    time_line = TimeLine(frames=halves(picture))
    states = time_line.states(picture)
    assert len(states) == 4
    assert states[-1] is picture
    assert (np.diff(time_line.progress, axis=0) >= 0).all()
    assert time_line.arrival[:, LEFT].mean() > time_line.arrival[:, SIDE // 2 :].mean() + 0.3


def test_a_small_field_gets_the_edges_of_the_picture() -> None:
    guide = np.zeros((64, 64, 3), np.float32)
    guide[:, 30:] = 1.0
    small = np.ascontiguousarray(guide[4::8, 4::8, :1])
    grown = upsampled(small, guide)
    assert grown.shape == (64, 64, 1)
    assert grown[:, 30].mean() - grown[:, 29].mean() > 0.5


def test_canvases_on_their_way_are_compared_with_the_state_that_comes_next_and_often() -> None:
    after, compared = under_paintings(np.array([400, 500, 1000]))
    assert {399, 499} < set(after.tolist())
    assert np.diff([0, *after, 1000]).max() <= APART * 1000 + 1
    assert compared == np.searchsorted([400, 500, 1000], after + 1).tolist()


def test_a_block_in_of_many_strokes_takes_as_long_as_any_doubling_after_it() -> None:
    left = by_logarithm(np.linspace(1.0, 0.0, 71), block_in=1 / 7)
    np.testing.assert_allclose(left[[10, 30, 70]], [2 / 3, 1 / 3, 0])


def test_every_stroke_takes_as_long_as_any_other_and_time_stands_still_at_one_that_leads_away() -> None:
    np.testing.assert_allclose(by_strokes(np.array([1.0, 0.9, 0.95, 0.2, 0.0])), [1, 0.75, 0.75, 0.25, 0])


def test_agreement_is_that_of_the_same_process_and_against_the_opposite_one() -> None:
    picture = landscape(SIDE, SIDE)
    frames = halves(picture)
    mirrored = halves(np.ascontiguousarray(picture[:, ::-1]))[:, :, ::-1]
    assert arrival_agreement(frames, frames) > 0.999
    assert arrival_agreement(mirrored, frames) < 0
