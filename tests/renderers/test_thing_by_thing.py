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
    things, turns = turns_in_words(picture, f"{first} first, then the rest")
    frames = by_turns(fading_in(picture), things, turns)
    assert things.names[turns[0][0]] == first
    early = inside if first == "the subject" else ~inside
    half = frames[len(frames) // len(turns)]
    assert np.abs(half - picture)[early].mean() < 0.03
    assert np.abs(half - 1)[~early].mean() < 0.03


def test_it_begins_and_ends_as_the_painter_did_and_takes_at_least_as_many_steps() -> None:
    picture, _ = disc_on_a_field()
    things, turns = turns_in_words(picture, "subject")
    painter = fading_in(picture, num_frames=20)
    frames = by_turns(painter, things, turns)
    assert len(frames) >= len(painter)
    np.testing.assert_allclose(frames[0], painter[0], atol=1e-6)
    np.testing.assert_array_equal(frames[-1], painter[-1])


def test_every_thing_has_one_turn_and_what_is_last_is_last() -> None:
    picture, _ = disc_on_a_field()
    things, turns = turns_in_words(picture, "the subject last")
    assert sorted(label for turn in turns for label in turn) == list(range(len(things.names)))
    assert [things.names[label] for label in turns[-1]] == ["the subject"]


def test_words_that_name_nothing_are_refused_with_the_names_that_there_are() -> None:
    picture, _ = disc_on_a_field()
    with pytest.raises(ConfigError, match="the subject") as refused:
        turns_in_words(picture, "the elephant first")
    assert "the background" in str(refused.value)
