"""A data set folder as a whole: what it is, its manifests, and the tables made from them."""

import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from conf.errors import UserError
from training.data.layout import (
    SCHEMA_VERSION,
    SPLITS,
    dataset_file,
    is_shard_name,
    quarantine_file,
    samples_file,
    shards_folder,
    timings_folder,
)
from training.data.manifest import ShardManifest, read_manifest, to_json, write_atomically

_LOOK_S = 0.2  # longer than anybody looks


@dataclass(frozen=True, kw_only=True)
class DatasetCard:
    """`dataset.json`: written when a run begins, and with its totals when it is complete.

    Attributes:
        recipe: everything that decided the bytes.
        config_hash: hash of the recipe and of the source's pictures.
        shards: names of all shards planned.
        totals: None until the run is complete.
    """

    recipe: dict[str, Any]
    config_hash: str
    code_version: str
    shards: tuple[str, ...]
    num_planned: int
    totals: dict[str, Any] | None = None
    schema_version: int = SCHEMA_VERSION

    def write(self, root: Path) -> None:
        """Put it in place, whole or not at all."""
        write_atomically(dataset_file(root), to_json(asdict(self)).encode())


def read_card(root: Path) -> DatasetCard:
    """The card of a data set.

    Raises:
        UserError: if the folder is not a data set of this schema version.
    """
    path = dataset_file(root)
    if not root.is_dir():
        raise UserError(f"dataset={root}: no such folder")
    try:
        return parse_card(path.read_bytes(), str(path))
    except FileNotFoundError:
        raise UserError(f"{root}: not a data set (no dataset.json)") from None
    except OSError as error:
        raise UserError(f"{path}: not a data set card ({error})") from error


def parse_card(data: bytes, where: str) -> DatasetCard:
    """The card in the bytes of a `dataset.json`.

    Raises:
        UserError: if it is not one of this schema version; `where` names it.
    """
    try:
        fields = json.loads(data)
        if fields["schema_version"] != SCHEMA_VERSION:
            raise UserError(f"{where}: schema version {fields['schema_version']}; this code reads {SCHEMA_VERSION}")
        fields["shards"] = tuple(fields["shards"])
        return DatasetCard(**fields)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{where}: not a data set card ({error})") from error


def read_manifests(root: Path, names: Iterable[str]) -> Iterator[ShardManifest]:
    """Manifests of the committed shards among those named, in order.

    Raises:
        ValueError: if one is damaged.
    """
    for name in names:
        manifest = read_manifest(root, name)
        if manifest is not None:
            yield manifest


def committed_names(root: Path) -> list[str]:
    """Names of all shards that have a manifest, whoever planned them."""
    return sorted(path.stem for path in shards_folder(root).glob("*.json") if is_shard_name(path.stem))


def dataset_totals(manifests: Iterable[ShardManifest]) -> dict[str, Any]:
    """Counts of a data set: sequences by split and renderer, bytes, licences, refused inputs."""
    splits: dict[str, int] = {}
    renderers: dict[str, int] = {}
    licences: dict[str, int] = {}
    num_bytes = num_quarantined = num_shards = 0
    for manifest in manifests:
        num_shards += 1
        num_bytes += manifest.num_bytes
        num_quarantined += len(manifest.quarantined)
        splits[manifest.split] = splits.get(manifest.split, 0) + manifest.num_samples
        for record in manifest.records:
            renderers[record["renderer"]] = renderers.get(record["renderer"], 0) + 1
            licence = record["licence"] or "unknown"
            licences[licence] = licences.get(licence, 0) + 1
    return {
        "num_sequences": sum(splits.get(split, 0) for split in SPLITS),
        "num_shards": num_shards,
        "num_bytes": num_bytes,
        "num_quarantined": num_quarantined,
        "splits": splits,
        "renderers": renderers,
        "licences": licences,
    }


def write_tables(root: Path, manifests: Iterable[ShardManifest]) -> None:
    """Write `samples.parquet` and `quarantine.jsonl` from the manifests (and `seconds` from the timings)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    records: list[dict[str, Any]] = []
    refused: list[str] = []
    for manifest in manifests:
        seconds = _paint_seconds(root, manifest.name)
        records += [{**record, "seconds": seconds.get(record["key"])} for record in manifest.records]
        refused += [json.dumps(row, sort_keys=True, ensure_ascii=False) + "\n" for row in manifest.quarantined]
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(records, schema=_samples_schema(pa)), buffer)
    write_atomically(samples_file(root), buffer.getvalue().to_pybytes())
    if refused:
        write_atomically(quarantine_file(root), "".join(refused).encode())
    else:
        quarantine_file(root).unlink(missing_ok=True)


def _samples_schema(pa: Any) -> Any:
    text, number, whole = pa.string(), pa.float64(), pa.int64()
    columns = {
        "key": text, "index": whole, "split": text, "shard": text, "source": text, "source_sha256": text,
        "licence": text, "caption": text, "renderer": text, "renderer_config_hash": text, "seed": whole,
        "num_steps": whole, "frame_steps": pa.list_(whole), "psnr_db": number, "ssim": number,
        "coverage": pa.list_(number), "distance": pa.list_(number), "progress_violation": number, "seconds": number,
    }  # fmt: skip
    return pa.schema(list(columns.items()))


def _paint_seconds(root: Path, name: str) -> dict[str, float]:
    """Seconds by key; empty when the worker was killed after the commit and before it could note them.

    They are a by-product: without them a data set is as whole, so a damaged file is as good as none.
    """
    try:
        seconds: dict[str, float] = json.loads((timings_folder(root) / f"{name}.json").read_text())["paint"]
        return seconds
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}


@contextmanager
def sole_writer(root: Path) -> Iterator[None]:
    """Hold the folder for this process; the lock goes with the process, however it ends.

    Raises:
        UserError: if another run is writing here.
    """
    folder = os.open(root, os.O_RDONLY)
    try:
        try:
            _lock(folder)
        except BlockingIOError:
            raise UserError(f"{root}: another run is writing here") from None
        except OSError:
            pass  # a shared filesystem without locks; commits are atomic all the same
        yield
    finally:
        os.close(folder)


def _lock(folder: int) -> None:
    """Take the writers' lock; who only looks holds it for microseconds, so one more try tells a writer from a look."""
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        time.sleep(_LOOK_S)
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_being_written(root: Path) -> bool:
    """Whether a run holds the folder now. Looking disturbs nobody: not a run, nor one that starts, nor another look."""
    folder = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # a shared filesystem without locks
    else:
        return False
    finally:
        os.close(folder)  # which gives the lock back
