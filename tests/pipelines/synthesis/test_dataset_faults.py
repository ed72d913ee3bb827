"""All that is in a data set twice, or does not belong to it, is named, and nothing else."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from pipelines.synthesis.dataset_faults import Crossings, foreign_faults
from training.data.dataset import DatasetCard
from training.data.manifest import SampleSpan, ShardManifest


def shard(name: str, split: str, *sequences: tuple[str, str | int]) -> ShardManifest:
    """A shard of sequences, each of a key and a picture; a whole number is its own hash."""
    return ShardManifest(
        name=name, split=split, sha256="", num_bytes=0, first_index=0, num_planned=len(sequences),
        num_samples=len(sequences), config_hash="", code_version="",
        samples=tuple(SampleSpan(key=key, offset=0, length=1, crc32=0) for key, _ in sequences),
        records=tuple({"source": f"{picture}.png", "source_sha256": picture} for _, picture in sequences),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("shards", "faults"),
    [
        ([shard("a", "train", ("0", "x"), ("1", "y")), shard("b", "val", ("2", "z"), ("3", "w"))], []),
        ([shard("a", "train", ("0", "x")), shard("b", "text", *((f"key{n}", f"{n}") for n in range(20)))], []),
        ([shard("a", "train", ("0", "x"), ("1", "x")), shard("b", "train", ("2", "x"))], []),
        (
            [
                shard("a", "train", ("0", "x"), ("1", "y")),
                shard("b", "train", ("1", "z")),
                shard("c", "val", ("1", "w")),
            ],
            ["sequence 1 stands in a and in b", "sequence 1 stands in b and in c"],
        ),
        (
            [shard("a", "train", ("0", "x"), ("1", "y")), shard("b", "val", ("2", "z"), ("3", "y"), ("4", "w"))],
            ["picture y.png stands in both splits"],
        ),
        (
            [shard("a", "train", ("0", -5)), shard("b", "val", ("1", -5))],  # no number, if it were read as a float
            ["picture -5.png stands in both splits"],
        ),
        (
            [shard("a", "train", ("0", "x")), shard("b", "val", ("0", "x"))],
            ["sequence 0 stands in a and in b", "picture x.png stands in both splits"],
        ),
    ],
)
def test_what_stands_twice_is_named_and_nothing_else(shards: Sequence[ShardManifest], faults: Sequence[str]) -> None:
    crossings, read_again = Crossings(), list[int]()

    def manifests() -> Sequence[ShardManifest]:
        read_again.append(1)
        return shards

    assert list(crossings.noting(shards)) == shards
    assert list(crossings.faults(manifests)) == faults
    assert bool(read_again) == bool(faults)  # a sound data set is read once


def test_files_and_folders_of_shards_that_nobody_planned_are_named_one_by_one(tmp_path: Path) -> None:
    planned, shards = "00001/train-00000-of-00002", tmp_path / "shards"
    for name in (
        "00000/old.tar", "00000/old.json", f"{planned}.tar", f"{planned}.json", f"{planned}.txt",
        "00001/other.tar", "00001/.a.tar.7-0123abcd.tmp", "00002/new.tar", "loose.tar", f"{Path(planned).name}.tar",
    ):  # fmt: skip
        (shards / name).parent.mkdir(parents=True, exist_ok=True)
        (shards / name).touch()
    card = cast(DatasetCard, SimpleNamespace(shards=(planned, "00001/train-00001-of-00002")))
    others = ("loose.tar", "train-00000-of-00002.tar", "00000/", "00001/other.tar", f"{planned}.txt", "00002/")
    assert list(foreign_faults(tmp_path, card)) == [
        f"{shards}/{name}: a {'folder of shards' if name.endswith('/') else 'shard'} that nobody planned"
        for name in others
    ]
