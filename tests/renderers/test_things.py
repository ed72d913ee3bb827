"""The things of a picture: what every cut promises, on good pictures and on bad ones."""

from collections.abc import Callable
from functools import partial
from math import inf, nan
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import shortest_path
from skimage.measure import label as connected

from conf.errors import ConfigError
from renderers.painting import NOTHING_KNOWN, Image, Knowledge
from renderers.things import SaliencyChoice, SamChoice, Things, ThingsConfig, asset_paths, check_assets, find_things
from renderers.things.background import _direct_steps
from renderers.things.contours import guided_labels, smoothed, without_specks
from renderers.things.depth import guessed_distances
from renderers.things.find import LEAST_PIECE
from renderers.things.graph import Labels
from renderers.things.sam import wholes
from tests.renderers.hard_pictures import HARD
from tests.renderers.pictures import landscape, plain
from tests.renderers.region_scenes import scene

few = settings(max_examples=8)
seeds = st.integers(0, 2**32 - 1)


def things_of(
    image: Image, known: Knowledge = NOTHING_KNOWN, assets: dict[str, Any] | None = None, **keys: Any
) -> Things:
    return find_things(image, known, ThingsConfig(**keys), np.random.default_rng(0), assets or {})


def assert_promises(things: Things, shape: tuple[int, ...], most: int = 12, least_area: float = 0.004) -> None:
    count, labels = len(things.names), things.labels
    assert labels.shape == shape[:2] and labels.dtype == np.uint16
    assert 1 <= count <= most
    np.testing.assert_array_equal(things.areas_px, np.bincount(labels.ravel(), minlength=count))
    assert (things.areas_px > 0).all() and len(things.areas_px) == count
    assert things.saliency.max() == 1 and things.saliency.min() >= 0
    assert sorted(things.depth_rank) == list(range(count))
    assert things.detail.shape == (count,) and np.isfinite(things.detail).all() and things.detail.min() >= 0
    assert all(name.startswith("the ") for name in things.names)
    shares = np.stack(things.coverages(*labels.shape))
    assert shares.min() >= 0 and shares.max() <= 1 + 1e-6
    np.testing.assert_allclose(shares.sum(0), 1, atol=1e-5)
    pieces = np.bincount((connected(labels.astype(int), connectivity=1, background=-1) - 1).ravel())
    assert pieces.min() >= LEAST_PIECE * labels.size or len(pieces) == 1  # no hole, no speck
    assert things.areas_px.min() >= least_area * labels.size or count == 1


@pytest.mark.parametrize("name", HARD)
def test_hard_pictures_have_things(name: str) -> None:
    image = HARD[name]()
    assert_promises(things_of(image), image.shape)


@few
@given(
    index=st.integers(0, 40),
    size=st.sampled_from([(72, 96), (128, 128), (64, 256), (200, 90)]),
    most=st.integers(1, 12),
    least_area=st.sampled_from([0.0, 0.004, 0.03]),
    is_known=st.booleans(),
)
def test_scenes_have_things(index: int, size: tuple[int, int], most: int, least_area: float, is_known: bool) -> None:
    image, known = scene(index, *size)
    things = things_of(image, known if is_known else NOTHING_KNOWN, max_things=most, least_area=least_area)
    assert_promises(things, image.shape, most, least_area)


@pytest.mark.parametrize("is_known", [False, True])
def test_same_arguments_find_the_same_things(is_known: bool) -> None:
    image, known = scene(3)
    one, two = (things_of(image, known if is_known else NOTHING_KNOWN) for _ in range(2))
    assert one.names == two.names
    for name in ("labels", "saliency", "areas_px", "detail", "depth_rank"):
        assert getattr(one, name).tobytes() == getattr(two, name).tobytes()


def test_the_picture_is_left_as_it_was() -> None:
    image = landscape(96, 96)
    before = image.copy()
    things_of(image)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("name", ["uniform", "noise", "filling"])
def test_a_picture_of_nothing_is_one_thing(name: str) -> None:
    things = things_of(HARD[name]())
    assert things.names == ("the subject",)


def disc(size_px: int) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) distance to the outline of a disc, positive inside; and whether inside."""
    y, x = np.mgrid[:size_px, :size_px] + 0.5
    inside_by = 0.3 * size_px - np.hypot(y - 0.52 * size_px, x - 0.48 * size_px)
    return inside_by, inside_by > 0


def bird(size_px: int) -> tuple[Image, np.ndarray]:
    """A subject of three strong colours on a plain ground, and where it is."""
    image = plain(size_px, size_px, (0.55, 0.6, 0.5))
    _, inside = disc(size_px)
    rows = np.arange(size_px)[:, None] / size_px * np.ones((1, size_px))
    for start, colour in ((0.0, (0.1, 0.5, 0.8)), (0.45, (0.95, 0.5, 0.1)), (0.68, (0.2, 0.1, 0.1))):
        image[inside & (rows >= start)] = colour
    return image, inside


@pytest.mark.parametrize("size_px", [96, 256])
def test_a_subject_of_many_colours_is_one_thing(size_px: int) -> None:
    image, inside = bird(size_px)
    things = things_of(image)
    mask = things.labels == things.names.index("the subject")
    assert (mask & inside).sum() / (mask | inside).sum() > 0.95
    assert things.saliency[things.names.index("the subject")] == 1


@pytest.mark.parametrize("size_px", [256, 600])
def test_borders_are_smooth_and_lie_on_edges_at_the_pictures_own_resolution(size_px: int) -> None:
    image = plain(size_px, size_px, (0.8, 0.8, 0.7))
    inside_by, inside = disc(size_px)
    image[inside] = (0.7, 0.2, 0.2)
    things = things_of(image)
    assert len(things.names) == 2
    share = things.coverages(*things.labels.shape)[int(things.labels[size_px // 2, size_px // 2])]
    outline = (share > 0.25) & (share < 0.75)
    assert outline.sum() > 0.4 * np.pi * 0.6 * size_px  # soft along all of the outline
    assert np.abs(inside_by[outline]).mean() < 0.7 and np.abs(inside_by[outline]).max() < 2
    assert np.abs(share - np.clip(0.5 + inside_by, 0, 1)).mean() < 0.004


@few
@given(seeds, st.integers(2, 9))
def test_coarse_borders_move_to_the_edges_of_the_picture(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.random((count, 2)) * (200, 260)
    y, x = np.mgrid[:200, :260]
    true = np.argmin((y[..., None] - points[:, 0]) ** 2 + (x[..., None] - points[:, 1]) ** 2, -1)
    image = np.ascontiguousarray(rng.random((count, 3))[true], np.float32)
    coarse = np.ascontiguousarray(true[2::5, 2::5]).astype(np.int32)
    moved = guided_labels(coarse, image)
    nearest = cv2.resize(coarse, (260, 200), interpolation=cv2.INTER_NEAREST)
    assert moved.shape == (200, 260)
    assert (moved != true).mean() < max(0.002, 0.75 * (nearest != true).mean())


@few
@given(seeds, st.integers(2, 6), st.sampled_from([0.001, 0.01, 0.2]))
def test_specks_go_to_their_surroundings(seed: int, count: int, least: float) -> None:
    rng = np.random.default_rng(seed)
    labels = smoothed(rng.integers(0, count, (60, 80)).astype(np.int32), 1.5)
    clean = without_specks(labels, least, least)
    pieces = np.bincount((connected(clean, connectivity=1, background=-1) - 1).ravel())
    assert pieces.min() >= least * clean.size or len(pieces) == 1
    assert set(np.unique(clean)) <= set(np.unique(labels))


def test_an_eye_in_a_face_is_no_speck_but_a_hole_is() -> None:
    labels = np.zeros((100, 100), np.int32)
    labels[10:12, 10:12], labels[50:60, 50:60] = 1, 2
    clean = without_specks(labels, 0.001)
    assert clean[11, 11] == 0 and clean[55, 55] == 2


def test_what_a_source_knows_is_believed() -> None:
    image, known = scene(6)
    assert known.labels is not None and known.depth is not None
    things = things_of(image, known, least_area=0.0)
    for label in range(len(things.names)):
        own = np.bincount(known.labels[things.labels == label])
        assert any(things.names[label] == f"the {known.names[k]}" for k in np.flatnonzero(own)) or "person" in str(
            things.names[label]
        )
    far = np.bincount(things.labels.ravel(), known.depth.ravel()) / things.areas_px
    assert (np.diff(far[np.argsort(things.depth_rank)]) <= 0).all()


def house() -> Knowledge:
    """A sky 0, a meadow 1, a house 2 with its roof 3 and a tree 4 beside it, drawn in that order."""
    labels = np.zeros((80, 120), np.uint16)
    labels[50:] = 1
    labels[35:65, 30:60], labels[20:35, 26:64], labels[40:70, 90:100] = 2, 3, 4
    depth = np.array([1, 0.8, 0.6, 0.4, 0.2], np.float32)[labels]
    return Knowledge(labels=labels, depth=depth, names=("sky", "meadow", "white house", "red roof", "tree"))


def test_known_parts_belong_to_their_whole() -> None:
    known = house()
    assert known.labels is not None
    image = np.random.default_rng(0).random((5, 3)).astype(np.float32)[known.labels]
    things = things_of(image, known)
    assert things.names == ("the sky", "the meadow", "the white house", "the tree")
    assert things.labels[25, 45] == things.labels[45, 45] != things.labels[55, 95]
    assert things.depth_rank.tolist() == [0, 1, 2, 3]


def test_truth_must_be_there_to_be_used() -> None:
    with pytest.raises(ConfigError, match="method=truth"):
        things_of(landscape(64, 64), method="truth")


def test_a_small_low_thing_is_guessed_to_be_nearer_than_sky_and_ground() -> None:
    labels = np.zeros((90, 120), np.int32)
    labels[50:], labels[40:80, 50:70] = 1, 2
    distances = guessed_distances(labels, np.random.default_rng(0))
    assert np.argsort(-distances).tolist() == [0, 1, 2]


def test_guessed_depth_agrees_with_what_scenes_know() -> None:
    rightly = total = 0
    for index in range(12):
        _, known = scene(index, 96, 96)
        assert known.labels is not None and known.depth is not None
        labels: Labels = np.unique(known.labels, return_inverse=True)[1].reshape(known.labels.shape).astype(np.int32)
        far = np.bincount(labels.ravel(), known.depth.ravel()) / np.bincount(labels.ravel())
        guess = guessed_distances(labels, np.random.default_rng(0))
        one, two = np.triu_indices(len(far), 1)
        rightly += int((np.sign(guess[one] - guess[two]) == np.sign(far[one] - far[two])).sum())
        total += len(one)
    assert rightly / total > 0.72  # by chance 0.5


def mask_of(top: int, left: int, bottom: int, right: int) -> dict[str, Any]:
    segmentation = np.zeros((60, 80), bool)
    segmentation[top:bottom, left:right] = True
    return {"segmentation": segmentation, "stability_score": 0.95, "area": int(segmentation.sum())}


def test_masks_within_masks_are_parts_of_one_thing() -> None:
    everything, person = mask_of(0, 0, 60, 80), mask_of(10, 10, 50, 30)
    coat, dog = mask_of(25, 10, 45, 30), mask_of(35, 50, 55, 75)
    kept = wholes([coat, dog, everything, person], 60 * 80)
    assert [mask is whole for mask, whole in zip(kept, (everything, person, dog), strict=True)] == [True] * 3


def network_handle(answer: Callable[[np.ndarray], np.ndarray]) -> SimpleNamespace:
    return SimpleNamespace(load=lambda device, output: answer)


def _surplus(channel: int, batch: np.ndarray) -> np.ndarray:
    surplus: np.ndarray = batch[0, channel] - batch[0, 1 - channel]
    return surplus


def test_a_saliency_network_decides_what_the_subject_is() -> None:
    image = plain(96, 128, (0.6, 0.6, 0.6))
    image[30:60, 20:45], image[30:60, 85:110] = (0.9, 0.1, 0.1), (0.1, 0.7, 0.1)
    choice = SaliencyChoice(method="deep", network="net.onnx", mean=(0, 0, 0), std=(1, 1, 1))
    for channel, x in ((0, 30), (1, 95)):
        assets = {"network": network_handle(partial(_surplus, channel))}
        things = things_of(image, assets=assets, saliency=choice)
        assert things.names[things.labels[45, x]] == "the subject"


def test_networks_are_named_and_tried() -> None:
    sam = ThingsConfig(method="sam", sam=SamChoice(checkpoint="sam.pth"))
    assert asset_paths(sam) == {"sam": "sam.pth"} and asset_paths(ThingsConfig()) == {}
    deep = ThingsConfig(saliency=SaliencyChoice(method="deep", network="net.onnx"))
    assert asset_paths(deep) == {"network": "net.onnx"}
    seen = []

    def network(batch: np.ndarray) -> np.ndarray:
        seen.append(batch.shape)
        red: np.ndarray = batch[0, 0]
        return red

    check_assets(deep, {"network": network_handle(network)})
    assert seen == [(1, 3, 320, 320)]


@pytest.mark.parametrize("key", ["mean", "std"])
@pytest.mark.parametrize("value", [(nan, 0.4, 0.4), (0.4, nan, 0.4), (0.4, 0.4, inf), (0.4, 0.4)])
def test_channels_are_normalised_by_numbers(key: str, value: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="three numbers") as caught:
        SaliencyChoice(**{key: value})  # type: ignore[arg-type]
    assert caught.value.key == key


@pytest.mark.parametrize(
    ("key", "keys"),
    [
        ("method", {"method": "magic"}), ("max_things", {"max_things": 0}), ("max_things", {"max_things": 256}),
        ("least_area", {"least_area": 0.5}), ("sam.checkpoint", {"method": "sam"}),
    ],
)  # fmt: skip
def test_choices_that_cannot_be_are_refused(key: str, keys: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        ThingsConfig(**keys)
    assert caught.value.key == key


@given(seed=st.integers(0, 10**6), count=st.integers(2, 30), usual=st.floats(0, 5))
def test_ways_along_the_border_are_no_longer_for_steps_that_are_left_out(seed: int, count: int, usual: float) -> None:
    colours = np.random.default_rng(seed).uniform(0, 60, (count, 3))
    lengths = np.maximum(np.linalg.norm(colours[:, None] - colours, axis=-1) - usual, 1e-3)
    few = np.full_like(lengths, np.inf)
    first, second = _direct_steps(colours, usual)
    few[first, second] = few[second, first] = lengths[first, second]
    np.testing.assert_allclose(shortest_path(few), shortest_path(lengths), rtol=1e-9)
