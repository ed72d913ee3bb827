"""What an order in words promises."""

import numpy as np
import pytest

from conf.errors import ConfigError
from renderers.painting import Knowledge
from renderers.region import RENDERER as REGION
from renderers.region import Config as RegionConfig
from renderers.studio import Config as StudioConfig
from renderers.things.spoken_order import spoken_order
from tests.renderers.pictures import landscape

NAMES = ("the sky", "the red house", "the lake", "the tree")


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("sky first, then the house", (0, 1), ()),
        ("The house, then the sky; the lake last", (1, 0), (2,)),
        ("the tree after the lake", (2, 3), ()),
        ("red house, trees, sky, finally lake", (1, 3, 0), (2,)),
    ],
)
def test_things_come_as_they_are_named(text: str, first: tuple[int, ...], last: tuple[int, ...]) -> None:
    assert spoken_order(text, NAMES) == (first, last)


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
