"""The segmentation of pictures into regions, and saliency."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label as pieces

from conf.errors import ConfigError
from renderers.painting import Image
from renderers.region.arrival import arrival, edge_distance
from renderers.region.config import SegmentChoice
from renderers.region.segment import graph_cut
from renderers.things.barrier import barrier_distance
from renderers.things.config import SaliencyChoice
from renderers.things.contours import resized_labels
from renderers.things.graph import Merging, borders, merged, numbered
from renderers.things.saliency import barrier_saliency, network_saliency, spectral_saliency
from tests.renderers.pictures import landscape, plain
from tests.renderers.region_scenes import scene

seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=10)


def blots(seed: int, height: int, width: int, count: int) -> np.ndarray:
    """The nearest of some random points."""
    rng = np.random.default_rng(seed)
    points = rng.random((count, 2)) * (height, width)
    y, x = np.mgrid[:height, :width]
    nearest = np.argmin((y[..., None] - points[:, 0]) ** 2 + (x[..., None] - points[:, 1]) ** 2, -1)
    labels: np.ndarray = numbered(nearest)
    return labels


def exact_barrier(level: np.ndarray) -> np.ndarray:
    """By definition: the narrowest band of levels through which a pixel still hangs together with the border."""
    values = np.unique(level)
    best = np.full(level.shape, np.inf)
    for low, high in itertools.combinations_with_replacement(values, 2):
        open_, _ = pieces((level >= low) & (level <= high))
        edge = np.unique(np.concatenate([open_[0], open_[-1], open_[:, 0], open_[:, -1]]))
        reached = np.isin(open_, edge[edge > 0])
        best[reached] = np.minimum(best[reached], high - low)
    return best


@few
@given(seeds)
def test_barrier_distance_is_near_the_exact_one_and_never_below(seed: int) -> None:
    level = np.random.default_rng(seed).integers(0, 6, (9, 11)).astype(np.float32)
    exact, scanned = exact_barrier(level), barrier_distance(level, num_scans=8)
    assert (scanned >= exact).all()
    assert (scanned == exact).mean() > 0.8


def test_barrier_distance_of_a_walled_square_is_its_wall() -> None:
    level = np.zeros((20, 20), np.float32)
    level[5:15, 5:15] = 3
    level[8:12, 8:12] = 1
    distance = barrier_distance(level)
    assert (distance[8:12, 8:12] == 3).all() and (distance[5:8, 5:15] == 3).all() and (distance[:5] == 0).all()


@pytest.mark.parametrize("index", [0, 5, 9])
def test_graph_regions_are_connected_and_not_tiny(index: int) -> None:
    image, _ = scene(index)
    choice = SegmentChoice(least_area=0.01, max_regions=9, min_regions=3)
    labels = graph_cut(image, choice).labels
    count = int(labels.max()) + 1
    assert 3 <= count <= 9 and labels.shape == image.shape[:2]
    for label in range(count):
        assert (labels == label).sum() >= 0.01 * labels.size and pieces(labels == label)[1] == 1


def test_hard_edges_are_found() -> None:
    image = plain(64, 64, (0.2, 0.3, 0.6))
    image[20:44, 20:44] = (0.9, 0.6, 0.1)
    labels = graph_cut(image, SegmentChoice(min_regions=1)).labels
    inside = np.zeros((64, 64), bool)
    inside[20:44, 20:44] = True
    overlap = max(((labels == k) & inside).sum() / ((labels == k) | inside).sum() for k in range(labels.max() + 1))
    assert overlap > 0.95


def test_a_uniform_picture_is_one_region() -> None:
    assert graph_cut(plain(64, 64, (0.5, 0.5, 0.5)), SegmentChoice()).labels.max() == 0


@few
@given(seeds, st.integers(2, 30), st.integers(2, 8))
def test_merging_joins_neighbours_until_few_are_left(seed: int, count: int, most: int) -> None:
    labels = blots(seed, 30, 40, count)
    colours = np.random.default_rng(seed).random((count, 3)).astype(np.float32)[labels] * 50
    whole = merged(labels, colours, Merging(tolerance=-1, max_regions=most, least_area=0))
    assert int(whole.max()) + 1 == min(most, int(labels.max()) + 1)
    for label in range(int(labels.max()) + 1):
        assert len(np.unique(whole[labels == label])) == 1
    for label in range(int(whole.max()) + 1):
        assert pieces(whole == label, np.ones((3, 3)))[1] == 1  # the cells may hang together by corners


def test_a_tiny_region_joins_the_neighbour_most_like_it() -> None:
    labels = np.zeros((40, 40), np.int32)
    labels[:, 20:], labels[18:21, 18:20] = 1, 2
    colours = np.array([[20, 0, 0], [80, 0, 0], [70, 0, 0]], np.float32)[labels]
    whole = merged(labels, colours, Merging(tolerance=-1, max_regions=9, least_area=0.01))
    assert whole[19, 19] == whole[0, 30] != whole[0, 0]


def test_borders_know_their_length_and_strength() -> None:
    labels = np.zeros((10, 12), np.int32)
    labels[:, 6:] = 1
    colours = np.array([[10, 0, 0], [14, 3, 0]], np.float32)[labels]
    found = borders(labels, colours)
    assert found.pairs.tolist() == [[0, 1]] and found.lengths.tolist() == [10]
    assert found.strengths.tolist() == [5]


@few
@given(seeds, st.integers(1, 9), st.sampled_from([(60, 90), (31, 44), (100, 50)]))
def test_label_maps_keep_their_shares_at_other_sizes(seed: int, count: int, size: tuple[int, int]) -> None:
    labels = blots(seed, 40, 60, count)
    resized = resized_labels(labels, *size)
    assert resized.shape == size and set(np.unique(resized)) <= set(np.unique(labels))
    shares = [np.bincount(some.ravel(), minlength=count) / some.size for some in (labels, resized)]
    assert np.abs(shares[0] - shares[1]).max() < 0.04


@few
@given(seeds, st.integers(1, 6))
def test_a_wash_reaches_equal_areas_in_equal_times(seed: int, count: int) -> None:
    labels = blots(seed, 50, 60, count)
    times, depth = arrival(labels), edge_distance(labels)
    for label in np.unique(labels):
        own = np.sort(times[labels == label])
        np.testing.assert_allclose(own, (np.arange(len(own)) + 1) / len(own), atol=1e-6)
        early, late = (depth[(labels == label) & part].mean() for part in (times < 0.3, times > 0.7))
        assert early > late


def test_a_wash_flows_along_the_middle_of_a_shape() -> None:
    labels = np.zeros((60, 120), np.int32)
    labels[10:50, 10:50], labels[25:35, 50:110] = 1, 1  # a block with an arm
    times = arrival(labels)
    assert times[30, 30] < times[30, 60] < times[30, 80] < times[30, 105]
    assert times[30, 80] < times[26, 80]


@pytest.mark.parametrize("method", [barrier_saliency, spectral_saliency])
def test_what_stands_apart_is_salient(method: object) -> None:
    image = plain(96, 128, (0.3, 0.5, 0.3))
    image[36:60, 50:78] = (0.9, 0.2, 0.1)
    saliency = method(image)  # type: ignore[operator]
    thing = np.zeros((96, 128), bool)
    thing[36:60, 50:78] = True
    assert saliency.shape == (96, 128) and saliency.min() >= 0 and saliency.max() <= 1
    assert saliency[thing].mean() > 2 * saliency[~thing].mean()


@pytest.mark.parametrize("method", [barrier_saliency, spectral_saliency])
@pytest.mark.parametrize("image", [plain(64, 64, (0.5, 0.5, 0.5)), landscape(20, 90)])
def test_saliency_is_finite_on_any_picture(method: object, image: Image) -> None:
    assert np.isfinite(method(image)).all()  # type: ignore[operator]


def test_a_network_sees_normalised_colours_at_its_own_size() -> None:
    seen = []

    def network(batch: np.ndarray) -> np.ndarray:
        seen.append(batch)
        red: np.ndarray = batch[0, 0]
        return red

    image = plain(40, 60, (0.5, 0.25, 0.75))
    image[:, 30:] = 1.0
    saliency = network_saliency(image, network, 32, (0.5, 0.5, 0.5), (0.5, 0.25, 0.25))
    assert seen[0].shape == (1, 3, 32, 32) and seen[0].dtype == np.float32
    np.testing.assert_allclose(seen[0][0, :, 5, 5], [0, -1, 1], atol=1e-6)
    assert saliency.shape == (40, 60) and saliency[:, :20].max() < 0.1 and saliency[:, -20:].min() > 0.9


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        (SegmentChoice, {"method": "magic"}), (SegmentChoice, {"max_regions": 1}), (SegmentChoice, {"min_regions": 0}),
        (SegmentChoice, {"least_area": 0.5}), (SegmentChoice, {"method": "sam"}), (SaliencyChoice, {"method": "deep"}),
        (SaliencyChoice, {"std": (1, 0, 1)}), (SaliencyChoice, {"input_px": 8}),
    ],
)  # fmt: skip
def test_choices_that_cannot_be_are_refused(kind: type, keys: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        kind(**keys)
