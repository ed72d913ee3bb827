"""Regions out of Segment Anything's own code."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import label as pieces
from segment_anything.modeling import Sam

from renderers.painting import NOTHING_KNOWN, Image
from renderers.things import ThingsConfig, find_things
from renderers.things.config import SamChoice
from renderers.things.sam import partition, sam_masks
from tests.renderers.pictures import landscape, plain
from tests.small_sam import small_sam

EVERYTHING = SamChoice(checkpoint="there", points_per_side=4, min_quality=0, min_stability=0)


@pytest.fixture(scope="module")
def network() -> Iterator[Sam]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield small_sam().eval()


def mask(segmentation: np.ndarray, stability: float = 0.95) -> dict[str, Any]:
    return {"segmentation": segmentation, "stability_score": stability, "area": int(segmentation.sum())}


def box(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    shape = np.zeros((40, 60), bool)
    shape[top:bottom, left:right] = True
    return shape


def labels_of(*masks: dict[str, Any], **keys: Any) -> np.ndarray:
    return partition(landscape(40, 60), masks, **{"least_area": 0, "max_regions": 1000, **keys})


def cut(image: Image, network: Sam, choice: SamChoice) -> np.ndarray:
    return partition(image, sam_masks(image, network, choice), max_regions=60, least_area=0)


def test_real_network_cuts_a_picture(network: Sam) -> None:
    image = landscape(48, 64)
    labels = cut(image, network, EVERYTHING)
    assert labels.shape == (48, 64) and set(np.unique(labels)) == set(range(int(labels.max()) + 1))
    assert labels.max() >= 1
    np.testing.assert_array_equal(labels, cut(image, network, EVERYTHING))


def test_things_are_found_by_a_network(network: Sam) -> None:
    config = ThingsConfig(method="sam", sam=EVERYTHING, max_things=5, least_area=0.01)
    assets = {"sam": SimpleNamespace(load=lambda variant, device: network)}
    things = find_things(landscape(64, 80), NOTHING_KNOWN, config, np.random.default_rng(0), assets)
    assert 2 <= len(things.names) <= 5 and things.areas_px.min() >= 0.01 * 64 * 80
    np.testing.assert_array_equal(np.bincount(things.labels.ravel()), things.areas_px)


def test_no_mask_makes_one_region(network: Sam) -> None:
    strict = SamChoice(checkpoint="there", points_per_side=2, min_quality=1.0)
    assert cut(landscape(48, 64), network, strict).max() == 0
    assert labels_of().max() == 0


def test_one_mask_makes_it_and_the_rest() -> None:
    labels = labels_of(mask(box(10, 10, 30, 30)))
    assert labels.max() == 1 and len(np.unique(labels[10:30, 10:30])) == 1
    assert labels[0, 0] != labels[20, 20]
    assert labels_of(mask(np.ones((40, 60), bool))).max() == 0


def test_parts_lie_upon_wholes_unless_they_are_much_less_stable() -> None:
    whole, part = box(5, 5, 35, 35), box(10, 10, 25, 25)
    for order in ((whole, part), (part, whole)):
        labels = labels_of(*map(mask, order))
        assert labels.max() == 2 and labels[15, 15] != labels[30, 30]
    unsure = labels_of(mask(whole), mask(part, stability=0.3))
    assert unsure[15, 15] == unsure[30, 30]


def test_disconnected_pieces_are_regions_of_their_own() -> None:
    labels = labels_of(mask(box(5, 5, 15, 15) | box(5, 40, 15, 50)))
    assert labels.max() == 2 and labels[10, 10] != labels[10, 45]


def test_thousands_of_masks_become_as_many_regions_as_asked_for() -> None:
    rng = np.random.default_rng(0)
    corners = rng.integers(0, (36, 56), (3000, 2))
    masks = [
        mask(box(y, x, y + 4, x + 4), stability) for (y, x), stability in zip(corners, rng.random(3000), strict=True)
    ]
    labels = labels_of(*masks, max_regions=25, least_area=0.002)
    assert 10 <= labels.max() <= 24
    for label in range(int(labels.max()) + 1):
        assert (labels == label).sum() >= 0.002 * labels.size and pieces(labels == label)[1] == 1


def test_tiny_and_uncovered_places_join_the_neighbour_most_like_them() -> None:
    image = plain(40, 60, (0.1, 0.1, 0.8))
    image[:, 30:] = (0.9, 0.2, 0.1)
    left, right = box(0, 0, 40, 29), box(0, 31, 40, 60)  # a gap of two columns, one of either colour
    labels = partition(image, [mask(left), mask(right)], least_area=0.05, max_regions=9)
    assert labels.max() == 1
