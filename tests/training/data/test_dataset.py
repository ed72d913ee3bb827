"""A data set folder as a whole."""

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from conf.errors import UserError
from training.data.claim import sole_writer
from training.data.dataset import DatasetCard, committed_names, read_card
from training.data.manifest import ShardManifest, hash_file, manifest_path
from training.data.survey import surveyed
from training.data.tables import write_tables

CARD = DatasetCard(
    recipe={"seed": 0}, config_hash="c", code_version="0", shards=("train-00000-of-00001",), num_planned=3
)


def manifest(name: str, split: str, keys: list[str], refused: int = 0) -> ShardManifest:
    records = tuple(
        {"key": key, "renderer": "bezier", "licence": None if key == "b" else "CC0-1.0", "split": split,
         "frame_steps": [0, 4, 4] if key == "c" else [0, 2, 4]}
        for key in keys
    )  # fmt: skip
    return ShardManifest(
        name=name,
        split=split,
        sha256="",
        num_bytes=10,
        first_index=0,
        num_planned=len(keys) + refused,
        num_samples=len(keys),
        config_hash="c",
        code_version="0",
        samples=(),
        records=records,
        quarantined=tuple({"key": f"q{number}", "reason": "é"} for number in range(refused)),
    )


MANIFESTS = [
    manifest("train-00000-of-00001", "train", ["a", "b"], refused=1),
    manifest("val-00000-of-00001", "val", ["c"]),
]


def test_a_card_is_read_as_written(tmp_path: Path) -> None:
    for card in (CARD, replace(CARD, totals=surveyed(MANIFESTS).totals(), manifests={CARD.shards[0]: "ab"})):
        card.write(tmp_path)
        assert read_card(tmp_path) == card
        assert read_card(tmp_path).digest == hash_file(tmp_path / "dataset.json")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 99}', '{"schema_version": 2, "shards": []}', "1"])
def test_what_is_not_a_card_is_refused_in_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(UserError) as told:
        read_card(tmp_path)
    assert "dataset.json" in str(told.value) and "\n" not in str(told.value)


def test_a_folder_without_a_card_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no dataset\.json"):
        read_card(tmp_path)


def test_a_shard_that_is_named_twice_is_no_card(tmp_path: Path) -> None:
    replace(CARD, shards=CARD.shards * 2).write(tmp_path)
    with pytest.raises(UserError, match="shards: not a list of different shard names"):
        read_card(tmp_path)


def test_a_completed_card_holds_the_totals_and_the_hash_of_every_manifest(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    for one in MANIFESTS:
        manifest_path(tmp_path, one.name).write_text(one.name)
    totals = surveyed(MANIFESTS).totals()
    completed = replace(CARD, shards=tuple(one.name for one in MANIFESTS)).completed(tmp_path, totals)
    assert completed.totals == totals
    assert completed.manifests == {one.name: hashlib.sha256(one.name.encode()).hexdigest() for one in MANIFESTS}
    unfinished = CARD.completed(tmp_path, {**totals, "num_shards": 0})
    assert (unfinished.totals, unfinished.manifests) == (None, None)


def test_totals_count_everything_once() -> None:
    assert surveyed(MANIFESTS).totals() == {
        "num_sequences": 3,
        "num_shards": 2,
        "num_bytes": 20,
        "num_quarantined": 1,
        "splits": {"train": 2, "val": 1},
        "renderers": {"bezier": 3},
        "licences": {"CC0-1.0": 2, "unknown": 1},
    }


def test_sequences_that_show_a_state_twice_are_counted() -> None:
    assert surveyed(MANIFESTS).num_repeating == 1


def test_tables_hold_a_row_for_every_sequence_and_every_refusal(tmp_path: Path) -> None:
    (tmp_path / "timings").mkdir()
    (tmp_path / "timings" / "val-00000-of-00001.json").write_text(json.dumps({"paint": {"c": 1.5}}))
    write_tables(tmp_path, MANIFESTS)
    table = pq.read_table(tmp_path / "samples.parquet").to_pylist()
    assert [(row["key"], row["split"], row["seconds"]) for row in table] == [
        ("a", "train", None), ("b", "train", None), ("c", "val", 1.5),
    ]  # fmt: skip
    assert json.loads((tmp_path / "quarantine.jsonl").read_text()) == {"key": "q0", "reason": "é"}


def test_a_quarantine_that_is_empty_is_no_file(tmp_path: Path) -> None:
    write_tables(tmp_path, MANIFESTS)
    write_tables(tmp_path, MANIFESTS[1:])
    assert not (tmp_path / "quarantine.jsonl").exists()


@pytest.mark.parametrize("timing", ["", "[]", "{}", "\x00"])
def test_a_damaged_timing_spoils_nothing(timing: str, tmp_path: Path) -> None:
    (tmp_path / "timings").mkdir()
    (tmp_path / "timings" / "val-00000-of-00001.json").write_text(timing)
    write_tables(tmp_path, MANIFESTS[1:])
    assert pq.read_table(tmp_path / "samples.parquet")["seconds"].to_pylist() == [None]


def test_an_empty_table_still_has_its_columns(tmp_path: Path) -> None:
    write_tables(tmp_path, [])
    table = pq.read_table(tmp_path / "samples.parquet")
    assert table.num_rows == 0
    assert table.column_names == [
        "key", "index", "split", "shard", "source", "source_sha256", "licence", "caption", "renderer",
        "renderer_config_hash", "seed", "num_steps", "frame_steps", "psnr_db", "ssim", "coverage", "distance",
        "progress_violation", "seconds",
    ]  # fmt: skip


def test_only_what_is_named_like_a_manifest_is_one(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    for name in ("train-00000-of-00001.json", "val-00000-of-00001.json", "notes.json", ".train-00001-of-2.json.1.tmp"):
        (tmp_path / "shards" / name).touch()
    assert committed_names(tmp_path) == ["train-00000-of-00001", "val-00000-of-00001"]


_HOLD = """
import sys, time, pathlib
from training.data.claim import sole_writer
with sole_writer(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_lock_of_a_killed_writer_goes_with_it(tmp_path: Path) -> None:
    holder: Any = subprocess.Popen([sys.executable, "-c", _HOLD, tmp_path], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="another run"), sole_writer(tmp_path):
            pass
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    with sole_writer(tmp_path):
        pass
