"""What an order in words promises."""

import numpy as np
import pytest

from conf.errors import ConfigError
from renderers.painting import Knowledge
from renderers.region import RENDERER as REGION
from renderers.region import Config as RegionConfig
from renderers.studio import Config as StudioConfig
from renderers.things.spoken_order import not_understood, spoken_order
from tests.renderers.pictures import landscape

NAMES = ("the sky", "the red house", "the lake", "the tree")


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
    ],
)
def test_things_come_as_they_are_named(text: str, first: tuple[int, ...], last: tuple[int, ...]) -> None:
    assert spoken_order(text, NAMES) == (first, last)


def test_whole_names_come_before_short_ones_and_places_have_none() -> None:
    houses = ("the red house", "the blue house", "the upper left", "the lower part", "the upper part")
    assert spoken_order("the red house first", houses) == ((0,), ())
    assert spoken_order("the houses first", houses) == ((0, 1), ())
    assert spoken_order("the upper part, then the lower part", houses) == ((4, 3), ())
    for text in ("the lower left first", "the right side", "the left part"):
        with pytest.raises(ConfigError, match="the lower part"):
            spoken_order(text, houses)


@pytest.mark.parametrize("text", ["not the sky", "the sky is not first", "don't begin with the sky"])
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
