"""What the benchmark of words promises."""

import torch

from benchmarks.scene_classifier import Reading
from benchmarks.scene_pictures import SUBJECTS, Subject, scene_of
from benchmarks.words import chance, judged_sheet, missed_most, unseen_prompts
from pipelines.sources.scenes.caption import caption
from pipelines.sources.scenes.palette import COLOURS

PHRASES = ("painted in oil", "painted with translucent strokes")


def reading_of(subjects: list[Subject]) -> Reading:
    """The reading of pictures that each show only one thing."""
    kinds, colours = torch.full((len(subjects), len(SUBJECTS)), -5.0), torch.zeros(len(subjects), len(SUBJECTS), 12)
    for row, subject in enumerate(subjects):
        kinds[row, SUBJECTS.index(subject.kind)] = 5.0
        colours[row, :, COLOURS.index(subject.colour)] = 1.0
    return Reading(kinds=kinds, colours=colours)


def test_prompts_are_new_in_every_medium_and_media_take_turns() -> None:
    plain = unseen_prompts(4242, 20, PHRASES, set())
    assert [prompt.phrase for prompt in plain] == list(PHRASES) * 10
    assert len({prompt.text for prompt in plain}) == 20
    first = plain[0].text.removesuffix(f", {PHRASES[0]}")
    known = {f"{first}, {PHRASES[1]}", plain[3].text}
    fresh = unseen_prompts(4242, 20, PHRASES, known)
    assert not any(prompt.text.startswith(first) for prompt in fresh)
    assert not any(prompt.text.rsplit(",", 1)[0] == plain[3].text.rsplit(",", 1)[0] for prompt in fresh)
    captions = [caption(scene_of(f"scenes/4242/{index}")) for index in range(40)]
    assert all(any(prompt.text == f"{words}, {prompt.phrase}" for words in captions) for prompt in fresh)


def test_prompts_may_be_about_one_thing_alone() -> None:
    alone = unseen_prompts(4242, 20, PHRASES, set(), alone=True)
    captions = [caption(scene_of(f"scenes/4242/{index}/alone")) for index in range(40)]
    assert all(any(prompt.text == f"{words}, {prompt.phrase}" for words in captions) for prompt in alone)


def test_chance_asks_every_picture_for_what_all_others_show() -> None:
    subjects = [Subject("house", "red"), Subject("house", "blue"), Subject("cat", "blue")]
    kind, colour, both = chance(reading_of(subjects), subjects, 0.0)
    assert (round(kind, 3), round(colour, 3), both) == (0.333, 0.333, 0.0)
    same = [Subject("house", "red")] * 4
    assert chance(reading_of(same), same, 0.0) == (1.0, 1.0, 1.0)


def test_the_sheet_frames_every_picture_by_its_verdict() -> None:
    verdicts = [(True, True), (True, False), (False, True)] + [(True, True)] * 9
    sheet = judged_sheet(torch.zeros(12, 3, 8, 8), verdicts)
    assert sheet.shape == (2 * 22, 10 * 22, 3)
    corners = [tuple(int(value) for value in sheet[0, 22 * column]) for column in range(3)]
    green, amber, red = corners
    assert green[1] > green[0] and amber[0] > amber[2] and amber[1] > 100 and red[0] > 2 * red[1]
    assert (sheet[3:19, 3:19] == 0).all() and (sheet[22:, 2 * 22 :] == 255).all()


def test_what_is_missed_most_comes_first() -> None:
    names = ["cow", "house", "cow", "house", "barn", "house", "cat"]
    painted_right = [False, False, False, True, False, True, True]
    assert missed_most(names, painted_right) == "cow 2 of 2, barn 1 of 1, house 1 of 3"
    assert missed_most(names, painted_right, most=1) == "cow 2 of 2"
    assert missed_most(names, [True] * 7) == "none"
