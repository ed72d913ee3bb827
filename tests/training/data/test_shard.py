"""Shards: byte-reproducible, absent until whole, readable by offset."""

import errno
import os
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from training.data import shard as shard_module
from training.data.layout import shards_folder
from training.data.manifest import ShardManifest, hash_file, read_manifest, tar_path
from training.data.sequence import parse_sequence, read_sequences
from training.data.shard import ShardWriter

NAME = "train-00000-of-00001"
FACTS: dict[str, Any] = {
    "split": "train",
    "first_index": 0,
    "num_planned": 3,
    "config_hash": "c",
    "code_version": "0",
    "records": ({"key": "00000000"},),
    "quarantined": ({"key": "00000002", "reason": "torn"},),
}


def members(number: int) -> dict[str, bytes]:
    return {
        "txt": f"picture {number}".encode(),
        "json": b'{"key": %d}' % number,
        "00.webp": bytes([number]) * 700,
        "strokes.npz": b"s" * 512,
    }


def write(root: Path) -> ShardManifest:
    shards_folder(root).mkdir(parents=True, exist_ok=True)
    with ShardWriter(root, NAME) as writer:
        for number in range(2):
            writer.add(f"{number:08d}", members(number))
        return writer.commit(**FACTS)


def test_the_same_sequences_give_the_same_bytes_at_another_time(tmp_path: Path) -> None:
    write(tmp_path / "a")
    time.sleep(1.1)
    write(tmp_path / "b")
    for name in (f"{NAME}.tar", f"{NAME}.json"):
        one, two = (shards_folder(tmp_path / root) / name for root in "ab")
        assert one.read_bytes() == two.read_bytes()


def test_a_tar_says_nothing_of_when_where_and_by_whom(tmp_path: Path) -> None:
    write(tmp_path)
    with tarfile.open(tar_path(tmp_path, NAME)) as tar:
        entries = tar.getmembers()
    assert {(e.mtime, e.uid, e.gid, e.uname, e.gname, e.mode) for e in entries} == {(0, 0, 0, "", "", 0o644)}
    assert [entry.name for entry in entries] == sorted(entry.name for entry in entries)


def test_the_manifest_tells_the_truth(tmp_path: Path) -> None:
    manifest = write(tmp_path)
    tar = tar_path(tmp_path, NAME)
    assert (manifest.sha256, manifest.num_bytes) == (hash_file(tar), tar.stat().st_size)
    assert (manifest.num_samples, manifest.num_planned, len(manifest.quarantined)) == (2, 3, 1)
    assert read_manifest(tmp_path, NAME) == manifest


def test_each_sequence_is_where_the_manifest_says(tmp_path: Path) -> None:
    manifest = write(tmp_path)
    data = tar_path(tmp_path, NAME).read_bytes()
    for number, span in enumerate(manifest.samples):
        found = parse_sequence(span.key, data[span.offset : span.offset + span.length])
        assert found.members == members(number)
    assert [sequence.caption for sequence in read_sequences(tmp_path, manifest)] == ["picture 0", "picture 1"]


def test_an_error_inside_leaves_nothing(tmp_path: Path) -> None:
    shards_folder(tmp_path).mkdir()
    with pytest.raises(TypeError), ShardWriter(tmp_path, NAME) as writer:
        writer.add("00000000", {**members(0), "txt": None})  # type: ignore[dict-item]
    assert list(shards_folder(tmp_path).iterdir()) == []


def test_leaving_without_a_commit_leaves_nothing(tmp_path: Path) -> None:
    shards_folder(tmp_path).mkdir()
    with ShardWriter(tmp_path, NAME) as writer:
        writer.add("00000000", members(0))
    assert list(shards_folder(tmp_path).iterdir()) == []


def test_until_the_commit_nothing_has_the_shard_s_name(tmp_path: Path) -> None:
    shards_folder(tmp_path).mkdir()
    with ShardWriter(tmp_path, NAME) as writer:
        writer.add("00000000", members(0))
        (temporary,) = shards_folder(tmp_path).iterdir()
        assert temporary.name.startswith(f".{NAME}.tar.") and temporary.suffix == ".tmp"


def test_a_disk_that_fills_at_the_last_byte_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write(tmp_path)
    assert list(shards_folder(tmp_path).iterdir()) == []


def test_the_manifest_comes_after_the_tar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shard_module, "write_atomically", killed)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path)
    assert [path.name for path in shards_folder(tmp_path).iterdir()] == [f"{NAME}.tar"]
    assert read_manifest(tmp_path, NAME) is None


def test_a_shard_of_nothing_but_refused_pictures_is_a_shard(tmp_path: Path) -> None:
    shards_folder(tmp_path).mkdir()
    with ShardWriter(tmp_path, NAME) as writer:
        manifest = writer.commit(**FACTS)
    assert list(read_sequences(tmp_path, manifest)) == []
    with tarfile.open(tar_path(tmp_path, NAME)) as tar:
        assert tar.getmembers() == []
