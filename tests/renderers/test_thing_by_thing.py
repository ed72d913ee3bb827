"""What an order in words promises: each thing in its own time, nothing lost, and names that can be asked for."""

import numpy as np
import pytest

from conf.errors import ConfigError
from renderers.painting import Image
from renderers.thing_by_thing import by_turns, turns_in_words


def disc_on_a_field() -> tuple[Image, np.ndarray]:
    """A red disc on green, and where it is."""
    rows, columns = np.mgrid[:96, :96]
    inside = (rows - 48) ** 2 + (columns - 48) ** 2 < 24**2
    picture = np.where(inside[..., None], (0.8, 0.1, 0.1), (0.2, 0.6, 0.3)).astype(np.float32)
    return picture, inside


def fading_in(picture: Image, num_frames: int = 5) -> np.ndarray:
    """A process in which all places come at the same pace, from white."""
    share = np.linspace(0, 1, num_frames, dtype=np.float32)[:, None, None, None]
    return (1 - share) + share * picture


@pytest.mark.parametrize("first", ["the subject", "the background"])
def test_what_is_named_first_is_finished_before_the_rest_is_begun(first: str) -> None:
    picture, inside = disc_on_a_field()
    spoken = turns_in_words(picture, f"{first} first, then the rest")
    frames = by_turns(fading_in(picture), spoken.things, spoken.turns)
    assert spoken.names[0] == [first]
    early = inside if first == "the subject" else ~inside
    half = frames[len(frames) // len(spoken.turns)]
    assert np.abs(half - picture)[early].mean() < 0.03
    assert np.abs(half - 1)[~early].mean() < 0.03


def test_it_begins_and_ends_as_the_painter_did_and_takes_at_least_as_many_steps() -> None:
    picture, _ = disc_on_a_field()
    spoken = turns_in_words(picture, "subject")
    painter = fading_in(picture, num_frames=20)
    frames = by_turns(painter, spoken.things, spoken.turns)
    assert len(frames) >= len(painter)
    np.testing.assert_allclose(frames[0], painter[0], atol=1e-6)
    np.testing.assert_array_equal(frames[-1], painter[-1])


def test_every_thing_has_one_turn_and_what_is_last_is_last() -> None:
    picture, _ = disc_on_a_field()
    spoken = turns_in_words(picture, "the subject last")
    assert sorted(label for turn in spoken.turns for label in turn) == list(range(len(spoken.things.names)))
    assert spoken.names[-1] == ["the subject"]


def test_what_is_not_named_belongs_to_the_background_where_that_is_named() -> None:
    picture, inside = disc_on_a_field()
    picture = np.where(
        (np.arange(96) < 24)[:, None, None] & ~inside[..., None], np.array([0.1, 0.2, 0.9], np.float32), picture
    )
    spoken = turns_in_words(picture, "the background first, then the subject")
    assert len(spoken.things.names) > 2
    assert spoken.names[0][0] == "the background" and spoken.names[1:] == [["the subject"]]
    rest_last = turns_in_words(picture, "the background first, then the subject, then the rest")
    assert rest_last.names[:2] == [["the background"], ["the subject"]]


def test_what_is_asked_for_and_not_there_is_told() -> None:
    picture, _ = disc_on_a_field()
    assert turns_in_words(picture, "the elephant first, then the subject").not_there == ("the elephant first",)
    assert turns_in_words(picture, "the elephant and the subject").not_there == ("the elephant",)


def test_all_of_a_thing_is_not_the_rest() -> None:
    picture, _ = disc_on_a_field()
    spoken = turns_in_words(picture, "first of all the subject, then all of the background")
    assert [turn[0] for turn in spoken.names] == ["the subject", "the background"]


def test_words_that_name_nothing_are_refused_with_the_names_that_there_are() -> None:
    picture, _ = disc_on_a_field()
    with pytest.raises(ConfigError, match="the subject") as refused:
        turns_in_words(picture, "the elephant first")
    assert "the background" in str(refused.value)
