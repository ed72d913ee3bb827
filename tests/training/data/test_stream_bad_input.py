"""What a stream refuses: in one line that names the data set, before any work is done wherever that can be."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conf.errors import ConfigError, UserError
from tests.pipelines.small_dataset import SHARDS, small_dataset
from training.data.augment import Augmentation
from training.data.dataset import read_card
from training.data.manifest import manifest_path, read_manifest, tar_path
from training.data.source import open_source
from training.data.stream import DataMixture, SequenceStream, refuse_mixed

CAPTIONS = ("a boat", "a hill", "a house", "a lake", "a lamp", "a tree")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return small_dataset(tmp_path / "scenes", captions=CAPTIONS, num_frames=3)


def opened(*folders: Path | str, **how: Any) -> SequenceStream:
    return SequenceStream.open([DataMixture(path=str(folder)) for folder in folders], **how)


def refused(does: Callable[[], Any], *overrides: str) -> None:
    with pytest.raises(UserError) as told:
        does()
    assert "\n" not in str(told.value)
    for word in overrides:
        assert word in str(told.value)


def change_json(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_what_is_no_data_set(tmp_path: Path) -> None:
    refused(lambda: opened(tmp_path / "none"), "none", "no such folder")
    refused(lambda: opened(tmp_path), str(tmp_path), "not a data set")
    refused(lambda: opened(""), "data=")
    refused(lambda: opened("pipe:cat x"), "data=", "shell")
    refused(lambda: opened("nowhere://bucket/scenes"), "data=", "nowhere")
    refused(lambda: SequenceStream.open([]), "data=[]")


def test_a_foreign_schema_version(folder: Path) -> None:
    change_json(folder / "dataset.json", schema_version=1)
    refused(lambda: opened(folder), "dataset.json", "schema version 1")


def test_a_shard_of_a_foreign_schema_version(folder: Path) -> None:
    change_json(manifest_path(folder, SHARDS[1]), schema_version=1)
    refused(lambda: opened(folder), SHARDS[1], "schema version 1")


def test_a_foreign_shard(folder: Path) -> None:
    change_json(manifest_path(folder, SHARDS[1]), config_hash="d" * 64)
    refused(lambda: opened(folder), SHARDS[1], "another data set")


def test_a_data_set_that_is_not_complete(tmp_path: Path) -> None:
    half = small_dataset(tmp_path / "half", captions=CAPTIONS, shards=SHARDS[:1])
    refused(lambda: opened(half), "not complete")


def test_a_manifest_that_is_gone(folder: Path) -> None:
    manifest_path(folder, SHARDS[0]).unlink()
    refused(lambda: opened(folder), "1 of 2 manifests", SHARDS[0])


def test_a_tar_that_is_gone_or_cut_short_or_grown(folder: Path) -> None:
    tar = tar_path(folder, SHARDS[1])
    whole = tar.read_bytes()
    for data in (whole[:-1], whole + b"\0", b""):
        tar.write_bytes(data)
        refused(lambda: opened(folder), f"{SHARDS[1]}.tar is damaged", str(len(data)))
    tar.unlink()
    refused(lambda: opened(folder), f"{SHARDS[1]}.tar is missing")


def test_a_split_that_is_empty(tmp_path: Path) -> None:
    nothing = small_dataset(tmp_path / "nothing", captions=())
    refused(lambda: opened(nothing, split="val"), "val")


def test_missing_captions_unless_none_are_needed(tmp_path: Path) -> None:
    mute = small_dataset(tmp_path / "mute", captions=("a boat", "", "", "a lake", "a lamp", "a tree"))
    refused(lambda: opened(mute), "2 of 4 sequences have no caption", "00000001")
    assert len(opened(mute, captions_required=False)) == 4


def test_another_size_than_is_needed(folder: Path) -> None:
    refused(lambda: opened(folder, size_px=(64, 64)), "(48, 64)", "(64, 64)")
    assert len(opened(folder, size_px=(48, 64))) == 4


def test_a_sequence_with_another_frame_count_than_the_others(folder: Path) -> None:
    path = manifest_path(folder, SHARDS[1])
    manifest = json.loads(path.read_text())
    manifest["records"][0]["frame_steps"] = [0, 1]
    path.write_text(json.dumps(manifest))
    refused(lambda: opened(folder), manifest["records"][0]["key"], "2 frames", "3")


def test_a_sequence_of_another_size_than_the_others(folder: Path, tmp_path: Path) -> None:
    """Only its pixels tell, so it is refused when its turn comes."""
    large = small_dataset(tmp_path / "large", captions=CAPTIONS, num_frames=3, size_px=(64, 56))
    for path in (tar_path, manifest_path):
        shutil.copy(path(large, SHARDS[1]), path(folder, SHARDS[1]))
    refused(lambda: epoch(opened(folder)), "scenes", "(56, 64)", "(48, 64)")


def test_fewer_sequences_than_a_step_takes(folder: Path) -> None:
    stream = opened(folder)
    refused(lambda: stream.batches(seed=0, batch_size=5), "4 sequences", "takes 5")
    refused(lambda: stream.batches(seed=0, batch_size=2, world_size=3), "4 sequences", "3 processes")
    refused(lambda: stream.batches(seed=0, batch_size=1, world_size=8, rank=7), "takes 8")


def test_data_sets_that_do_not_go_together(folder: Path, tmp_path: Path) -> None:
    longer = small_dataset(tmp_path / "longer", captions=CAPTIONS, num_frames=4)
    larger = small_dataset(tmp_path / "larger", captions=CAPTIONS, num_frames=3, size_px=(64, 64))
    namesake = small_dataset(tmp_path / "elsewhere" / "scenes", captions=CAPTIONS, num_frames=3)
    refused(lambda: opened(folder, longer), "longer", "frames a sequence 4", "3")
    refused(lambda: opened(folder, larger), "larger", "(64, 64)", "(48, 64)")
    refused(lambda: opened(folder, namesake), "elsewhere", "same name")


def test_frames_and_latents_do_not_go_together(folder: Path, tmp_path: Path) -> None:
    frames = open_source(str(folder), "train", captions_required=True, base_fingerprint=None)
    split = dataclasses.replace(frames.split, name="latents", url="latents")
    latents = dataclasses.replace(frames, split=split, latent_shape=(3, 4, 6, 8), text_shapes={}, texts=frames.split)
    for sources in ([frames, latents], [latents, frames]):
        refused(
            partial(refuse_mixed, sources), f"latents: encoded, but {folder} holds frames; a mixture needs one kind"
        )


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_weights_that_are_none(weight: float) -> None:
    with pytest.raises(ConfigError, match="weight"):
        DataMixture(path="x", weight=weight)


def test_a_weight_that_would_never_have_a_turn(folder: Path, tmp_path: Path) -> None:
    other = small_dataset(tmp_path / "other", captions=CAPTIONS, num_frames=3)
    parts = [DataMixture(path=str(folder), weight=1e6), DataMixture(path=str(other), weight=1.0)]
    refused(lambda: SequenceStream.open(parts), "weight=1.0", "1/1000")


@pytest.mark.parametrize("field", ["flip", "crop", "colour"])
def test_augmentations_that_are_none(field: str) -> None:
    for value in (-0.1, 1.1, float("nan")):
        with pytest.raises(ConfigError, match=field):
            Augmentation(**{field: value})


def epoch(stream: SequenceStream, workers: int = 0) -> list[Any]:
    with stream.batches(seed=0, batch_size=1, num_workers=workers) as batches:
        return list(islice(batches, len(stream)))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_dataset(tmp_path_factory.mktemp("flips") / "scenes", captions=CAPTIONS[:3], num_frames=2)


@given(place=st.integers(0), bit=st.integers(0, 7))
def test_a_bit_flipped_in_any_sequence_is_never_silent(whole: Path, place: int, bit: int) -> None:
    """In headers, pixels, captions, padding: wherever a sequence is read."""
    manifest = read_manifest(whole, SHARDS[0])
    assert manifest is not None
    span = manifest.samples[0]
    tar = tar_path(whole, SHARDS[0])
    sound = tar.read_bytes()
    damaged = bytearray(sound)
    damaged[span.offset + place % span.length] ^= 1 << bit
    try:
        tar.write_bytes(damaged)
        refused(lambda: epoch(opened(whole)), span.key, "not the bytes")
    finally:
        tar.write_bytes(sound)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_damage_is_told_in_its_turn_and_in_one_line_whoever_reads(folder: Path, workers: int) -> None:
    stream = opened(folder)
    order = [batch.keys[0] for batch in epoch(stream)]
    tar = tar_path(folder, SHARDS[1])
    tar.write_bytes(b"\0" * tar.stat().st_size)
    with stream.batches(seed=0, batch_size=1, num_workers=workers) as batches:
        for key in order:
            if int(key.rpartition("/")[2]) >= 2:  # of the second shard
                refused(lambda: next(batches), SHARDS[1], "damaged")
                break
            assert next(batches).keys == (key,)
        with pytest.raises(StopIteration):
            next(batches)


def test_a_shard_that_goes_away_under_a_run(folder: Path) -> None:
    stream = opened(folder)
    for name in SHARDS[:2]:
        tar_path(folder, name).unlink()
    refused(lambda: epoch(stream), "scenes", "cannot be read")


def test_a_card_whose_shards_are_nobody_s(folder: Path) -> None:
    """Shards that the card does not name do not exist, whatever lies in the folder."""
    shutil.copy(tar_path(folder, SHARDS[0]), folder / "shards" / "train-00007-of-00009.tar")
    assert len(opened(folder)) == 4 and read_card(folder).shards == SHARDS
