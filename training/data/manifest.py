"""The committed record of a shard. A shard without one does not exist."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from training.data.layout import SCHEMA_VERSION, shards_folder


@dataclass(frozen=True, kw_only=True)
class SampleSpan:
    """Where one sequence stands in its tar: bytes [offset, offset + length), and their CRC-32.

    Whoever reads one sequence cannot hash its shard, and a bit flipped in a picture may still decode.
    """

    key: str
    offset: int
    length: int
    crc32: int


@dataclass(frozen=True, kw_only=True)
class ShardManifest:
    """What a committed shard holds.

    Attributes:
        name, split: `train-00003-of-00016`, `train`.
        sha256, num_bytes: of the tar.
        first_index: index of the first sequence planned for it, in its split.
        num_planned, num_samples: sequences planned, and written; the difference is in `quarantined`.
        config_hash, code_version: what made it.
        samples: where each sequence stands.
        records: a row a sequence for `samples.parquet`.
        quarantined: a row a refused input for `quarantine.jsonl`.
    """

    name: str
    split: str
    sha256: str
    num_bytes: int
    first_index: int
    num_planned: int
    num_samples: int
    config_hash: str
    code_version: str
    samples: tuple[SampleSpan, ...]
    records: tuple[Mapping[str, Any], ...] = ()
    quarantined: tuple[Mapping[str, Any], ...] = ()
    schema_version: int = field(default=SCHEMA_VERSION)

    def to_json(self) -> str:
        """Deterministic: the same shard gives the same text."""
        return to_json(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "ShardManifest":
        """Read what `to_json` wrote.

        Raises:
            ValueError: if it is not a manifest of this schema version.
        """
        try:
            fields = json.loads(text)
            if fields["schema_version"] != SCHEMA_VERSION:
                raise ValueError(f"schema version {fields['schema_version']}, this code reads {SCHEMA_VERSION}")
            fields["samples"] = tuple(SampleSpan(**span) for span in fields["samples"])
            fields["records"], fields["quarantined"] = tuple(fields["records"]), tuple(fields["quarantined"])
            return cls(**fields)
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"not a shard manifest: {error!r}") from error


def manifest_path(root: Path, name: str) -> Path:
    """Where the manifest of a shard is."""
    return shards_folder(root) / f"{name}.json"


def tar_path(root: Path, name: str) -> Path:
    """Where the tar of a shard is."""
    return shards_folder(root) / f"{name}.tar"


def read_manifest(root: Path, name: str) -> ShardManifest | None:
    """The manifest of a shard, or None if the shard is not committed.

    Raises:
        ValueError: if there is a file that is not a manifest.
    """
    try:
        return ShardManifest.from_json(manifest_path(root, name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ValueError(f"{manifest_path(root, name)}: {error}") from error


def to_json(value: object) -> str:
    """JSON with sorted keys and a final newline; NaN is an error."""
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"


def hash_file(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file that is whole or absent at any instant: temporary file, fsync, rename, fsync of the folder."""
    temporary = temporary_path(path)
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        commit(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def temporary_path(path: Path) -> Path:
    """A name beside `path` that no other process uses and that `sweep_temporaries` knows."""
    return path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}.tmp")


def commit(temporary: Path, path: Path) -> None:
    """Give a file that is already on disk its final name, and make the name last."""
    os.replace(temporary, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def sweep_temporaries(folder: Path) -> int:
    """Remove what killed writers left behind; returns how many files."""
    stale = list(folder.glob(".*.tmp"))
    for path in stale:
        path.unlink(missing_ok=True)
    return len(stale)
