"""What a painting of the studio promises that follows a painter."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from conf.errors import ConfigError
from renderers.painting import Image, Painting, spaced_steps
from renderers.studio import RENDERER, Config
from renderers.studio.config import Medium
from renderers.studio.phases import CHOSEN_PHASES, OBJECT_PHASES, PHASES, Phase
from renderers.studio.sittings import in_order_of_beginnings, in_order_of_endings, sittings_along
from renderers.things import Things
from renderers.time_line import TimeLine
from tests.renderers.pictures import plain
from tests.renderers.studio_paintings import FEW, turns_of

SIDE = 64
LEFT, RIGHT = (slice(None), slice(0, SIDE // 2)), (slice(None), slice(SIDE // 2, SIDE))
BARE = 0.8
SEED = np.random.SeedSequence(0)


def two_halves() -> Image:
    """Red on the left, blue on the right."""
    picture = plain(SIDE, SIDE, (0.7, 0.15, 0.1))
    picture[RIGHT] = (0.1, 0.2, 0.6)
    return picture


def painted_after(first: tuple[slice, slice]) -> NDArray[np.float32]:
    """A painter who paints one half, then the other: 5 frames."""
    picture, half = two_halves(), np.full((SIDE, SIDE, 3), BARE, np.float32)
    half[first] = picture[first]
    bare = np.full_like(picture, BARE)
    return np.stack([bare, (bare + half) / 2, half, (half + picture) / 2, picture]).astype(np.float32)


def followed(frames: NDArray[np.float32], begun: Image | None = None, **keys: object) -> Painting:
    time_line = TimeLine(frames=frames, begun=begun)
    return RENDERER.follow(two_halves(), time_line, Config(**(FEW | {"toned": 0.0} | keys)), SEED)


def middles(painting: Painting, phase: Phase) -> NDArray[np.float32]:
    """(n,) columns of the middle points of all strokes of a phase, in painting order; lengths of the canvas."""
    of_phase = turns_of(painting).phases == PHASES.index(phase)
    columns: NDArray[np.float32] = painting.program.strokes[of_phase][:, 2]
    return columns


@pytest.mark.parametrize("first", [LEFT, RIGHT])
@pytest.mark.parametrize("phase", ["block_in", "form"])
def test_objects_have_their_turns_when_the_painter_paints_them(first: tuple[slice, slice], phase: Phase) -> None:
    is_left = middles(followed(painted_after(first)), phase) < 0.5
    assert is_left[: len(is_left) // 3].all() if first is LEFT else not is_left[: len(is_left) // 3].any()
    assert 0.2 < is_left.mean() < 0.8


def test_an_order_of_its_own_is_kept() -> None:
    followed_anyway = followed(painted_after(RIGHT), order="salient", corrections=1.0)
    config = Config(**(FEW | {"toned": 0.0, "order": "salient", "corrections": 0.0}))
    alone = RENDERER.paint(two_halves(), config, SEED)
    assert followed_anyway.program.to_bytes() == alone.program.to_bytes()


@pytest.mark.parametrize("medium", ["oil", "ink", "pencil", "watercolour", "digital"])
def test_every_medium_follows_with_all_its_phases_and_the_same_bytes_again(medium: str) -> None:
    paintings = [followed(painted_after(LEFT), medium=medium, accents=0.1) for _ in range(2)]
    assert paintings[0].program.to_bytes() == paintings[1].program.to_bytes()
    phases = {PHASES[place] for place in turns_of(paintings[0]).phases}
    assert set(OBJECT_PHASES) <= phases and "correction" not in phases


def test_a_drawing_alone_may_be_hatched() -> None:
    painting = followed(painted_after(LEFT), phases=("drawing",), hatching=True)
    assert {PHASES[place] for place in turns_of(painting).phases} == {"drawing"}


@pytest.mark.parametrize("phases", [("drawing",), ("block_in",), ("drawing", "form", "accents")])
def test_phases_can_be_left_out(phases: tuple[Phase, ...]) -> None:
    painting = followed(painted_after(RIGHT), phases=phases)
    assert {PHASES[place] for place in turns_of(painting).phases} == set(phases)


def test_what_is_finished_stays_and_what_is_bare_is_painted() -> None:
    begun = np.full((SIDE, SIDE, 3), BARE, np.float32)
    begun[LEFT] = two_halves()[LEFT]
    painting = followed(painted_after(LEFT)[2:], begun)
    first, last = RENDERER.replay(painting.program, [0, len(painting.program.strokes)])
    np.testing.assert_allclose(first, begun, atol=1 / 255)
    finished = (slice(None), slice(0, SIDE // 2 - 6))
    assert np.abs(last - begun)[finished].mean() < 0.02
    assert np.abs(last - two_halves())[RIGHT].mean() < 0.05
    assert not (turns_of(painting).phases == PHASES.index("ground")).any()


def test_a_finished_painting_may_be_begun_on() -> None:
    frames = np.repeat(two_halves()[None], 3, 0)
    painting = followed(frames, two_halves())
    *_, last = RENDERER.replay(painting.program, [len(painting.program.strokes)])
    assert np.abs(last - two_halves()).mean() < 0.02


@pytest.mark.parametrize(
    ("medium", "goes_on"), [("oil", True), ("digital", True), ("ink", False), ("watercolour", False), ("pencil", False)]
)
def test_only_paint_that_covers_goes_on_from_an_unfinished_picture(medium: Medium, goes_on: bool) -> None:
    config = Config(medium=medium)
    assert RENDERER.follows(config) and RENDERER.follows(config, begun=True) is goes_on


def test_a_painter_may_block_in_all_before_finishing_anything() -> None:
    labels = np.repeat(np.array([[0, 1]], np.uint16), SIDE // 2, 1).repeat(SIDE, 0)
    nothing = np.zeros(2, np.float32)
    things = Things(
        labels=labels, saliency=nothing, areas_px=np.array([1, 1]), detail=nothing, depth_rank=np.arange(2),
        names=("left", "right"),
    )  # fmt: skip
    picture, bare = two_halves(), np.full((SIDE, SIDE, 3), BARE, np.float32)
    most = 0.3 * bare + 0.7 * picture
    right, both, right_done = bare.copy(), most.copy(), most.copy()
    right[RIGHT], right_done[RIGHT] = most[RIGHT], picture[RIGHT]
    frames = np.stack([bare, right, both, right_done, picture]).astype(np.float32)
    sittings = sittings_along(things, TimeLine(frames=frames), ("block_in", "form", "detail"))
    rest = ("form", "detail")
    assert sittings == [(1, ("block_in",)), (0, ("block_in",)), (1, rest), (0, rest)]
    assert in_order_of_beginnings(sittings) == in_order_of_endings(sittings) == (1, 0)


@pytest.mark.parametrize("first", [LEFT, RIGHT])
def test_hatching_in_pencil_keeps_to_the_painter_as_well(first: tuple[slice, slice]) -> None:
    painting = followed(painted_after(first), medium="pencil", num_strokes=200)
    turns = turns_of(painting)
    hatching = turns.phases != PHASES.index("drawing")
    is_left = painting.program.strokes[hatching][:, 2] < 0.5
    tenth = len(is_left) // 10
    assert is_left[:tenth].all() if first is LEFT else not is_left[:tenth].any()


def test_pencil_keeps_to_an_order_that_a_user_gives() -> None:
    for place, is_first in (((0.2, 0.5), True), ((0.8, 0.5), False)):
        config = Config(**(FEW | {"medium": "pencil", "order": "user", "user_order": (place,), "num_strokes": 200}))
        painting = RENDERER.paint(two_halves(), config, SEED)
        hatching = turns_of(painting).phases != PHASES.index("drawing")
        assert (painting.program.strokes[hatching][0, 2] < 0.5) is np.bool_(is_first)


def test_what_others_finished_is_spared_whoever_was_begun_first() -> None:
    """Left is begun first and finished last; right, which is finished by then, is not painted over at the border."""
    picture, bare = two_halves(), np.full((SIDE, SIDE, 3), BARE, np.float32)
    begun, both, right_done = bare.copy(), 0.3 * bare + 0.7 * picture, 0.3 * bare + 0.7 * picture
    begun[LEFT] = both[LEFT]
    right_done[RIGHT] = picture[RIGHT]
    frames = np.stack([bare, begun, both, right_done, picture]).astype(np.float32)
    painting = followed(frames, accents=0.0, phases=("block_in", "form", "detail"), spill=0.05)
    *_, last = RENDERER.replay(painting.program, [len(painting.program.strokes)])
    beyond = last[:, SIDE // 2 + 1 : SIDE // 2 + 4]
    assert (beyond[..., 2] > beyond[..., 0]).mean() > 0.9


def test_frames_show_how_a_painting_that_is_blocked_in_at_once_is_finished() -> None:
    picture, bare = two_halves(), np.full((SIDE, SIDE, 3), BARE, np.float32)
    frames = np.stack([bare, 0.3 * bare + 0.7 * picture, 0.25 * bare + 0.75 * picture, picture]).astype(np.float32)
    painting = followed(frames, num_strokes=300)
    notes = RENDERER.notes(painting.program, spaced_steps(painting.left, 10, "distance"))
    assert sum(note.phase in ("form", "detail") for note in notes) >= 2


@pytest.mark.parametrize(
    "keys",
    [
        {"medium": "pencil", "phases": ("block_in",)},
        {"phases": ("accents",), "accents": 0.0},
        {"medium": "ink", "phases": ("ground",), "toned": 0.0},
    ],
)
def test_phases_of_which_nothing_is_painted_are_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="phases="):
        Config(**keys)


def test_the_first_frame_of_a_completion_is_the_unfinished_picture() -> None:
    begun = np.full((SIDE, SIDE, 3), BARE, np.float32)
    painting = followed(painted_after(LEFT)[2:], begun)
    first, *_ = RENDERER.notes(painting.program, [0, 5])
    assert (first.phase, first.doing) == ("begun", "the unfinished picture")


def test_phases_without_objects_have_sittings_in_which_nothing_is_done() -> None:
    assert set(CHOSEN_PHASES) > set(OBJECT_PHASES)
    painting = followed(painted_after(LEFT), phases=("ground", "accents"), toned=1.0)
    assert set(np.unique(turns_of(painting).objects)) == {-1}
