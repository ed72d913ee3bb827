"""What training gets to see: every sequence, whole, in order, on any storage, with any number of ranks and workers."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import torch
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pipelines.small_dataset import painted_frames, small_dataset
from training.data.batch import SequenceBatch
from training.data.source import StreamSource
from training.data.stream import DataMixture, SequenceStream

CAPTIONS = tuple(f"picture {number}" for number in range(15))  # ten in train, in two shards of five


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_dataset(tmp_path_factory.mktemp("stream") / "scenes", captions=CAPTIONS, num_frames=3)


@pytest.fixture(scope="module")
def stream(folder: Path) -> SequenceStream:
    return SequenceStream.open([DataMixture(path=str(folder))])


def take(stream: SequenceStream, steps: int, batch: int, **how: Any) -> list[SequenceBatch]:
    with stream.batches(**{"seed": 0, "batch_size": batch, **how}) as batches:
        return list(islice(batches, steps))


def keys(batches: Sequence[SequenceBatch]) -> list[str]:
    return [key for batch in batches for key in batch.keys]


def joined(batches: Sequence[SequenceBatch]) -> torch.Tensor:
    return torch.cat([batch.frames for batch in batches if batch.frames is not None])


def test_methods_that_two_data_sets_call_alike_keep_their_phrases(stream: SequenceStream) -> None:
    def called(name: str, **phrases: str) -> StreamSource:
        (source,) = stream.sources
        recipe = {"renderers": [{"name": method, "phrase": phrase} for method, phrase in phrases.items()]}
        card = replace(source.split.card, recipe=recipe)
        return replace(source, split=replace(source.split, name=name, card=card))

    oils, inks = called("oils", oil="in oil", studio="drawn, in oil"), called("inks", oil="in oil", studio="in ink")
    assert replace(stream, sources=(oils, inks)).facts["phrases"] == {
        "oil": "in oil", "studio": "drawn, in oil", "studio of inks": "in ink",
    }  # fmt: skip


def test_an_epoch_shows_every_sequence_once(stream: SequenceStream) -> None:
    seen = keys(take(stream, len(stream) // 2, 2))
    assert len(stream) == 10 and sorted(seen) == [f"scenes/{index:08d}" for index in range(10)] and seen != sorted(seen)


def test_frames_are_those_that_were_stored(stream: SequenceStream) -> None:
    for batch in take(stream, 5, 2):
        assert batch.frames is not None and batch.frames.dtype == torch.float32 and batch.frames.is_contiguous()
        assert batch.frames.shape == (2, 3, 3, 48, 64)
        for key, caption, frames in zip(batch.keys, batch.captions, batch.frames, strict=True):
            index = int(key.rpartition("/")[2])
            stored = painted_frames(index, 3, (64, 48)).transpose(0, 3, 1, 2)
            np.testing.assert_allclose(frames.numpy(), stored / 127.5 - 1, atol=1e-6)
            assert caption == CAPTIONS[index]


def test_the_last_frame_alone_is_the_last_of_all_frames(folder: Path, stream: SequenceStream) -> None:
    last = SequenceStream.open([DataMixture(path=str(folder))], frames="last")
    assert (last.num_frames, stream.num_frames) == (1, 3)
    assert torch.equal(joined(take(last, 3, 3)), joined(take(stream, 3, 3))[:, -1:])


def test_a_share_of_single_pictures_are_earlier_frames_of_their_sequences(folder: Path, stream: SequenceStream) -> None:
    def drawn(unfinished: float, steps: int = 40, **how: Any) -> torch.Tensor:
        pictures = SequenceStream.open([DataMixture(path=str(folder))], frames="last", unfinished=unfinished)
        return joined(take(pictures, steps, 5, **how))

    def numbers(pictures: torch.Tensor) -> torch.Tensor:
        """Which frame of its sequence each picture is."""
        is_frame = (pictures == joined(take(stream, 40, 5))).flatten(2).all(2)
        assert is_frame.any(1).all()
        return is_frame.int().argmax(1)

    counts = numbers(drawn(0.5)).bincount(minlength=3) / 200
    assert counts[2] == pytest.approx(0.5, abs=0.1) and counts[0] > 0.15 and counts[1] > 0.15
    assert (numbers(drawn(0.0)) == 2).all() and (numbers(drawn(1.0)) < 2).all()
    assert torch.equal(drawn(0.5, 3, start=50), drawn(0.5)[50:65])  # resumed


def test_resume_twice_in_one_epoch_sees_every_sample_once(stream: SequenceStream) -> None:
    legs = [take(stream, 2, 2), take(stream, 1, 2, start=4), take(stream, 2, 2, start=6)]
    assert sorted(keys([batch for leg in legs for batch in leg])) == [f"scenes/{index:08d}" for index in range(10)]


@settings(max_examples=15)
@given(st.integers(0, 5), st.integers(1, 3), st.sampled_from([(1, 1), (2, 1), (2, 2), (3, 1), (1, 4)]))
def test_a_stream_resumed_anywhere_is_the_stream_from_there_on(
    stream: SequenceStream, done: int, steps: int, shape: tuple[int, int]
) -> None:
    batch, world = shape
    whole = take(stream, done + steps, batch, world_size=world, rank=world - 1)[done:]
    resumed = take(stream, steps, batch, world_size=world, rank=world - 1, start=done * batch * world)
    assert keys(whole) == keys(resumed) and torch.equal(joined(whole), joined(resumed))
    assert [batch.positions.tolist() for batch in whole] == [batch.positions.tolist() for batch in resumed]


def test_two_ranks_see_what_one_rank_sees_with_twice_the_batch(stream: SequenceStream) -> None:
    one = take(stream, 7, 4)
    ranks = [take(stream, 7, 2, rank=rank, world_size=2) for rank in range(2)]
    for both, first, second in zip(one, *ranks, strict=True):
        assert both.keys == first.keys + second.keys
        assert torch.equal(both.positions, torch.cat([first.positions, second.positions]))
        assert torch.equal(joined([both]), joined([first, second]))


def test_more_ranks_than_shards_have_equal_work(stream: SequenceStream) -> None:
    ranks = [keys(take(stream, 1, 1, rank=rank, world_size=10)) for rank in range(10)]
    assert sorted(key for rank in ranks for key in rank) == [f"scenes/{index:08d}" for index in range(10)]


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_neither_order_nor_content(stream: SequenceStream, workers: int) -> None:
    alone, with_workers = take(stream, 9, 3), take(stream, 9, 3, num_workers=workers)
    assert keys(alone) == keys(with_workers) and torch.equal(joined(alone), joined(with_workers))


def test_the_val_split_is_another_one(folder: Path, stream: SequenceStream) -> None:
    held_out = SequenceStream.open([DataMixture(path=str(folder))], split="val")
    assert len(held_out) == 5 and not set(keys(take(held_out, 5, 1))) & set(keys(take(stream, 10, 1)))


def test_a_batch_moves_to_a_device_whole(stream: SequenceStream) -> None:
    (batch,) = take(stream, 1, 2)
    moved = batch.to("meta")
    assert moved.keys == batch.keys and len(moved) == 2
    assert moved.frames is not None and {moved.frames.device.type, moved.positions.device.type} == {"meta"}


@pytest.fixture
def in_memory(folder: Path) -> Iterator[str]:
    """The data set in a storage that is no file system."""
    memory = fsspec.filesystem("memory")
    for path in folder.rglob("*.*"):
        memory.pipe_file(f"/bucket/{path.relative_to(folder.parent).as_posix()}", path.read_bytes())
    yield "memory://bucket/scenes"
    memory.rm("/bucket", recursive=True)


@pytest.mark.parametrize("storage", ["memory", "file"])
def test_data_on_another_storage_is_the_same_data(
    storage: str, folder: Path, in_memory: str, stream: SequenceStream
) -> None:
    url = in_memory if storage == "memory" else folder.as_uri()
    there = SequenceStream.open([DataMixture(path=url)])
    assert there.manifest_hashes == stream.manifest_hashes
    here, away = take(stream, 3, 3), take(there, 3, 3)
    assert keys(here) == keys(away) and torch.equal(joined(here), joined(away))


def test_a_remote_shard_is_read_by_ranges_and_never_whole(in_memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ranges: list[tuple[int | None, int | None]] = []
    cat_file = MemoryFileSystem.cat_file

    def noted(self: Any, path: str, start: int | None = None, end: int | None = None, **how: Any) -> Any:
        if path.endswith(".tar"):
            ranges.append((start, end))
        return cat_file(self, path, start=start, end=end, **how)

    monkeypatch.setattr(MemoryFileSystem, "cat_file", noted)
    there = SequenceStream.open([DataMixture(path=in_memory)])
    take(there, 1, 1)
    assert len(ranges) == 2  # one at opening, to see what a sequence looks like, and one for the batch
    assert all(start is not None and end is not None and 0 < end - start < 20_000 for start, end in ranges)


def test_a_mixture_keeps_to_its_weights(tmp_path: Path, folder: Path) -> None:
    other = small_dataset(tmp_path / "other", captions=("a", "b", "c"), num_frames=3)
    mixed = SequenceStream.open(
        [DataMixture(path=str(folder), weight=3), DataMixture(path=str(other), weight=1)], frames="last"
    )
    assert len(mixed) == 12
    seen = keys(take(mixed, 100, 10))
    assert sum(key.startswith("scenes/") for key in seen) == 750
    first_epochs = [key for key in seen if key.startswith("scenes/")][:20]
    assert sorted(first_epochs[:10]) == sorted(first_epochs[10:]) == sorted(set(first_epochs))


def test_manifest_hashes_change_with_the_data(tmp_path: Path, stream: SequenceStream) -> None:
    changed = small_dataset(tmp_path / "scenes", captions=CAPTIONS, num_frames=3, size_px=(64, 56))
    assert SequenceStream.open([DataMixture(path=str(changed))]).manifest_hashes != stream.manifest_hashes


def test_data_sets_may_move(tmp_path: Path, folder: Path, stream: SequenceStream) -> None:
    shutil.copytree(folder, tmp_path / "scenes")
    moved = SequenceStream.open([DataMixture(path=str(tmp_path / "scenes"))])
    assert moved.manifest_hashes == stream.manifest_hashes
    assert keys(take(moved, 2, 2)) == keys(take(stream, 2, 2))
