"""The committed record of a shard. A shard without one does not exist."""

import hashlib
import json
import os
import re
import shutil
import tarfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from training.data.layout import SCHEMA_VERSION, TEXT_SPLIT, is_key, is_shard_name, manifest_name, split_of, tar_name
from training.data.plain import CLOSED, OPEN, Count, Number, Whole, parse_object, shaped
from training.data.remote import AnyPath, NewObject, Place, RemotePath, below
from training.data.retries import retried
from training.data.seal import CHECKSUM, is_sealed

_TEMPORARY = re.compile(r"\..+\.\d+-[0-9a-f]{8}(\.old)?\.tmp", re.DOTALL)
_BLOCK, _RECORD = tarfile.BLOCKSIZE, tarfile.RECORDSIZE
Crc = Annotated[int, Field(strict=True, ge=0, lt=2**32)]


@dataclass(frozen=True, kw_only=True)
class SampleSpan:
    """The place of one sequence in its tar: bytes [offset, offset + length), and their CRC-32.

    The CRC-32 is needed because a reader of one sequence cannot hash its shard, and a picture with a flipped bit may
    still decode.
    """

    key: str
    offset: Count
    length: Count
    crc32: Crc


@dataclass(frozen=True, kw_only=True)
class ShardManifest:
    """What a committed shard holds.

    Attributes:
        name, split: `train-00003-of-00016`, `train`.
        sha256, num_bytes: hash and size of the tar.
        first_index: index of the first sequence planned for it, in its split.
        num_planned, num_samples: sequences planned, and written; the difference is in `quarantined`.
        config_hash, code_version: the configuration and the code that made it.
        samples: the place of each sequence.
        records: one row per sequence, for `samples.parquet`.
        quarantined: one row per refused input, for `quarantine.jsonl`.
    """

    __pydantic_config__ = CLOSED

    name: str
    split: str
    sha256: str
    num_bytes: Count
    first_index: Count
    num_planned: Count
    num_samples: Count
    config_hash: str
    code_version: str
    samples: tuple[SampleSpan, ...]
    records: tuple[Mapping[str, Any], ...] = ()
    quarantined: tuple[Mapping[str, Any], ...] = ()
    schema_version: int = field(default=SCHEMA_VERSION)

    def to_json(self) -> str:
        """The manifest as JSON; the same shard gives the same text."""
        return to_json(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "ShardManifest":
        """Read what `to_json` wrote.

        Raises:
            ValueError: if it is not a manifest of this schema version.
        """
        try:
            fields = parse_object(text.encode(), dict[str, Any])
            version = fields.get("schema_version")
            if version != SCHEMA_VERSION:
                raise ValueError(f"schema version {version}, this code reads {SCHEMA_VERSION}")
            return shaped({name: value for name, value in fields.items() if name != CHECKSUM}, cls)
        except ValueError as error:
            raise ValueError(f"not a shard manifest: {error}") from error

    def check(self) -> None:
        """Check that all parts of it agree.

        Raises:
            ValueError: naming the first part that does not.
        """
        if not is_shard_name(self.name) or self.split != split_of(self.name):
            raise ValueError(f"'{self.name}' is no shard of split '{self.split}'")
        holds_texts = self.split == TEXT_SPLIT
        if len(self.samples) != self.num_samples or (not holds_texts and len(self.records) != self.num_samples):
            raise ValueError(
                f"its counts disagree: {self.num_samples} sequences, {len(self.samples)} places, "
                f"{len(self.records)} records"
            )
        if self.num_samples + len(self.quarantined) != self.num_planned:
            raise ValueError(f"{self.num_planned} planned, {self.num_samples} made, {len(self.quarantined)} refused")
        end = 0
        for span in self.samples:
            if not is_key(span.key):
                raise ValueError(f"{span.key!r} is no key of a sequence")
            if span.offset != end or not span.length or span.length % _BLOCK:
                raise ValueError(
                    f"sequence {span.key}: begins at byte {span.offset}, {span.length} bytes, but {end} is next"
                )
            end = span.offset + span.length
        if not end <= self.num_bytes <= end + 2 * _RECORD:
            raise ValueError(f"its sequences end at {end}, its tar at {self.num_bytes}")
        for span, record in zip(self.samples, self.records, strict=not holds_texts):
            _check_record(record, span.key, self)
        for row in self.quarantined:
            shaped(row, _Refusal)


class _Record(TypedDict):
    """A row of `samples.parquet`, as far as readers rely on it."""

    __pydantic_config__ = OPEN  # type: ignore[misc]

    key: str
    index: Count
    split: str
    shard: str
    source: str
    source_sha256: str
    licence: str | None
    caption: str | None
    renderer: str
    renderer_config_hash: str
    seed: Whole | None
    num_steps: Count
    frame_steps: list[Count]
    psnr_db: Number | None
    ssim: Number | None
    coverage: list[Number]
    distance: list[Number]
    progress_violation: Number


class _Refusal(TypedDict):
    """A row of `quarantine.jsonl`, as far as readers rely on it."""

    __pydantic_config__ = OPEN  # type: ignore[misc]

    source: str
    reason: str


def _check_record(record: Mapping[str, Any], key: str, manifest: ShardManifest) -> None:
    try:
        row = shaped(record, _Record)
    except ValueError as error:
        raise ValueError(f"sequence {key}: its record: {error}") from error
    if row["key"] != key:
        raise ValueError(f"sequence {key}: its record is of {row['key']}")
    if (row["shard"], row["split"]) != (manifest.name, manifest.split):
        raise ValueError(f"sequence {key}: its record is of shard {row['shard']}, split {row['split']}")


def manifest_path(root: Place, name: str) -> Place:
    """Where the manifest of a shard is."""
    return below(root, manifest_name(name))


def tar_path(root: Place, name: str) -> Place:
    """Where the tar of a shard is."""
    return below(root, tar_name(name))


def read_manifest(root: AnyPath, name: str) -> ShardManifest | None:
    """The manifest of a shard, or None if the shard is not committed.

    Raises:
        ValueError: if there is a file that is not a manifest, or not the one that was written.
        UserError: if the storage fails.
    """
    data = manifest_bytes(root, name)
    try:
        return None if data is None else parse_manifest(data, name)
    except ValueError as error:
        raise ValueError(f"{manifest_path(root, name)}: {error}") from error


def manifest_bytes(root: AnyPath, name: str) -> bytes | None:
    """The bytes of a shard's manifest file; None if there is no file.

    Raises:
        ValueError: if it is a folder.
        UserError: if the storage fails.
    """
    path = manifest_path(root, name)
    try:
        return retried(path, path.read_bytes)
    except FileNotFoundError:
        return None
    except IsADirectoryError as error:
        raise ValueError(f"{path}: a folder where a file should be") from error


def parse_manifest(data: bytes, name: str) -> ShardManifest:
    """The manifest of the shard `name`; those of the first version carry no checksum.

    Raises:
        ValueError: if it is the manifest of another shard, or not what was written.
    """
    is_sealed(data)
    manifest = ShardManifest.from_json(data.decode())
    if manifest.name != name:
        raise ValueError(f"the manifest of {manifest.name}")
    return manifest


def read_checked_manifest(root: AnyPath, name: str) -> ShardManifest | None:
    """Like `read_manifest`, but also checks that the parts of the manifest agree.

    Raises:
        ValueError: as `read_manifest`, and if parts of the manifest disagree.
        UserError: if the storage fails.
    """
    data = manifest_bytes(root, name)
    return None if data is None else checked_manifest(root, name, data)


def checked_manifest(root: AnyPath, name: str, data: bytes) -> ShardManifest:
    """The manifest in bytes that were read, with the checks of `read_checked_manifest`.

    Raises:
        ValueError: as `read_checked_manifest`.
    """
    try:
        manifest = parse_manifest(data, name)
        manifest.check()
    except ValueError as error:
        raise ValueError(f"{manifest_path(root, name)}: {error}") from error
    return manifest


def to_json(value: object) -> str:
    """JSON with sorted keys and a final newline; NaN is an error."""
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"


def hash_file(path: AnyPath) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stored_hash(path: AnyPath) -> str:
    """SHA-256 of a file whose storage may fail for a moment; raises what `retried` raises."""
    return retried(path, partial(hash_file, path))


def write_atomically(path: AnyPath, data: bytes) -> None:
    """Write a file so that it is complete or absent at any instant."""
    if isinstance(path, RemotePath):
        path.write_bytes(data)
        return
    file = NewFile(path)
    try:
        file.file.write(data)
        file.commit()
    finally:
        file.close()


class NewFile:
    """A file that is absent until it is committed: temporary file, fsync, rename, fsync of the folder."""

    def __init__(self, path: Path) -> None:
        self._path, self._temporary = path, temporary_path(path)
        self.file: IO[bytes] = self._temporary.open("wb")

    def commit(self) -> None:
        """Give the file its final name."""
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        commit(self._temporary, self._path)

    def close(self) -> None:
        """Close the file, and remove the temporary one if it was not committed."""
        try:
            self.file.close()  # this writes what is buffered, which fails on a full disk
        finally:
            self._temporary.unlink(missing_ok=True)


def new_file(path: AnyPath) -> NewFile | NewObject:
    """A file to be written piece by piece to `file`, and then committed."""
    return NewObject(path) if isinstance(path, RemotePath) else NewFile(path)


def remove_tree(folder: AnyPath) -> None:
    """Remove a folder and everything in it; errors of a local disk are ignored."""
    if isinstance(folder, RemotePath):
        folder.rmtree()
    else:
        shutil.rmtree(folder, ignore_errors=True)


def temporary_path(path: Path) -> Path:
    """A name beside `path`, of a file or folder, that no other process uses and that `sweep_temporaries` knows."""
    return path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}.tmp")


def commit(temporary: Path, path: Path) -> None:
    """Give a file that is already on disk its final name, and force the name to disk."""
    os.replace(temporary, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def is_temporary(path: AnyPath) -> bool:
    """Whether `temporary_path` made the name; other .tmp files belong to users."""
    return _TEMPORARY.fullmatch(path.name) is not None


def sweep_temporaries(folder: AnyPath) -> int:
    """Remove what killed writers left in a folder that this process has claimed; returns how many files and folders."""
    if isinstance(folder, RemotePath):
        return 0  # objects are never half-written
    stale = [path for path in folder.glob(".*.tmp") if is_temporary(path)]
    for path in stale:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return len(stale)
