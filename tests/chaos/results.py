"""The parts of a run's output that must be the same after any interruption, and files that must never be made again."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from training.data.manifest import manifest_path, tar_path

Result = Mapping[str, object]
"""Name -> bytes or plain values."""
Kept = Mapping[str, tuple[int, int]]
"""Committed file -> its inode and the time when it was written."""


def all_files(out: Path) -> Result:
    """Every file, by name."""
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def dataset(out: Path) -> Result:
    """Every file of a data set, without what differs between runs: timings, and seconds in the table."""
    return {
        name: _rows(data) if name.endswith(".parquet") and isinstance(data, bytes) else data
        for name, data in all_files(out).items()
        if not name.startswith("timings/")
    }


def _rows(table: bytes) -> list[dict[str, object]]:
    """The rows of a `samples.parquet`, read without threads, since this process must have none to be forked."""
    file = pq.ParquetFile(pa.BufferReader(table), pre_buffer=False)
    return [dict(row) for row in file.read(use_threads=False).drop_columns(["seconds"]).to_pylist()]


def page(out: Path) -> Result:
    """The page of a data set."""
    return {"page": (out / "gallery" / "index.html").read_bytes()}


def training(out: Path) -> Result:
    """Weights with their run card, samples, the newest checkpoint, and logged values other than speed."""
    checkpoint = max((out / "checkpoints").glob("step-*"))
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    learned = [
        {key: value for key, value in line.items() if key.startswith(("step", "train/", "val/", "data/"))}
        for line in lines
    ]
    facts = json.loads((checkpoint / "checkpoint.json").read_text())
    del facts["log"]  # a hash that includes measured speed
    return {
        "run.json": (out / "run.json").read_bytes(),
        "log": learned,
        "checkpoint": facts,
        **{f"{folder.name}/{name}": data for folder in (out / "weights", out / "samples", checkpoint)
           for name, data in all_files(folder).items() if name != "checkpoint.json"},
    }  # fmt: skip


def without_ids(out: Path) -> Result:
    """Every file, without the random ids that a library writes into some."""
    ids = re.compile(rb'^ *"(__)?id(__)?": ".*",?\n', re.MULTILINE)
    return {name: ids.sub(b"", data) for name, data in all_files(out).items() if isinstance(data, bytes)}


def nothing_kept(out: Path) -> Kept:
    """Nothing, for commands whose output is either complete or absent."""
    return {}


def kept_shards(out: Path) -> Kept:
    """The files of shards that have a manifest."""
    names = [path.stem for path in (out / "shards").glob("[!.]*.json")]
    return _identities([path(out, name) for name in names for path in (tar_path, manifest_path)])


def kept_paintings(out: Path) -> Kept:
    """The files of processes that have a report."""
    reports = [path for path in out.glob("*/report.json") if not (path.parent / ".painting.json").exists()]
    return _identities([path for report in reports for path in report.parent.rglob("*") if path.is_file()])


def _identities(paths: list[Path]) -> Kept:
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in paths}
