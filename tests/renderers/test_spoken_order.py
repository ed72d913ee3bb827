"""What an order in words promises."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conf.errors import ConfigError
from renderers.painting import Knowledge
from renderers.region import RENDERER as REGION
from renderers.region import Config as RegionConfig
from renderers.studio import Config as StudioConfig
from renderers.things.spoken_order import check_spoken, not_understood, spoken_order
from tests.renderers.pictures import landscape

NAMES = ("the sky", "the red house", "the lake", "the tree")
VOCABULARY = (
    *NAMES, "house", "the table", "the rest", "all", "other", "first", "second", "last", "finally", "then", "and",
    "but", "before", "after", ",", ";",
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("sky first, then the house", (0, 1), ()),
        ("The house, then the sky; the lake last", (1, 0), (2,)),
        ("the tree after the lake", (2, 3), ()),
        ("red house, trees, sky, finally lake", (1, 3, 0), (2,)),
        ("everything else first, then the house", (), (1,)),
        ("the rest, then the sky, the lake", (), (0, 2)),
        ("the lake, then the rest, then the tree", (2,), (3,)),
        ("the house after everything", (), (1,)),
        ("the house lastly", (), (1,)),
        ("at the very end the house", (), (1,)),
        ("after the lake the tree", (2, 3), ()),
        ("after the lake, the tree", (2, 3), ()),
        ("the tree before the lake, the sky", (3, 2, 0), ()),
        ("before the lake, the tree", (3, 2), ()),
        ("before the lake the tree", (3, 2), ()),
        ("sky first, then the house; the tree last", (0, 1), (3,)),
        ("first the sky, then everything else, the house last", (0,), (1,)),
        ("the sky and the lake before the house", (0, 2, 1), ()),
        ("the sky and the house last", (), (0, 1)),
        ("the house, the lake and the sky first, then the tree", (1, 2, 0, 3), ()),
        ("the house, the lake, and the sky first", (1, 2, 0), ()),
        ("finally the sky and the house", (), (0, 1)),
        ("the sky, after that the house", (0, 1), ()),
        ("the sky, secondly the house, thirdly the tree", (0, 1, 3), ()),
        ("all, then the sky", (), (0,)),
        ("the sky after all others", (), (0,)),
        ("the sky before everything else", (0,), ()),
    ],
)
def test_things_come_as_they_are_named(text: str, first: tuple[int, ...], last: tuple[int, ...]) -> None:
    assert spoken_order(text, NAMES) == (first, last)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("first of all the sky", (0,), ()),
        ("first of all, the sky, then the lake", (0, 2), ()),
        ("last of all the sky, first of all the lake", (2,), (0,)),
        ("all of the sky, then the lake", (0, 2), ()),
        ("all the trees, then every house", (3, 1), ()),
        ("the rest last, the sky first", (0,), ()),
        ("the rest last and the sky first", (0,), ()),
        ("the sky first, all of the rest last", (0,), ()),
        ("all the others last, the sky first", (0,), ()),
        ("the sky last, the rest first", (), (0,)),
        ("the sky second, the rest first", (), (0,)),
        ("the sky first and the lake last", (0,), (2,)),
        ("the sky last and the lake first", (2,), (0,)),
        ("THE SKY LAST AND THE HOUSES FIRST", (1,), (0,)),
        ("the sky last & the lake first", (2,), (0,)),
        ("the sky, the house and finally the lake", (0, 1), (2,)),
        ("the sky second, the lake first", (2, 0), ()),
        ("the tree third, the sky first, the house second", (0, 1, 3), ()),
        ("the house 2nd, the sky 1st, then the lake", (0, 1, 2), ()),
        ("second the house; first the sky", (0, 1), ()),
        ("the sky, but the lake first", (2, 0), ()),
        ("the sky, the house, but the tree last", (0, 1), (3,)),
        ("finally, the sky", (), (0,)),
        ("the lake; lastly, the sky", (2,), (0,)),
        ("the sky, last; the house", (1,), (0,)),
        ("the sky, after the house", (1, 0), ()),
        ("the house and the tree after the sky and the lake", (0, 2, 1, 3), ()),
        ("before the lake and the sky the tree", (3, 2, 0), ()),
        ("start with the sky, end with the house", (0,), (1,)),
        ("the lake after the sky, the tree after the lake", (0, 2, 3), ()),
        ("the house after the sky, the tree after the sky", (0, 1, 3), ()),
        ("the sky and the house, both last", (), (0, 1)),
        ("The sky should be painted first; the house comes last.", (0,), (1,)),
        ("the blue sky first, the small house last", (0,), (1,)),
        ("the rest last, but the sky first", (0,), ()),
    ],
)
def test_words_belong_to_what_is_nearest(text: str, first: tuple[int, ...], last: tuple[int, ...]) -> None:
    assert spoken_order(text, NAMES) == (first, last)


def test_the_others_are_those_that_are_not_called_by_their_whole_name() -> None:
    houses = ("the red house", "the blue house", "the sky")
    assert spoken_order("the red house first, the other houses last", houses) == ((0,), (1,))
    assert spoken_order("the house first, the red house last", houses) == ((1,), (0,))


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("the sky last, then the house", "nothing that comes after what is last"),
        ("the sky, then the house first", "without 'then'"),
        ("the sky last and the house", "one place for each thing"),
        ("the sky second last", "one place for each thing"),
        ("the sky first and last", "one place for each thing"),
        ("the sky first, the sky last", "do not contradict"),
        ("the sky before the lake, the lake before the sky", "do not contradict"),
        ("the sky, the lake, the lake last", "do not contradict"),
        ("the tree after the lake, the lake after the sky", "do not contradict"),
        ("the sky first, after the lake", "one place for each thing"),
        ("the sky last, after the house", "one place for each thing"),
        ("after the sky, first the house, then the tree", "one place for each thing"),
        ("the tree after the lake and the house last", "one place for each thing"),
        ("the house after the sky and before the tree", "one place for each thing"),
        ("the sky, the lake, and the house last", "one place for each thing"),
        ("the sky, the lake and the house after the tree", "one place for each thing"),
        ("the tree after the lake, the sky and the house", "one place for each thing"),
        ("before the house, the sky, the lake", "one place for each thing"),
        ("the sky next, the lake first", "one place for each thing"),
        ("the sky, last, the house", "one place for each thing"),
        ("the sky last, and the house", "one place for each thing"),
        ("the house last, the tree last", "one place for each thing"),
        ("finally the sky, then the house", "one place for each thing"),
        ("finally the sky, the house", "one place for each thing"),
        ("the house last, the sky then", "one place for each thing"),
        ("the sky before last", "one place for each thing"),
        ("the house once the sky is done", "one place for each thing"),
        ("leave the sky for last, please, and paint the lake", "one place for each thing"),
        ("sky follows house", "without 'follows'"),
        ("the sky later", "without 'later'"),
        ("the other two, then the sky", "without 'two'"),
        ("the sky second", "without gaps"),
        ("the sky first, the lake third", "without gaps"),
        ("the sky, after the lake, the tree", "one place for each thing"),
        ("everything but the sky", "here 'everything but'"),
        ("the sky, before that the lake", "here 'before that'"),
        ("the sky or the lake first", "here 'or'"),
        ("the sky until the lake", "here 'until'"),
    ],
)
def test_what_is_not_clear_is_refused_in_one_line(text: str, allowed: str) -> None:
    with pytest.raises(ConfigError) as refused:
        spoken_order(text, NAMES)
    assert allowed in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "text", ["the sky last, then the house", "the sky second last", "the sky second", "all but it"]
)
def test_what_is_not_clear_of_any_picture_is_refused_with_the_configuration(text: str) -> None:
    for config in (RegionConfig, StudioConfig):
        with pytest.raises(ConfigError, match=f"order={text}"):
            config(order=text)


@given(text=st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=9).map(" ".join))
def test_any_words_are_understood_or_refused(text: str) -> None:
    try:
        first, last = spoken_order(text, NAMES)
    except ConfigError:
        return
    check_spoken(text)
    assert len({*first, *last}) == len(first) + len(last) and {*first, *last} <= set(range(len(NAMES)))
    not_understood(text, NAMES)


CLAUSES = st.lists(
    st.sampled_from(("sky", "house", "lake", "tree", "before", "after", "first", "last", "and", "then", ",", ";")),
    min_size=3,
    max_size=9,
)


@given(pieces=CLAUSES)
def test_no_order_is_read_as_the_opposite_of_what_it_says(pieces: list[str]) -> None:
    names = ("sky", "house", "lake", "tree")
    try:
        first, last = spoken_order(" ".join(pieces), names)
    except ConfigError:
        return
    order = [names[label] for label in (*first, *last)]
    for one, link, other in zip(pieces, pieces[1:], pieces[2:], strict=False):
        if {one, other} <= {*names} and one != other and link in ("before", "then"):
            assert order.index(one) < order.index(other)
        if {one, other} <= {*names} and one != other and link == "after":
            assert order.index(one) > order.index(other)
    stops = [";", *pieces, ";"]
    for before, one, place, after in zip(stops, stops[1:], stops[2:], stops[3:], strict=False):
        if before in ",;" and one in names and after in ",;":
            assert place != "first" or order[0] == one
            assert place != "last" or names.index(one) in last[-1:]


def test_whole_names_come_before_short_ones_and_places_have_none() -> None:
    houses = ("the red house", "the blue house", "the upper left", "the lower part", "the upper part")
    assert spoken_order("the red house first", houses) == ((0,), ())
    assert spoken_order("the houses first", houses) == ((0, 1), ())
    assert spoken_order("the upper part, then the lower part", houses) == ((4, 3), ())
    for text in ("the lower left first", "the right side", "the left part"):
        with pytest.raises(ConfigError, match="the lower part"):
            spoken_order(text, houses)


@pytest.mark.parametrize(
    "text",
    [
        "not the sky", "the sky is not first", "don't begin with the sky", "don’t begin with the sky",
        "never the sky, then the lake", "no sky, the lake first", "the lake first, without the sky",
        "everything except the sky", "NOTHING but the sky", "the lake instead of the sky",
    ],
)  # fmt: skip
def test_what_should_not_be_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="without 'not'"):
        spoken_order(text, NAMES)
    for config in (RegionConfig, StudioConfig):
        with pytest.raises(ConfigError, match="without 'not'"):
            config(order=text)


def test_clauses_that_name_what_is_not_there_are_told_apart() -> None:
    assert not_understood("The table first, then the sky and the lake; finally, the red cup", NAMES) == (
        "the table first", "the red cup",
    )  # fmt: skip
    assert not_understood("first the sky, then everything else, the house last", NAMES) == ()
    for text, missing in (
        ("the table and the sky", ("the table",)),
        ("the sky & the table", ("the table",)),
        ("table and sky", ("table",)),
        ("the sky after the table", ("the table",)),
        ("the table the sky", ("the table",)),
        ("the sky first and the red cup last", ("the red cup last",)),
        ("please paint the dark sky, the other things next", ()),
        ("first of all, the tree; all of the rest last", ()),
    ):
        assert not_understood(text, NAMES) == missing, text


def test_words_that_name_nothing_say_what_there_is() -> None:
    with pytest.raises(ConfigError, match="the sky, the red house"):
        spoken_order("the boat first", NAMES)


def test_a_misspelt_name_of_an_order_is_no_order_in_words() -> None:
    for config in (RegionConfig, StudioConfig):
        with pytest.raises(ConfigError, match=r"salient.*words such as"):
            config(order="salientt")


def test_regions_are_painted_in_the_order_of_the_words() -> None:
    labels = np.zeros((64, 64), np.uint16)
    labels[32:] = 1
    labels[20:44, 20:44] = 2
    known = Knowledge(labels=labels, names=("sky", "lake", "house"))
    config = RegionConfig(order="lake first, then the sky; the house last")
    config = RegionConfig(order=config.order, segment=type(config.segment)(method="truth"))
    painting = REGION.paint(landscape(64, 64), config, np.random.SeedSequence(0), known=known)
    assert painting.regions is not None
    shown = [int(labels[painting.regions.labels == label][0]) for label in painting.regions.order]
    assert shown == [1, 0, 2]
