"""What scenes with a subject that stands alone promise."""

import re
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from conf.compose import compose as composed
from conf.errors import ConfigError
from pipelines.sources.framing import Framing
from pipelines.sources.scenes import ScenesSource
from pipelines.sources.scenes.caption import caption
from pipelines.sources.scenes.composition import compose
from pipelines.sources.scenes.description import Outdoors, Scene
from pipelines.sources.scenes.drawing import draw
from pipelines.sources.scenes.portrait import SUBJECTS, portrait
from pipelines.sources.source import ComputedPictures
from pipelines.synthesis.config import synth_config
from pipelines.synthesis.plan import make_plan
from tests.pipelines.sources.test_scenes import KINDS, coloured_nouns, label_name, nearest_colour

SMALL = Framing(height_px=96, width_px=96)


def scenes(count: int, kinds: tuple[str, ...] = KINDS) -> list[Scene]:
    return [compose(7, index, kinds) for index in range(count)]


def named(scene: Scene) -> NDArray[np.str_]:
    """(96, 96) names of the things that are visible."""
    truth = draw(scene, 96, 96).truth
    assert truth is not None
    return np.array(truth.names)[truth.labels]


def test_one_thing_is_left_and_it_is_the_subject() -> None:
    for scene in scenes(200):
        alone = portrait(scene)
        assert len(alone.things) == min(1, len(scene.things))
        if scene.things:
            assert (alone.things[0].kind, alone.things[0].colour) == (scene.things[0].kind, scene.things[0].colour)
            assert alone.things[0].part_name == scene.things[0].part_name
        else:
            assert alone == scene


@pytest.mark.parametrize("kind", KINDS)
def test_it_stands_large_in_the_middle(kind: str) -> None:
    source = ScenesSource(seed=4, kinds=(kind,), alone=True)
    spans = []
    for index in range(40):
        if not source.scene(index).things:
            continue
        rows, columns = np.nonzero(named(source.scene(index)) != named(replace(source.scene(index), things=())))
        spans.append(max(np.ptp(rows), np.ptp(columns)) / 96)
        assert abs((columns.min() + columns.max()) / 2 / 96 - 0.5) < 0.15, source.entry(index).caption
        cut = (rows == 0) | (rows == 95) | (columns == 0) | (columns == 95)
        assert cut.mean() < 0.02, source.entry(index).caption
    assert np.median(spans) > 0.5 and min(spans) > 0.2


def test_words_about_it_are_true() -> None:
    source = ScenesSource(seed=11, alone=True)
    for index in range(60):
        entry = source.entry(index)
        picture = source.load(entry, SMALL)
        assert picture.truth is not None and entry.caption is not None
        assert not re.search(r"\b(two|three|four|five)\b", entry.caption)
        for colour, noun in coloured_nouns(entry.caption):
            name = label_name(colour, noun, picture.truth.names)
            if name is None and colour == "orange":
                name = "orange"  # the fruit
            assert name in picture.truth.names, (entry.caption, picture.truth.names)
            labels = [label for label, other in enumerate(picture.truth.names) if other == name]
            seen = picture.image[np.isin(picture.truth.labels, labels)].mean(0)
            assert nearest_colour(seen) == colour, (entry.caption, name, seen)


def test_the_sun_that_words_name_is_not_behind_it() -> None:
    told = 0
    for index in range(300):
        source = ScenesSource(seed=2, alone=True)
        scene = source.scene(index)
        if isinstance(scene.place, Outdoors) and scene.place.sky.body == "sun" and "sun" in caption(scene):
            truth = source.load(source.entry(index), SMALL).truth
            assert truth is not None and "sun" in truth.names
            told += 1
    assert told > 5


def test_it_is_another_picture_with_a_name_of_its_own() -> None:
    whole, alone = ScenesSource(seed=3), ScenesSource(seed=3, alone=True)
    assert whole.entry(5).id == "scenes/3/5" and alone.entry(5).id == "scenes/3/5/alone"
    assert whole.entry(5).sha256 != alone.entry(5).sha256


@pytest.mark.parametrize("subject", SUBJECTS)
def test_whatever_is_asked_for_as_a_subject_stands_alone_and_is_named(subject: str) -> None:
    source = ScenesSource(seed=6, alone=True, subjects=(subject,))
    for index in range(12):
        scene = source.scene(index)
        assert subject in caption(scene), caption(scene)
        if subject == "mountains":
            assert not scene.things
            shown = np.char.find(named(scene), subject) >= 0
        else:
            assert [thing.kind for thing in scene.things] == [subject]
            shown = named(scene) != named(replace(scene, things=()))
        assert shown.mean() > 0.02, (caption(scene), shown.mean())


def test_subjects_come_by_turns_and_do_not_depend_on_the_others() -> None:
    everything = ScenesSource(seed=6, alone=True, subjects="all")
    shown = [subject_of(everything, index) for index in range(3 * len(SUBJECTS))]
    rounds = [shown[first : first + len(SUBJECTS)] for first in range(0, len(shown), len(SUBJECTS))]
    assert all(set(one) == set(SUBJECTS) for one in rounds) and rounds[0] != rounds[1] != rounds[2]
    few = ScenesSource(seed=6, alone=True, subjects=("cow", "pine tree"))
    place = next(place for place in range(20 * len(SUBJECTS)) if both_show(everything, few, place, "pine tree"))
    assert few.entry(place).id == everything.entry(place).id == f"scenes/6/{place}/alone/pine-tree"
    assert few.entry(place).sha256 == everything.entry(place).sha256
    assert few.scene(place) == everything.scene(place)
    assert len({everything.entry(index).caption for index in range(200)}) > 190


@pytest.mark.parametrize("subjects", [("cow", "sheep"), ("cow", "sheep", "horse", "dog"), tuple(SUBJECTS)[:5]])
@pytest.mark.parametrize("renderer", ["manners", "mix"])
def test_every_subject_is_painted_in_every_manner(subjects: tuple[str, ...], renderer: str) -> None:
    count = 60 * len(subjects)
    words = ["source.alone=true", f"source.subjects=[{','.join(subjects)}]", f"renderer={renderer}", "out=a"]
    config = synth_config(composed("synth", [*words, f"num_sequences={count}"]))
    entries = config.source.index(count)
    plan = make_plan(entries, [choice.weight for choice in config.renderers], count, None, 0.0)
    met = Counter(
        (sequence.entry.id.split("/")[-1], sequence.renderer) for shard in plan.shards() for sequence in shard.sequences
    )
    assert len(met) == len(subjects) * len(config.renderers) and min(met.values()) > 60 / len(config.renderers) / 3


def test_subjects_are_those_that_the_kinds_of_scenes_have() -> None:
    assert ScenesSource(alone=True, subjects="all", kinds=("figure",)).subjects == (
        "person", "dog", "cat", "horse", "cow", "sheep",
    )  # fmt: skip


@pytest.mark.parametrize(
    "keys",
    [
        {"subjects": "all"},
        {"subjects": ("cow",)},
        {"alone": True, "subjects": ()},
        {"alone": True, "subjects": ("unicorn",)},
        {"alone": True, "subjects": ("cow", "cow")},
        {"alone": True, "subjects": ("cow",), "kinds": ("boat",)},
        {"alone": True, "subjects": "cow"},
    ],
)
def test_other_subjects_are_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="subjects"):
        ScenesSource(**keys)


def test_what_was_begun_before_there_were_subjects_goes_on() -> None:
    before = "scenes-1 ScenesSource(seed=3, num_pictures=64, kinds=('boat',), alone=True, wording='plain') from 0"
    assert _series(None).formula == before
    assert len({before, _series(("sailboat",)).formula, _series(("rowing boat",)).formula}) == 3
    recipe = synth_config(composed("synth", ["source.alone=true", "out=a"])).recipe()["source"]
    assert recipe.keys() == {"kind", "seed", "num_pictures", "kinds", "alone"}
    asked_for = synth_config(composed("synth", ["source.alone=true", "source.subjects=[cow]", "out=a"])).recipe()
    assert asked_for["source"]["subjects"] == ["cow"]


def subject_of(source: ScenesSource, index: int) -> str:
    return source.entry(index).id.split("/")[-1].replace("-", " ")


def both_show(one: ScenesSource, other: ScenesSource, index: int, subject: str) -> bool:
    return subject_of(one, index) == subject_of(other, index) == subject


def _series(subjects: tuple[str, ...] | None) -> ComputedPictures:
    series = ScenesSource(seed=3, kinds=("boat",), alone=True, subjects=subjects).index(8)
    assert isinstance(series, ComputedPictures)
    return series
