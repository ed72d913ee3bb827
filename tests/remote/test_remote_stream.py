"""Training reads from a bucket what it reads from a disk, and goes on exactly where it was."""

import os
import time
from pathlib import Path

import pytest
import torch
import webdataset as wds

from conf.errors import UserError
from tests.object_store import Faults, ObjectStore
from tests.pipelines.small_dataset import small_dataset
from training.data import sequential, shard_cache
from training.data.layout import tar_name
from training.data.manifest import temporary_path
from training.data.shard_cache import ShardCache
from training.data.stream import DataMixture, SequenceStream

CAPTIONS = [f"picture {number}" for number in range(24)]


@pytest.fixture
def stored(store: ObjectStore, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a data set, which also stands in `tmp_path / "data"`."""
    monkeypatch.setattr(sequential, "BUFFER", 4)
    root = small_dataset(tmp_path / "data", captions=CAPTIONS)
    store.storage().put(str(root), f"{bucket}/data", recursive=True)
    return f"{bucket}/data"


def opened(url: str, cache: ShardCache | None) -> SequenceStream:
    return SequenceStream.open([DataMixture(path=url)], cache=cache)


def keys(stream: SequenceStream, steps: int, start: int = 0, num_workers: int = 0, batch_size: int = 2) -> list[str]:
    with stream.batches(seed=0, batch_size=batch_size, start=start * batch_size, num_workers=num_workers) as batches:
        return [key for _, batch in zip(range(steps), batches, strict=False) for key in batch.keys]


def test_whole_shards_of_a_bucket_give_what_those_of_a_disk_do(store: ObjectStore, stored: str, tmp_path: Path) -> None:
    cache = ShardCache(folder=tmp_path / "cache")
    remote, local = opened(stored, cache), opened(str(tmp_path / "data"), cache)
    with remote.batches(seed=0, batch_size=4) as one, local.batches(seed=0, batch_size=4) as two:
        for _, here, there in zip(range(12), one, two, strict=False):
            assert here.keys == there.keys and here.captions == there.captions
            assert here.frames is not None and there.frames is not None and torch.equal(here.frames, there.frames)
    assert sorted(keys(remote, len(remote) // 2)) == sorted(keys(opened(stored, None), len(remote) // 2))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_stream_of_whole_shards_goes_on_where_it_was(stored: str, tmp_path: Path, num_workers: int) -> None:
    stream = opened(stored, ShardCache(folder=tmp_path / "cache"))
    whole = keys(stream, 20, num_workers=num_workers)
    for start in (1, 7, 12):
        again = opened(stored, ShardCache(folder=tmp_path / f"cache-{start}"))
        assert keys(again, 20 - start, start, num_workers) == whole[2 * start :]


def test_a_shard_is_fetched_once_and_the_cache_keeps_to_its_size(
    store: ObjectStore, stored: str, tmp_path: Path
) -> None:
    kept = ShardCache(folder=tmp_path / "kept")
    keys(opened(stored, kept), 40)
    tars = list((tmp_path / "kept").glob("*/*.tar"))
    assert len(tars) == 2
    stream = opened(stored, kept)
    store.works()
    keys(stream, 40)
    assert "GET" not in store.counts()
    one = max(path.stat().st_size for path in tars)
    keys(opened(stored, ShardCache(folder=tmp_path / "small", max_bytes=one)), 40)
    assert len(list((tmp_path / "small").glob("*/*.tar"))) == 1
    assert len(keys(opened(stored, ShardCache(folder=tmp_path / "none", max_bytes=0)), 40)) == 80
    assert not list((tmp_path / "none").glob("*/*"))


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_damaged_shard_of_the_cache_is_fetched_again(
    store: ObjectStore, stored: str, tmp_path: Path, damage: str
) -> None:
    cache = ShardCache(folder=tmp_path / "cache")
    whole = keys(opened(stored, cache), 20)
    committed = {path: path.read_bytes() for path in (tmp_path / "cache").glob("*/*.tar")}
    for path, data in committed.items():
        path.write_bytes(data[:5000] if damage == "cut" else bytes(byte ^ 1 for byte in data))
    assert keys(opened(stored, cache), 20) == whole
    assert {path: path.read_bytes() for path in committed} == committed


def test_a_reader_keeps_few_large_shards_open(stored: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_cache, "_MOST_OPEN_BYTES", 1)
    monkeypatch.setattr(shard_cache, "_FEWEST_OPEN", 1)
    split = opened(stored, None).sources[0].split
    shards = shard_cache.OpenShards(ShardCache(folder=tmp_path / "cache", max_bytes=0))
    for number in (0, 1, 0):
        assert shards.read(split, number, 0, 8) == store_bytes(tmp_path / "data", split.shards[number])
    assert len(shards._open) == len(shards._num_bytes) == 1


def store_bytes(root: Path, shard: str) -> bytes:
    return (root / tar_name(shard)).read_bytes()[:8]


def test_what_a_killed_process_left_half_fetched_is_removed_in_time(stored: str, tmp_path: Path) -> None:
    fresh, old = (temporary_path(tmp_path / "cache" / "ab" / name) for name in ("one.tar", "two.tar"))
    fresh.parent.mkdir(parents=True)
    for path in (fresh, old):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    keys(opened(stored, ShardCache(folder=tmp_path / "cache")), 1)
    assert fresh.exists() and not old.exists()


def test_faults_of_the_store_change_nothing(store: ObjectStore, stored: str, tmp_path: Path) -> None:
    whole = keys(opened(stored, ShardCache(folder=tmp_path / "one")), 20)
    store.fails(Faults(throttled=0.1, dropped=0.1, cut=0.1, seed=5))
    assert keys(opened(stored, ShardCache(folder=tmp_path / "two")), 20) == whole
    assert keys(opened(stored, None), 4) == keys(opened(str(tmp_path / "data"), None), 4)


def test_another_tar_than_the_committed_one_is_refused(store: ObjectStore, stored: str, tmp_path: Path) -> None:
    stream = opened(stored, ShardCache(folder=tmp_path / "cache"))
    for tar in store.storage().glob(f"{stored}/shards/train-*.tar"):
        data = bytearray(store.storage().cat_file(tar))
        data[700] ^= 1
        store.storage().pipe_file(tar, bytes(data))
    with pytest.raises(UserError, match="not the bytes that were committed"):
        keys(stream, 1)
    deadline = time.monotonic() + 10
    while list((tmp_path / "cache").glob("*/.*.tmp")) and time.monotonic() < deadline:
        time.sleep(0.02)  # the other shard is fetched meanwhile, and refused as well
    assert not list((tmp_path / "cache").glob("*/*"))


def test_listings_that_lag_hide_no_shard(store: ObjectStore, stored: str, tmp_path: Path) -> None:
    store.fails(Faults(lag_s=3600))
    assert keys(opened(stored, None), 2) == keys(opened(str(tmp_path / "data"), None), 2)


def test_stock_readers_read_what_we_write(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="Skipped: needs datasets")
    root = small_dataset(tmp_path / "data", captions=CAPTIONS)
    tars = sorted(str(path) for path in (root / "shards").glob("train-*.tar"))
    samples = list(wds.WebDataset([f"file:{tar}" for tar in tars], shardshuffle=False))
    hub = datasets.load_dataset(
        "webdataset", data_files={"train": tars}, split="train", streaming=True, cache_dir=str(tmp_path / "hub")
    )
    rows = list(hub)
    assert [row["__key__"] for row in rows] == [sample["__key__"] for sample in samples] and len(rows) == 16
    assert [row["txt"] for row in rows] == [sample["txt"].decode() for sample in samples]
    assert all(row["07.webp"].size == (64, 48) for row in rows)
