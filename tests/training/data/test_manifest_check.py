"""All parts of a manifest agree, or the first that does not is named."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conf.errors import UserError
from training.data.layout import shards_folder
from training.data.manifest import (
    SampleSpan,
    ShardManifest,
    hash_file,
    manifest_path,
    parse_manifest,
    read_checked_manifest,
    read_manifest,
    tar_path,
    write_atomically,
)
from training.data.seal import sealed

NAME = "train-00001-of-00002"
RECORD: dict[str, Any] = {
    "key": "00000003", "index": 3, "split": "train", "shard": NAME, "source": "a.png", "source_sha256": "s",
    "licence": None, "caption": None, "renderer": "oil", "renderer_config_hash": "r", "seed": None, "num_steps": 5,
    "frame_steps": [0, 5], "psnr_db": None, "ssim": 0.5, "coverage": [0, 1.0], "distance": [1.0, 0.0],
    "progress_violation": 0.0,
}  # fmt: skip
SOUND = ShardManifest(
    name=NAME, split="train", sha256="a", num_bytes=10240, first_index=3, num_planned=3, num_samples=2,
    config_hash="c", code_version="1",
    samples=(
        SampleSpan(key="00000003", offset=0, length=1024, crc32=1),
        SampleSpan(key="00000004", offset=1024, length=512, crc32=2**32 - 1),
    ),
    records=(RECORD, {**RECORD, "key": "00000004", "index": 4}),
    quarantined=({"source": "b.png", "reason": "torn"},),
)  # fmt: skip


def test_a_sound_one_is_sound() -> None:
    SOUND.check()
    replace(SOUND, num_bytes=1536).check()
    replace(SOUND, num_bytes=1536 + 2 * 10240).check()


def test_texts_have_no_records() -> None:
    name = "text-00000-of-00001"
    replace(SOUND, name=name, split="text", records=(), num_planned=2, quarantined=()).check()


def records(**fields: Any) -> dict[str, Any]:
    return {"records": ({**RECORD, **fields}, SOUND.records[1])}


def span(**fields: Any) -> dict[str, Any]:
    return {"samples": (SOUND.samples[0], replace(SOUND.samples[1], **fields))}


DAMAGE: dict[str, tuple[dict[str, Any], str]] = {
    "of another split": ({"split": "val"}, f"^'{NAME}' is no shard of split 'val'$"),
    "of no name": ({"name": "train-1"}, "^'train-1' is no shard of split 'train'$"),
    "a sequence more": ({"num_samples": 3}, "^its counts disagree: 3 sequences, 2 places, 2 records$"),
    "a record less": ({"records": SOUND.records[:1]}, "^its counts disagree: 2 sequences, 2 places, 1 records$"),
    "a record less where none are refused": (
        {"records": SOUND.records[:1], "quarantined": (), "num_planned": 2}, "counts disagree",
    ),
    "a place less": ({"samples": SOUND.samples[:1]}, "^its counts disagree: 2 sequences, 1 places, 2 records$"),
    "more planned": ({"num_planned": 4}, "^4 planned, 2 made, 1 refused$"),
    "fewer planned": ({"num_planned": 2}, "^2 planned, 2 made, 1 refused$"),
    "no key": (span(key="../x"), "^'../x' is no key of a sequence$"),
    "a gap": (span(offset=1536), "^sequence 00000004: begins at byte 1536, 512 bytes, but 1024 is next$"),
    "an overlap": (span(offset=512), "^sequence 00000004: begins at byte 512"),
    "no length": (span(length=0), "^sequence 00000004: begins at byte 1024, 0 bytes"),
    "half a block": (span(length=700), "^sequence 00000004: begins at byte 1024, 700 bytes"),
    "a tar too short": ({"num_bytes": 1535}, "^its sequences end at 1536, its tar at 1535$"),
    "a tar too long": ({"num_bytes": 1537 + 2 * 10240}, "^its sequences end at 1536, its tar at 22017$"),
    "a record of another": (records(key="00000004"), "^sequence 00000003: its record is of 00000004$"),
    "a record of another shard": (
        records(shard="train-00000-of-00002"),
        "^sequence 00000003: its record is of shard train-00000-of-00002, split train$",
    ),
    "a record of another split": (records(split="val"), f"its record is of shard {NAME}, split val$"),
    "a refusal without a reason": ({"quarantined": ({"source": "b"},)}, "^reason: Field required$"),
    "a refusal without a source": ({"quarantined": ({"reason": "b"},)}, "^source: Field required$"),
    **{
        f"a record without {name}": (
            {"records": ({key: value for key, value in RECORD.items() if key != name}, SOUND.records[1])},
            f"^sequence 00000003: its record: {name}: Field required$",
        )
        for name in RECORD
    },
    **{
        f"a record whose {name} is {value!r}": (records(**{name: value}), f"^sequence 00000003: its record: {name}")
        for name, value in [
            ("index", -1), ("seed", 0.5), ("num_steps", "5"), ("frame_steps", [0, -1]), ("psnr_db", float("nan")),
            ("ssim", "x"), ("coverage", 1), ("distance", [None]), ("progress_violation", None), ("caption", 3),
        ]
    },
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_the_part_that_disagrees_is_named(damage: str, tmp_path: Path) -> None:
    fields, said = DAMAGE[damage]
    manifest = replace(SOUND, **fields)
    with pytest.raises(ValueError, match=said):
        manifest.check()
    if manifest.name == NAME and "nan" not in damage:
        shards_folder(tmp_path).mkdir()
        write_atomically(manifest_path(tmp_path, NAME), sealed(manifest.to_json()))
        assert read_manifest(tmp_path, NAME) == manifest
        with pytest.raises(ValueError, match=said.replace("^", f"^{manifest_path(tmp_path, NAME)}: ")):
            read_checked_manifest(tmp_path, NAME)


def test_a_manifest_comes_back_with_its_seal_and_without(tmp_path: Path) -> None:
    assert parse_manifest(sealed(SOUND.to_json()), NAME) == SOUND
    assert parse_manifest(SOUND.to_json().encode(), NAME) == SOUND
    shards_folder(tmp_path).mkdir()
    assert read_checked_manifest(tmp_path, NAME) is None
    write_atomically(manifest_path(tmp_path, NAME), sealed(SOUND.to_json()))
    assert read_checked_manifest(tmp_path, NAME) == SOUND
    assert manifest_path(tmp_path, NAME) == tmp_path / "shards" / f"{NAME}.json"
    assert tar_path(tmp_path, NAME) == tmp_path / "shards" / f"{NAME}.tar"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (sealed(SOUND.to_json()).replace(b"torn", b"worn"), "^not the bytes that were written$"),
        (sealed(replace(SOUND, name="train-00000-of-00002").to_json()), "^the manifest of train-00000-of-00002$"),
        (
            SOUND.to_json().replace('"schema_version": 2', '"schema_version": 1').encode(),
            "schema version 1, this code reads 2$",
        ),
        (b"[]", "^not a shard manifest: Input should be a valid dictionary$"),
        (
            SOUND.to_json().replace('"crc32": 1', '"crc32": 4294967296').encode(),
            r"^not a shard manifest: samples\.0\.crc32",
        ),
        (SOUND.to_json().replace('"crc32": 1', '"crc32": -1').encode(), r"^not a shard manifest: samples\.0\.crc32"),
        (SOUND.to_json().replace('"sha256": "a"', '"more": 1').encode(), "^not a shard manifest: (sha256|more)"),
    ],
)
def test_what_is_not_the_manifest_that_was_written_is_refused(data: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        parse_manifest(data, NAME)
    shards_folder(tmp_path).mkdir()
    manifest_path(tmp_path, NAME).write_bytes(data)
    with pytest.raises(ValueError, match=message.replace("^", f"^{manifest_path(tmp_path, NAME)}: ")):
        read_manifest(tmp_path, NAME)


def test_a_folder_in_its_place_is_said_and_a_disk_that_fails_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest_path(tmp_path, NAME).mkdir(parents=True)
    with pytest.raises(ValueError, match=f"{NAME}.json: a folder where a file should be$"):
        read_manifest(tmp_path, NAME)

    def fails(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", fails)
    with pytest.raises(UserError, match=f"{NAME}.json: cannot be read \\(Permission denied\\)"):
        read_manifest(tmp_path, NAME)


def test_the_hash_of_a_file_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc" * 10_000)
    assert hash_file(tmp_path / "a") == hashlib.sha256(b"abc" * 10_000).hexdigest()
