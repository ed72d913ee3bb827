"""The order of regions."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conf.errors import ConfigError
from renderers.painting import NOTHING_KNOWN, Knowledge
from renderers.region.config import RegionConfig
from renderers.region.order import outward_order, painting_order
from renderers.things.graph import Labels
from renderers.things.survey import survey
from tests.renderers.region_scenes import painted, scene


def _face() -> tuple[Labels, np.ndarray]:
    """Sky 0 over ground 1, and a head 2 with an eye 3 in the middle; the head is salient."""
    labels = np.zeros((60, 60), np.int32)
    labels[40:] = 1
    labels[15:45, 20:40] = 2
    labels[22:28, 26:32] = 3
    saliency = np.array([0.05, 0.05, 0.9, 0.6], np.float32)[labels]
    return labels, saliency


def order_of(
    config: RegionConfig, known: Knowledge = NOTHING_KNOWN, things: np.ndarray | None = None
) -> tuple[int, ...]:
    labels, saliency = _face()
    measured = survey(labels, saliency, np.zeros((60, 60, 3), np.float32))
    return painting_order(labels, np.arange(4) if things is None else things, measured, config, known)


def test_salient_first_then_its_parts_then_surroundings_and_background_last() -> None:
    assert order_of(RegionConfig()) == (2, 3, 1, 0)


def test_a_thing_is_painted_whole_before_another_begins() -> None:
    assert order_of(RegionConfig(), things=np.array([0, 1, 1, 0])) == (2, 1, 3, 0)


def test_large_regions_first() -> None:
    assert order_of(RegionConfig(order="area")) == (0, 1, 2, 3)


def test_back_to_front_without_depth_is_salient_backwards() -> None:
    assert order_of(RegionConfig(order="back_to_front")) == (0, 1, 3, 2)


def test_back_to_front_follows_depth() -> None:
    labels, _ = _face()
    depth = np.array([0.5, 0.1, 0.9, 0.2], np.float32)[labels]
    assert order_of(RegionConfig(order="back_to_front"), Knowledge(depth=depth)) == (2, 0, 3, 1)


def test_true_depth_of_scenes_drives_back_to_front() -> None:
    painting, (_, known) = painted(6, order="back_to_front"), scene(6)
    assert painting.regions is not None and known.depth is not None
    depths = [known.depth[painting.regions.labels == label].mean() for label in painting.regions.order]
    assert depths == sorted(depths, reverse=True)


def test_an_artist_sets_the_order_by_labels_and_points() -> None:
    assert order_of(RegionConfig(order="user", user_order=(1, (0.5, 0.41)))) == (1, 3, 2, 0)
    assert order_of(RegionConfig(order="user", user_order=((0.0, 0.0), (0.9, 0.1), 0))) == (0, 2, 3, 1)


def test_a_region_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"user_order=7.*0 to 3"):
        order_of(RegionConfig(order="user", user_order=(7,)))


@pytest.mark.parametrize(
    "keys",
    [
        {"order": "user"}, {"user_order": (1,)}, {"order": "user", "user_order": ((1.2, 0),)},
        {"order": "user", "user_order": ("sky",)}, {"order": "user", "user_order": (-1,)},
        {"order": "user", "user_order": (True,)}, {"order": "user", "user_order": ((0.1, 0.2, 0.3),)},
    ],
)  # fmt: skip
def test_orders_that_make_no_sense_are_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="user_order"):
        RegionConfig(**keys)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_every_partition_gets_a_whole_order_that_begins_with_the_most_salient(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, count, (24, 31)).astype(np.int32)
    labels.ravel()[:count] = np.arange(count)
    found = survey(labels, rng.random(labels.shape, np.float32), rng.random((24, 31, 3), np.float32))
    order = outward_order(found, np.arange(count) % 5)
    assert sorted(order) == list(range(count))
    assert found.scores[order[0]] == 1
