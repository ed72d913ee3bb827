"""Files that are whole or absent, and the records made with them."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from training.data.layout import (
    MOST_SHARDS_TOGETHER,
    frame_member,
    is_folder_of_shards,
    is_shard_name,
    number_of,
    sequence_key,
    shard_name,
    shard_names,
    split_of,
)
from training.data.manifest import (
    SampleSpan,
    ShardManifest,
    manifest_path,
    read_manifest,
    sweep_temporaries,
    temporary_path,
    to_json,
    write_atomically,
)

MANIFEST = ShardManifest(
    name="train-00000-of-00001",
    split="train",
    sha256="ab",
    num_bytes=5,
    first_index=0,
    num_planned=1,
    num_samples=1,
    config_hash="c",
    code_version="0",
    samples=(SampleSpan(key="00000000", offset=0, length=5, crc32=7),),
    records=({"caption": "Ölbild"},),
)


def test_a_written_file_is_there_and_nothing_else(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", b"one")
    write_atomically(tmp_path / "a", b"two")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"two"}


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_keeps_the_old_file_and_leaves_no_other(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError("no")

    write_atomically(tmp_path / "a", b"one")
    monkeypatch.setattr(os, step, fails)
    with pytest.raises(OSError, match="no"):
        write_atomically(tmp_path / "a", b"two")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"one"}


def test_a_write_that_cannot_begin_says_why_in_the_disk_s_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OSError, match="no room"):
        write_atomically(tmp_path / "a", b"one")
    assert list(tmp_path.iterdir()) == []


def test_what_another_has_swept_already_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary_path(tmp_path / "kept").touch()
    is_dir = Path.is_dir

    def swept_meanwhile(path: Path) -> bool:
        if path.suffix == ".tmp":
            path.unlink()
        return is_dir(path)

    monkeypatch.setattr(Path, "is_dir", swept_meanwhile)
    assert sweep_temporaries(tmp_path) == 1 and list(tmp_path.iterdir()) == []


def test_a_file_reaches_the_disk_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        order.append("fsync")
        fsync(descriptor)

    def replaced(old: Path, new: Path) -> None:
        order.append("replace")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    write_atomically(tmp_path / "a", b"")
    assert order == ["fsync", "replace", "fsync"]


def test_what_a_killed_writer_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    write_atomically(tmp_path / "kept", b"")
    (tmp_path / ".hidden").touch()
    (tmp_path / "theirs.tmp").touch()
    code = (
        "import os, sys, pathlib\nfrom training.data.manifest import temporary_path\n"
        "temporary_path(pathlib.Path(sys.argv[1]) / 'kept').write_bytes(b'half')\nos.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, tmp_path]).returncode == -9
    assert len(list(tmp_path.iterdir())) == 4
    assert sweep_temporaries(tmp_path) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "kept", "theirs.tmp"]


def test_temporaries_do_not_meet(tmp_path: Path) -> None:
    assert len({temporary_path(tmp_path / "a") for _ in range(100)}) == 100


def test_a_manifest_is_read_as_written() -> None:
    assert ShardManifest.from_json(MANIFEST.to_json()) == MANIFEST
    assert "Ölbild" in MANIFEST.to_json()


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[:-20],
        lambda text: "[]",
        lambda text: "null",
        lambda text: "{}",
        lambda text: text.replace('"schema_version": 2', '"schema_version": 3'),
        lambda text: text.replace('"num_bytes"', '"num_bites"'),
        lambda text: text.replace('"offset"', '"ofset"'),
    ],
)
def test_what_is_not_a_manifest_is_refused(damage: Any, tmp_path: Path) -> None:
    path = manifest_path(tmp_path, MANIFEST.name)
    path.parent.mkdir()
    path.write_text(damage(MANIFEST.to_json()))
    with pytest.raises(ValueError, match=str(path)):
        read_manifest(tmp_path, MANIFEST.name)


def test_no_file_is_no_shard(tmp_path: Path) -> None:
    assert read_manifest(tmp_path, MANIFEST.name) is None


def test_json_is_sorted_and_refuses_what_others_cannot_read() -> None:
    assert to_json({"b": 1, "a": "é"}) == '{\n "a": "é",\n "b": 1\n}\n'
    with pytest.raises(ValueError):
        to_json(float("nan"))


def test_names_are_as_the_layout_says() -> None:
    assert shard_name("train", 3, 16) == "train-00003-of-00016"
    assert is_shard_name("val-00000-of-123456")
    assert not any(is_shard_name(name) for name in ("train-3-of-16", "test-00000-of-00001", ".train-00000-of-00001"))
    assert sequence_key(12) == "00000012"


@pytest.mark.parametrize("counts", [{"train": 2_600, "val": 2_401}, {"train": 39_063, "val": 5_000, "text": 30_000}])
def test_no_folder_of_shards_holds_more_than_ten_thousand_files(counts: dict[str, int]) -> None:
    names = list(shard_names(counts))
    assert len(set(names)) == sum(counts.values()) and all(map(is_shard_name, names))
    assert {split: sum(split_of(name) == split for name in names) for split in counts} == counts
    assert sorted(number_of(name) for name in names if split_of(name) == "train") == list(range(counts["train"]))
    folders = Counter(name.rpartition("/")[0] for name in names)
    assert 2 * max(folders.values()) <= 10_000 and len(folders) <= 10_000
    assert all(map(is_folder_of_shards, folders))


def test_few_shards_stand_in_one_folder_as_ever() -> None:
    names = list(shard_names({"train": MOST_SHARDS_TOGETHER - 1, "val": 1}))
    assert 2 * len(names) == 10_000
    assert names[:1] + names[-1:] == ["train-00000-of-04999", "val-00000-of-00001"]


@pytest.mark.parametrize("name", ["../train-00000-of-00001", "0/train-00000-of-00001", "00000/../a", "00000/"])
def test_no_shard_is_outside_the_folders_of_shards(name: str) -> None:
    assert not is_shard_name(name)


@pytest.mark.parametrize("num_frames", [2, 8, 99, 100, 101, 256])
def test_frames_sort_by_name(num_frames: int) -> None:
    names = [frame_member(frame, num_frames, "webp") for frame in range(num_frames)]
    assert names == sorted(set(names))
    assert names[0] == ("00.webp" if num_frames <= 100 else "000.webp")


def test_what_people_call_tmp_is_theirs(tmp_path: Path) -> None:
    theirs = {".notes.tmp", "a.tmp", ".a.12.tmp", ".a.12-zz.tmp", "a.12-0123abcd.tmp"}
    for name in theirs:
        (tmp_path / name).write_text("mine")
    temporary_path(tmp_path / "a").write_text("")
    temporary_path(tmp_path / "a folder\nof two lines").mkdir()
    assert sweep_temporaries(tmp_path) == 2
    assert {path.name for path in tmp_path.iterdir()} == theirs
