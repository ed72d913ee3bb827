"""What every painting of the studio promises."""

import itertools
from typing import get_args

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from conf.errors import ConfigError
from renderers import families
from renderers.brush import RENDERER as OIL
from renderers.brush import Config as BrushConfig
from renderers.painting import NOTHING_KNOWN, FrameSchedule, StrokeProgram, to_uint8
from renderers.quality import psnr_db
from renderers.studio import RENDERER, Config
from renderers.studio.config import Medium
from renderers.studio.phases import CHOSEN_PHASES, OBJECT_PHASES, PHASES, WHOLE, Turns, phases_in_words
from renderers.things import Things, ThingsConfig, find_things
from tests.renderers.pictures import landscape, plain
from tests.renderers.region_scenes import scene
from tests.renderers.studio_paintings import FEW, PAINTED, awkward_pictures, painted, phase_names, turns_of

paint, replay, notes = RENDERER.paint, RENDERER.replay, RENDERER.notes

MEDIUMS: tuple[str, ...] = get_args(Medium)

scenes = st.integers(0, 20)
few = settings(max_examples=5)
AWKWARD = awkward_pictures()


def things_of(index: int) -> Things:
    """The objects of a scene that `painted` shows."""
    image, known = scene(index)
    return find_things(image, known, Config(**FEW).things, np.random.default_rng(0), {})


def test_it_is_a_family_of_renderers() -> None:
    assert "studio" in families()


@pytest.mark.parametrize("medium", MEDIUMS)
def test_same_arguments_give_the_same_bytes_and_other_seeds_others(medium: str) -> None:
    image, known = scene(3)
    programs = [
        paint(image, Config(**(FEW | {"medium": medium})), np.random.SeedSequence(seed), known=known).program.to_bytes()
        for seed in (0, 0, 1)
    ]
    assert programs[0] == programs[1]
    assert programs[0] != programs[2]


@pytest.mark.parametrize("medium", MEDIUMS)
@few
@given(index=scenes, data=st.data())
def test_a_stored_program_repaints_every_canvas(medium: str, index: int, data: st.DataObject) -> None:
    program = painted(index, medium=medium).program
    steps = sorted(data.draw(st.lists(st.integers(0, len(program.strokes)), min_size=1, max_size=4)))
    stored = StrokeProgram.from_bytes(program.to_bytes())
    assert turns_of(painted(index, medium=medium)).names == Turns.from_arrays(stored.arrays, len(stored.strokes)).names
    for one, two, step in zip(replay(program, steps), replay(stored, steps), steps, strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, next(iter(replay(program, [step]))))


def test_a_program_repaints_at_another_size() -> None:
    program = painted(2).program
    small, large = (next(iter(replay(program, [len(program.strokes)], size))) for size in ((72, 96), (288, 384)))
    assert large.shape == (288, 384, 3)
    assert psnr_db(large.reshape(72, 4, 96, 4, 3).mean((1, 3)), small) > 25


@pytest.mark.parametrize("medium", MEDIUMS)
@few
@given(index=scenes)
def test_a_drawing_comes_first_then_one_object_after_another_then_accents(medium: str, index: int) -> None:
    turns = turns_of(painted(index, medium=medium, order="salient", laid_in=0.0))
    names = phase_names(turns)
    begin = [names.index(name) for name in ("drawing", "block_in") if name in names]
    assert begin == sorted(begin)
    of_objects = [(int(label), name) for label, name in zip(turns.objects, names, strict=True) if name in OBJECT_PHASES]
    if medium != "pencil":  # which may hatch all lights of a picture before its darks
        labels = [label for label, _ in itertools.groupby(label for label, _ in of_objects)]
        assert len(labels) == len(set(labels))  # nobody's turn comes twice
        for label in labels:
            own = [OBJECT_PHASES.index(name) for its, name in of_objects if its == label]
            assert own == sorted(own)
    if "accents" in names:
        last = names.index("accents")
        assert set(names[last:]) == {"accents"}
        assert set(turns.objects[last:]) == {WHOLE}


@pytest.mark.parametrize("medium", PAINTED)
def test_some_lay_in_everything_before_they_finish_anything(medium: str) -> None:
    names = phase_names(turns_of(painted(1, medium=medium, order="salient", laid_in=1.0)))
    assert max(place for place, name in enumerate(names) if name == "block_in") < names.index("form")


@few
@given(chosen=st.sets(st.sampled_from(CHOSEN_PHASES), min_size=1), medium=st.sampled_from(MEDIUMS))
def test_only_chosen_phases_are_painted(chosen: set[str], medium: str) -> None:
    assume("drawing" in chosen or (chosen & set(OBJECT_PHASES) and medium in PAINTED))
    phases = tuple(name for name in CHOSEN_PHASES if name in chosen)
    turns = turns_of(painted(1, medium=medium, phases=phases, corrections=0.0))
    assert set(phase_names(turns)) <= chosen


def test_orders_begin_where_they_say() -> None:
    things = things_of(4)
    salient = turns_of(painted(4, order="salient", corrections=0.0))
    behind = turns_of(painted(4, order="back_to_front", corrections=0.0))
    named = turns_of(painted(4, order="user", user_order=(2,), corrections=0.0))
    first = [int(turns.objects[phase_names(turns).index("block_in")]) for turns in (salient, behind, named)]
    assert first == [int(np.argmax(things.saliency)), int(np.argmin(things.depth_rank)), 2]


def first_objects(num_seeds: int, order: str) -> set[int]:
    """Which objects paintings of one picture begin with."""
    every = (turns_of(painted(4, seed=seed, corrections=0.0, order=order)) for seed in range(num_seeds))
    return {int(turns.objects[phase_names(turns).index("block_in")]) for turns in every}


def test_mixed_deals_both_orders() -> None:
    assert len(first_objects(8, "mixed")) == 2
    assert len(first_objects(3, "salient")) == 1


@pytest.mark.parametrize("medium", PAINTED)
@few
@given(index=scenes)
def test_what_is_not_begun_stays_drawn_and_what_is_finished_is_left_alone(medium: str, index: int) -> None:
    painting, things = painted(index, medium=medium, corrections=0.0, order="back_to_front"), things_of(index)
    turns = turns_of(painting)
    names = np.array(phase_names(turns))
    of_objects = np.isin(names, OBJECT_PHASES)
    for label in np.unique(turns.objects[of_objects]):
        its = np.flatnonzero(of_objects & (turns.objects == label))
        first, end = int(np.flatnonzero(of_objects)[0]), int(np.flatnonzero(of_objects)[-1]) + 1
        drawn, before, finished, after = replay(painting.program, [first, int(its[0]), int(its[-1]) + 1, end])
        inside = things.coverages(*things.labels.shape)[int(label)] > 0.99
        if inside.mean() < 0.02:
            continue
        waiting = np.abs(before - drawn).max(-1)[inside] > 0.1
        revised = np.abs(after - finished).max(-1)[inside] > 0.1
        assert waiting.mean() < 0.35  # spill over borders
        assert revised.mean() < 0.25


@pytest.mark.parametrize("medium", MEDIUMS)
@few
@given(index=scenes, num_frames=st.integers(3, 9))
def test_frames_come_nearer_except_where_it_is_marked(medium: str, index: int, num_frames: int) -> None:
    painting = painted(index, medium=medium)
    steps = FrameSchedule(num_frames=num_frames).steps(painting.left)
    assert steps[0] == 0
    assert steps[-1] == len(painting.program.strokes)
    assert list(steps) == sorted(set(steps))
    told = notes(painting.program, steps)
    assert told[0].phase == "blank"
    for (before, after), note in zip(itertools.pairwise(painting.distances[list(steps)]), told[1:], strict=True):
        assert after <= before + 1e-9 or note.receding


def test_a_first_frame_is_the_drawing_and_the_last_is_finished() -> None:
    painting = painted(6)
    (first, *_) = notes(painting.program, FrameSchedule(num_frames=8).steps(painting.left)[1:])
    assert first.phase == "drawing"
    (finished,) = replay(painting.program, [len(painting.program.strokes)])
    image, _ = scene(6)
    assert psnr_db(finished, image) > 20


def test_accents_have_time_of_their_own() -> None:
    painting = painted(4)
    first = int(np.argmax(turns_of(painting).phases == PHASES.index("accents")))
    assert 0.09 < painting.left[first] <= 0.13


def painted_outside(spill: float) -> float:
    """Share of the canvas that the first object's turn changes beside the object itself."""
    painting = painted(4, order="back_to_front", corrections=0.0, phases=("block_in", "form", "detail"), spill=spill)
    objects = turns_of(painting).objects
    first = int(objects[0])
    blank, done = replay(painting.program, [0, int(np.flatnonzero(objects == first)[-1]) + 1])
    beside = things_of(4).coverages(*things_of(4).labels.shape)[first] < 0.01
    return float((np.abs(done - blank).max(-1)[beside] > 0.1).mean())


def test_paint_goes_over_borders_as_far_as_asked() -> None:
    assert painted_outside(0.05) > painted_outside(0.0) + 0.02


def test_oil_of_the_studio_is_nearly_as_like_as_oil() -> None:
    image = landscape(128, 128)
    ours = paint(image, Config(num_strokes=200), np.random.SeedSequence(0)).program
    oil = OIL.paint(image, BrushConfig(num_strokes=200), np.random.SeedSequence(0)).program
    (studio,), (plain_oil,) = (replay(ours, [len(ours.strokes)]), OIL.replay(oil, [len(oil.strokes)]))
    assert psnr_db(studio, image) > psnr_db(plain_oil, image) - 2.5


def test_watercolour_reserves_the_lightest_paper() -> None:
    image = plain(64, 64, (0.3, 0.4, 0.6))
    image[20:44, 20:44] = 1.0
    program = paint(image, Config(**FEW, medium="watercolour"), np.random.SeedSequence(0)).program
    bare, finished = replay(program, [0, len(program.strokes)])
    middle = np.s_[28:36, 28:36]
    assert np.abs(finished[middle] - bare[middle]).mean() < 0.02


@pytest.mark.parametrize("light", [(0.48, 0.33, 0.26), (0.95, 0.8, 0.1), (0.3, 0.3, 0.3)])
def test_watercolour_paints_lights_that_paper_does_not_resemble(light: tuple[float, float, float]) -> None:
    """What is lightest in a dim picture, or light in a strong colour, is no more than itself."""
    image = plain(64, 64, (0.09, 0.08, 0.1))
    image[24:40, 24:40] = light
    program = paint(image, Config(**FEW, medium="watercolour"), np.random.SeedSequence(0)).program
    (finished,) = replay(program, [len(program.strokes)])
    assert np.abs(finished[28:36, 28:36].mean((0, 1)) - light).max() < 0.12


def test_pencil_is_grey_and_draws_from_light_to_dark() -> None:
    program = painted(5, medium="pencil").program
    (finished,) = replay(program, [len(program.strokes)])
    assert np.ptp(finished - np.array(program.canvas), axis=-1).max() < 0.12
    luma = [float(canvas.mean()) for canvas in replay(program, range(0, len(program.strokes) + 1, 20))]
    assert luma == sorted(luma, reverse=True)


@pytest.mark.parametrize("medium", MEDIUMS)
@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_pictures_are_painted(medium: str, name: str) -> None:
    image = AWKWARD[name]
    painting = paint(image, Config(**(FEW | {"medium": medium})), np.random.SeedSequence(0), known=NOTHING_KNOWN)
    steps = FrameSchedule(num_frames=5).steps(painting.left)
    canvases = list(replay(painting.program, steps))
    assert all(canvas.shape == image.shape and np.isfinite(canvas).all() for canvas in canvases)
    assert len(notes(painting.program, steps)) == 5
    assert painting.distances[-1] == 0.0
    if medium in ("oil", "digital") and name not in ("hundreds of specks", "noise", "text", "line art"):
        assert psnr_db(canvases[-1], image) > 18


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"medium": "fresco"}, "medium=fresco: not allowed; allowed: one of oil, ink, pencil, watercolour, digital"),
        ({"order": "random"}, "order=random"),
        ({"order": "user"}, "user_order=[]"),
        ({"user_order": (1,)}, "user_order=[1]"),
        ({"order": "user", "user_order": ((2.0, 0.5),)}, "user_order="),
        ({"phases": ("varnish",)}, "some of ground, drawing, block_in, form, detail, accents, in this order"),
        ({"phases": ("form", "drawing")}, "in this order"),
        ({"phases": ("form", "form")}, "in this order"),
        ({"phases": ()}, "phases=[]"),
        ({"num_strokes": 49}, "50 to 5000"),
        ({"num_lines": 9}, "10 to 5000"),
        ({"accents": 0.6}, "0 to 0.5"),
        ({"corrections": -0.1}, "0 to 1"),
        ({"spill": 0.06}, "0 to 0.05"),
        ({"toned": 1.5}, "0 to 1"),
        ({"laid_in": -0.5}, "0 to 1"),
        ({"canvas": (1.0, 2.0, 0.0)}, "three numbers from 0 to 1"),
        ({"preset": "slow"}, "one of fast, std, best"),
    ],
    ids=str,
)
def test_wrong_keys_are_refused_in_one_line(keys: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config(**keys)  # type: ignore[arg-type]
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_object_that_is_not_there_is_refused() -> None:
    image, known = scene(1)
    config = Config(**FEW, order="user", user_order=(200,))
    with pytest.raises(ConfigError, match="user_order=200"):
        paint(image, config, np.random.SeedSequence(0), known=known)


def test_truth_needs_a_source_that_knows_it() -> None:
    config = Config(things=ThingsConfig(method="truth"))
    with pytest.raises(ConfigError, match=r"things\.method=truth"):
        RENDERER.check_source(config, brings_labels=False)
    RENDERER.check_source(config, brings_labels=True)


@pytest.mark.parametrize("name", ["phases", "objects", "names"])
def test_a_program_without_its_turns_is_refused(name: str) -> None:
    program = painted(1).program
    arrays = {key: array for key, array in program.arrays.items() if key != name}
    with pytest.raises(ValueError, match=name):
        Turns.from_arrays(arrays, len(program.strokes))


def test_turns_of_other_strokes_are_refused() -> None:
    program = painted(1).program
    with pytest.raises(ValueError, match="not those of its strokes"):
        Turns.from_arrays(program.arrays, len(program.strokes) - 1)


@pytest.mark.parametrize("medium", MEDIUMS)
def test_every_medium_has_a_phrase_of_its_own(medium: str) -> None:
    others = {RENDERER.phrase(Config(medium=other)) for other in MEDIUMS if other != medium}  # type: ignore[arg-type]
    phrase = RENDERER.phrase(Config(medium=medium))  # type: ignore[arg-type]
    assert phrase
    assert phrase not in others


def test_a_painting_in_some_phases_is_said_to_be_one() -> None:
    """Each choice in its own words, none of which ends with another's."""
    whole = RENDERER.phrase(Config())
    chosen = [phases for count in range(1, 7) for phases in itertools.combinations(CHOSEN_PHASES, count)]
    words = {phases: phases_in_words(phases) for phases in chosen}
    assert words.pop(CHOSEN_PHASES) == ""
    assert RENDERER.phrase(Config(phases=("drawing", "block_in"))) == f"{whole}, drawing and block-in only"
    for one, other in itertools.permutations(words.values(), 2):
        assert not f"{whole}, {one}".endswith(f", {other}")


def test_frames_tell_what_is_being_done() -> None:
    painting = painted(1)
    turns = turns_of(painting)
    step = phase_names(turns).index("block_in") + 1
    (note,) = notes(painting.program, [step])
    assert note.doing == f"blocking in {turns.names[int(turns.objects[step - 1])]}"
    assert to_uint8(next(iter(replay(painting.program, [0])))).shape == (72, 96, 3)
