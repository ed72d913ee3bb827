"""What the procedural source promises."""

import re
import time
from dataclasses import replace

import numpy as np
import pytest
from skimage.color import rgb2lab

from conf.errors import ConfigError
from pipelines.sources.framing import Framing
from pipelines.sources.scenes import ScenesSource
from pipelines.sources.scenes.palette import COLOURS, VOCABULARY
from pipelines.sources.source import GroundTruth, Picture

KINDS = ("landscape", "still_life", "building", "boat", "figure")
SMALL = Framing(height_px=128, width_px=128)
SOURCE = ScenesSource(seed=5)


def load(index: int, framing: Framing = SMALL, source: ScenesSource = SOURCE) -> tuple[str, Picture, GroundTruth]:
    entry = source.index(index + 1)[index]
    picture = source.load(entry, framing)
    assert entry.caption is not None and picture.truth is not None
    return entry.caption, picture, picture.truth


def shares(truth: GroundTruth) -> dict[str, float]:
    """Share of the canvas of each name."""
    counts = np.bincount(truth.labels.ravel(), minlength=len(truth.names)) / truth.labels.size
    return {name: sum(c for c, n in zip(counts, truth.names, strict=True) if n == name) for name in truth.names}


def nearest_colour(rgb: np.ndarray) -> str:
    """The word for a colour, found with another Lab than the generator's own."""
    lab = rgb2lab(rgb[None, None])[0, 0]
    distance = {
        name: min(np.linalg.norm(rgb2lab(np.array(shade)[None, None] / 255.0)[0, 0] - lab) for shade in shades)
        for name, shades in VOCABULARY.items()
    }
    return min(distance, key=lambda name: distance[name])


def label_name(colour: str, noun: str, names: tuple[str, ...]) -> str | None:
    """The name in the label map that a colour and a noun of a caption speak of."""
    if (colour, noun) == ("white", "snow"):
        return "snow"
    noun = {"wooden table": "table", "wood": "table"}.get(noun, noun)
    singular = {"churches": "church", "bushes": "bush"}.get(noun, noun.removesuffix("s"))
    return next((name for name in (f"{colour} {noun}", f"{colour} {singular}") if name in names), None)


def coloured_nouns(caption: str) -> list[tuple[str, str]]:
    """Every colour word of a caption, and its noun."""
    nouns = r"wooden table|rowing boat|pine tree|\w+"
    return re.findall(rf"\b({'|'.join(COLOURS)}) ({nouns})", caption)


def test_same_entry_gives_the_same_bytes() -> None:
    for index in range(6):
        one, two = load(index)[1], load(index, source=ScenesSource(seed=5))[1]
        assert one.image.tobytes() == two.image.tobytes()
        assert one.truth is not None and two.truth is not None
        assert one.truth.labels.tobytes() == two.truth.labels.tobytes()


def test_pictures_are_float32_rgb_of_the_size_asked_for() -> None:
    for index, (height, width) in enumerate([(64, 64), (256, 160), (96, 256), (64, 300), (300, 64), (200, 200)] * 3):
        _, picture, truth = load(index, Framing(height_px=height, width_px=width))
        assert picture.image.shape == (height, width, 3) and picture.image.dtype == np.float32
        assert np.isfinite(picture.image).all() and picture.image.min() >= 0 and picture.image.max() <= 1
        assert truth.labels.shape == (height, width) and truth.labels.dtype == np.uint16


def test_another_size_shows_the_same_scene() -> None:
    for index in range(20):
        small, large = shares(load(index)[2]), shares(load(index, Framing(height_px=288, width_px=288))[2])
        for name in small.keys() | large.keys():
            assert abs(small.get(name, 0.0) - large.get(name, 0.0)) < 0.03, (index, name)


def test_other_shapes_leave_nothing_out_of_the_picture() -> None:
    for index in range(12):
        square = load(index)[2]
        for height, width in ((128, 200), (200, 128)):
            wide = load(index, Framing(height_px=height, width_px=width))[2]
            assert set(square.names) == set(wide.names), index


def test_different_indices_and_seeds_give_different_pictures() -> None:
    pictures = {load(index)[1].image.tobytes() for index in range(12)}
    pictures |= {load(index, source=ScenesSource(seed=6))[1].image.tobytes() for index in range(12)}
    assert len(pictures) == 24


def test_labels_partition_the_canvas_and_all_names_can_be_seen() -> None:
    for index in range(40):
        _, _, truth = load(index)
        assert set(np.unique(truth.labels)) == set(range(len(truth.names)))


def test_orders_are_permutations_that_begin_with_background_and_end_with_it() -> None:
    for index in range(20):
        _, _, truth = load(index)
        assert sorted(truth.depth_order) == sorted(truth.saliency_order) == list(range(len(truth.names)))
        assert truth.depth_order[0] == 0 and truth.saliency_order[-1] == 0


def test_the_beach_is_nearer_than_the_sea() -> None:
    found = 0
    for index in range(60):
        _, _, truth = load(index, Framing(height_px=64, width_px=64))
        place = {truth.names[label]: i for i, label in enumerate(truth.depth_order)}
        for beach in ("yellow beach", "brown beach"):
            if beach in place and "sea" in place:
                assert place["sea"] < place[beach]
                found += 1
    assert found


@pytest.mark.parametrize("kind", KINDS)
def test_every_colour_of_a_caption_is_the_colour_seen(kind: str) -> None:
    source = ScenesSource(seed=11, kinds=(kind,))
    for index in range(24):
        caption, picture, truth = load(index, Framing(height_px=96, width_px=96), source)
        for colour, noun in coloured_nouns(caption):
            name = label_name(colour, noun, truth.names)
            if name is None and colour == "orange":
                name = "orange"  # the fruit
            assert name in truth.names, f"{caption!r} speaks of {colour} {noun}, shown are {truth.names}"
            labels = [i for i, n in enumerate(truth.names) if n == name]
            pixels = picture.image[np.isin(truth.labels, labels)]
            assert nearest_colour(pixels.mean(0)) == colour, f"{index} {caption!r}: {name} is {pixels.mean(0)}"


def test_things_are_as_many_as_the_caption_says() -> None:
    numbers = {"two": 2, "three": 3, "four": 4, "five": 5}
    pattern = re.compile(rf"\b({'|'.join(numbers)}) ({'|'.join(COLOURS)}) (pine trees|rowing boats|\w+)")
    told = 0
    for index, entry in enumerate(SOURCE.index(150)):
        for number, colour, noun in pattern.findall(entry.caption or ""):
            truth = load(index)[2]
            name = label_name(colour, noun, truth.names)
            assert truth.names.count(str(name)) == numbers[number], (entry.caption, truth.names)
            told += 1
    assert told > 10


@pytest.mark.parametrize("word", ["lake", "sea", "path", "sun", "moon", "clouds", "lemon", "orange", "plum"])
def test_uncoloured_words_are_shown_too(word: str) -> None:
    kinds = ("still_life",) if word in ("lemon", "orange", "plum") else tuple(k for k in KINDS if k != "still_life")
    source = ScenesSource(seed=3, kinds=kinds)
    pattern = re.compile(
        rf"\b(a|an|the|soft|drifting|with)( low| bright| full)? {word}\b(?! (?!and|on|in|before|against|over)\w)"
    )
    said = [entry for entry in source.index(150) if pattern.search(entry.caption or "")][:4]
    assert said
    for entry in said:
        truth = source.load(entry, SMALL).truth
        assert truth is not None
        assert word in truth.names, (entry.caption, truth.names)


def test_the_subject_can_be_seen_at_64_pixels() -> None:
    for kind in ("building", "boat", "figure"):
        source = ScenesSource(seed=2, kinds=(kind,))
        for index in range(10):
            _, _, truth = load(index, Framing(height_px=64, width_px=64), source)
            subject = truth.names[truth.saliency_order[0]]
            assert shares(truth)[subject] > 0.008, (kind, index, subject)


def test_captions_are_varied_and_compositional() -> None:
    captions = [entry.caption or "" for entry in ScenesSource(seed=0).index(400)]
    assert len(set(captions[:200])) >= 180
    skies = {m for c in captions for m in re.findall(r"(\w+) sky", c)}
    assert len(skies) >= 9
    pairs = {
        (house, sky)
        for c in captions
        for house in re.findall(r"(\w+) house\b", c)
        for sky in re.findall(r"(\w+) sky", c)
    }
    assert len(pairs) > 25


def test_index_is_a_prefix_of_a_longer_one_and_slices_agree() -> None:
    long, short = SOURCE.index(100), SOURCE.index(10)
    assert len(short) == 10 and list(short) == list(long[:10]) and long[37:40][1] == long[38] and long[-1] == long[99]
    assert len(ScenesSource(num_pictures=7).index(None)) == 7
    with pytest.raises(IndexError):
        short[10]


def test_index_is_cheap() -> None:
    start = time.process_time()
    entries = list(SOURCE.index(3000))
    assert time.process_time() - start < 3.0
    assert len({entry.id for entry in entries}) == len({entry.sha256 for entry in entries}) == 3000
    assert {entry.licence for entry in entries} == {"CC0-1.0"}


def test_recipes_tell_series_and_kinds_apart() -> None:
    first = [s.index(1)[0].sha256 for s in (SOURCE, replace(SOURCE, seed=6), replace(SOURCE, kinds=("boat",)))]
    assert len(set(first)) == 3


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kinds", ("castle",)),
        ("kinds", ()),
        ("kinds", ("boat", "boat")),
        ("seed", -1),
        ("num_pictures", 0),
        ("num_pictures", 10**8 + 1),
        ("num_pictures", 10**20),
    ],
)
def test_bad_configuration_is_named(field: str, value: object) -> None:
    with pytest.raises(ConfigError) as raised:
        ScenesSource(**{field: value})  # type: ignore[arg-type]
    assert raised.value.key == field
