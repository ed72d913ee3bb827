"""What the classifier of scenes promises: true labels, a fair rule, and that it learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.scene_classifier import Reading, SceneClassifier, equal_error, subjects_found, train_classifier
from benchmarks.scene_pictures import SUBJECTS, Subject, drawings, labels_of, main_thing, scene_of, subject_of
from pipelines.sources.scenes.caption import caption
from pipelines.sources.scenes.description import Scene, promised_colour
from pipelines.sources.scenes.palette import COLOURS
from pipelines.sources.scenes.source import ScenesSource

SCENES = [scene_of(f"scenes/0/{index}") for index in range(400)]


def scene_with(kind: str, *things: tuple[str, str, float], of: str = "building") -> Scene:
    """A scene with things of these kinds, colours and sizes."""
    there = next(scene for scene in SCENES if any(thing.kind == kind for thing in scene.things))
    model = there.things[0]
    made = tuple(replace(model, kind=one, colour=colour, size=size) for one, colour, size in things)
    return replace(there, kind=of, things=made)


def reading_of(kinds: dict[str, float], colours: dict[str, str]) -> Reading:
    """The reading of one picture: the logits of kinds, -5 by default, and the likeliest colour of some kinds."""
    presence = torch.full((1, len(SUBJECTS)), -5.0)
    shades = torch.zeros(1, len(SUBJECTS), len(COLOURS))
    for kind, logit in kinds.items():
        presence[0, SUBJECTS.index(kind)] = logit
    for kind, colour in colours.items():
        shades[0, SUBJECTS.index(kind), COLOURS.index(colour)] = 3.0
    return Reading(kinds=presence, colours=shades)


def test_a_source_id_gives_its_scene_again() -> None:
    source = ScenesSource(seed=3)
    assert caption(scene_of("scenes/3/17")) == source.entry(17).caption
    alone = ScenesSource(seed=3, alone=True)
    assert caption(scene_of(alone.entry(17).id)) == alone.entry(17).caption
    asked_for = ScenesSource(seed=3, alone=True, subjects="all")
    for index in range(40):
        assert caption(scene_of(asked_for.entry(index).id)) == asked_for.entry(index).caption
    with pytest.raises(ValueError, match=r"boat\.png"):
        scene_of("boat.png")


def test_the_main_thing_is_the_subject_or_the_tallest_thing_of_a_landscape() -> None:
    things = (("bush", "green", 0.16), ("house", "red", 0.4))
    at_home, ashore = scene_with("house", *things), scene_with("house", *things, of="landscape")
    assert subject_of(at_home) == Subject("bush", "green")
    assert subject_of(ashore) == Subject("house", "red")
    two = scene_with("house", ("house", "red", 0.2), ("house", "red", 0.4), ("tree", "green", 0.9))
    main = main_thing(two)
    assert main is not None and (main.kind, main.size) == ("house", 0.4)


def test_a_scene_has_no_subject_when_it_could_be_one_of_several() -> None:
    assert subject_of(scene_with("house", ("house", "red", 0.4), ("house", "blue", 0.3))) is None
    assert subject_of(replace(SCENES[0], things=())) is None


def test_every_subject_is_named_by_its_caption_with_its_colour() -> None:
    subjects = [(scene, subject_of(scene)) for scene in SCENES]
    named = [(scene, subject) for scene, subject in subjects if subject is not None]
    assert len(named) > 0.8 * len(SCENES)
    for scene, subject in named:
        thing = main_thing(scene)
        assert thing is not None and promised_colour(thing.name) == subject.colour
        assert subject.kind in SUBJECTS and subject.colour in COLOURS
        assert (subject.kind if subject.kind != "person" else thing.clothing) in caption(scene)
        assert subject.colour in caption(scene)


def test_labels_say_what_is_there_and_leave_out_colours_that_nobody_could_tell() -> None:
    labels = labels_of(scene_with("house", ("house", "red", 0.4), ("house", "blue", 0.3), ("tree", "pink", 0.3)))
    assert labels[SUBJECTS.index("house")].tolist() == [1, -1]
    assert labels[SUBJECTS.index("tree")].tolist() == [1, COLOURS.index("pink")]
    assert labels[:, 0].sum() == 2 and labels[SUBJECTS.index("cat")].tolist() == [0, -1]


def test_a_thing_is_found_whatever_else_is_there_but_only_in_its_own_colour() -> None:
    reading = reading_of({"house": 2.0, "tree": 6.0}, {"house": "red", "tree": "green"})

    def verdict(kind: str, colour: str) -> tuple[bool, bool]:
        kinds, colours = subjects_found(reading, [Subject(kind, colour)], threshold=0.0)
        return bool(kinds), bool(colours)

    assert verdict("house", "red") == (True, True)
    assert verdict("house", "green") == (True, False)
    assert verdict("cat", "red")[0] is False
    assert bool(subjects_found(reading, [Subject("house", "red")], threshold=3.0)[0]) is False
    assert reading.words(0) == Subject("tree", "green")


def test_the_threshold_misses_as_many_as_it_sees_wrongly() -> None:
    generator = torch.Generator().manual_seed(0)
    there = torch.rand(20_000, generator=generator) < 0.1
    logits = torch.randn(20_000, generator=generator) + 2 * there
    threshold, error = equal_error(logits, there)
    assert (logits[there] <= threshold).float().mean() == pytest.approx(error, abs=0.01)
    assert (logits[~there] > threshold).float().mean() == pytest.approx(error, abs=0.01)
    assert threshold == pytest.approx(1.0, abs=0.1)  # half-way between two equal normal distributions
    assert equal_error(torch.tensor([-1.0, 1.0]), torch.tensor([False, True]))[1] == 0.0


def test_drawings_show_every_subject_as_often() -> None:
    drawn = drawings(2 * len(SUBJECTS), (32, 32), series=5)
    subjects = [subject_of(scene) for scene in drawn.scenes]
    assert {kind: sum(s is not None and s.kind == kind for s in subjects) for kind in SUBJECTS} == dict.fromkeys(
        SUBJECTS, 2
    )
    assert drawn.pictures.shape == (46, 3, 32, 32) and drawn.labels.shape == (46, len(SUBJECTS), 2)


def test_it_learns_and_is_the_same_every_time() -> None:
    frames, drawn = drawings(16, (24, 24), series=6), drawings(23, (24, 24), series=7)
    early, late = train_classifier(frames, drawn, 2), train_classifier(frames, drawn, 40)
    again = train_classifier(frames, drawn, 2).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in early.state_dict().items())

    def right(classifier: SceneClassifier) -> float:
        reading, labels = classifier.read(drawn.pictures), drawn.labels
        known = labels[..., 1] >= 0
        colours = reading.colours.argmax(-1)
        return float((colours[known] == labels[..., 1][known]).float().mean())

    assert right(late) > right(early) + 0.5
    assert not late.training and np.isfinite(float(late.threshold))
