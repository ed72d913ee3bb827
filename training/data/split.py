"""One split of a data set, on any storage: checked once, then read in any order."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from fsspec import AbstractFileSystem
from numpy.typing import NDArray

from conf.errors import UserError
from conf.printable import without_secrets
from conf.value import is_url
from training.data.dataset import DatasetCard, parse_card
from training.data.layout import dataset_file, manifest_name, shards_folder, split_of, tar_name
from training.data.manifest import SampleSpan, ShardManifest, parse_manifest, tar_path
from training.data.remote import AnyPath, RemotePath, answers, located
from training.data.requests import asked
from training.data.retries import retried
from training.data.sequence import StoredSequence, read_span
from training.data.storage import naming, open_storage

if TYPE_CHECKING:
    from training.data.shard_cache import OpenShards


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredSplit:
    """The place of every sequence of a split. It is small, and can be sent to other processes.

    It keeps some fifty bytes per sequence, so that ten million fit a training process; `records` reads the rest again.

    Attributes:
        url: path or fsspec URL of the data set.
        name: name of its folder.
        card: card of the data set.
        shards: names of the split's shards.
        keys: (N,) keys of the sequences, in ASCII.
        shard: (N,) number of each sequence's shard in `shards`.
        offset, length, crc32: (N,) as in `SampleSpan`.
        num_frames: (N,) number of frames of each sequence.
        captions: (N,) `caption_digest` of each sequence's caption.
        sha256, num_bytes: hash and size of each shard's tar.
        manifests_hash: a hash that changes when any byte of the split does.
    """

    url: str
    name: str
    card: DatasetCard
    shards: tuple[str, ...]
    keys: NDArray[np.bytes_]
    shard: NDArray[np.int32]
    offset: NDArray[np.int64]
    length: NDArray[np.int64]
    crc32: NDArray[np.uint32]
    num_frames: NDArray[np.int32]
    captions: NDArray[np.bytes_]
    sha256: tuple[str, ...]
    num_bytes: tuple[int, ...]
    manifests_hash: str

    def __len__(self) -> int:
        return len(self.keys)

    def key(self, index: int) -> str:
        """Key of a sequence."""
        return str(self.keys[index].decode())

    def records(self, shards: Sequence[str] | None = None) -> Iterator[Mapping[str, Any]]:
        """The records of some shards, or of all, in order; their manifests are read again.

        Raises:
            UserError: as `open_split`.
        """
        for name, data in _manifest_files(located(self.url), self.shards if shards is None else shards):
            yield from _manifest(data, name, self.card, self.url).records

    def read(self, indices: Sequence[int], whole: "OpenShards | None" = None) -> list[StoredSequence]:
        """Read sequences by number: as ranges of bytes, all at once from remote storage, or from shards fetched whole.

        Raises:
            UserError: if the storage fails, or the bytes are not those that were committed.
        """
        spans = [self._span(index) for index in indices]
        if whole is None:
            records = self._ranges(indices, spans)
        else:
            for index in indices:
                whole.begin(self, int(self.shard[index]))
            records = [
                whole.read(self, int(self.shard[index]), span.offset, span.length)
                for index, span in zip(indices, spans, strict=True)
            ]
        return [
            self._parse(index, span, data, whole) for index, span, data in zip(indices, spans, records, strict=True)
        ]

    def _ranges(self, indices: Sequence[int], spans: Sequence[SampleSpan]) -> list[bytes]:
        names = [tar_name(self.shards[self.shard[index]]) for index in indices]
        starts, ends = [span.offset for span in spans], [span.offset + span.length for span in spans]

        def read(storage: AbstractFileSystem, root: str) -> list[bytes]:
            paths = [f"{root}/{name}" for name in names]
            records: list[bytes] = storage.cat_ranges(paths, starts, ends, on_error="raise")
            return records

        with naming(self.url):
            if is_url(self.url):
                return asked(self.url, "read", read)
            return retried(self.url, partial(read, *open_storage(self.url, "data")))

    def _span(self, index: int) -> SampleSpan:
        return SampleSpan(
            key=self.key(index),
            offset=int(self.offset[index]),
            length=int(self.length[index]),
            crc32=int(self.crc32[index]),
        )

    def _parse(self, index: int, span: SampleSpan, data: bytes, whole: "OpenShards | None") -> StoredSequence:
        shard = int(self.shard[index])
        try:
            try:
                return read_span(span, data)
            except ValueError:
                if whole is None or not is_url(self.url):
                    raise
                return read_span(span, whole.read_anew(self, shard, span.offset, span.length))
        except ValueError as error:
            raise UserError(f"{self.url}: {self.shards[shard]}.tar is damaged: {error}") from error


def open_split(url: str, split: str) -> StoredSplit:
    """Check the card, the manifests of a split and the sizes of its tars; no tar is read.

    Raises:
        UserError: if this is no data set, of another schema version, not complete, has no such split, or holds shards
            that are damaged or come from another run.
    """
    _, name = open_storage(url, "data")  # this refuses what cannot be read from
    root = located(url)
    card = _read_card(root)
    shards = tuple(name for name in card.shards if split_of(name) == split)
    sizes = _sizes(root, {shard.rpartition("/")[0] for shard in shards})
    columns: list[tuple[NDArray[Any], ...]] = []
    sha256, num_bytes, manifests_hash = [], [], hashlib.sha256()
    for shard, data in _manifest_files(root, shards):
        manifest = _manifest(data, shard, card, url)
        _check_shard(root, card, manifest, sizes)
        columns.append(_columns(manifest))
        sha256.append(manifest.sha256)
        num_bytes.append(manifest.num_bytes)
        manifests_hash.update(data)
    counts = [len(keys) for keys, *_ in columns]
    if not sum(counts):
        raise UserError(f"{url}: no sequences in its {split} split")
    keys, offset, length, crc32, num_frames, captions = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    return StoredSplit(
        url=url,
        name=without_secrets(name.rstrip("/").rpartition("/")[2]),
        card=card,
        shards=shards,
        keys=keys,
        shard=np.repeat(np.arange(len(shards), dtype=np.int32), counts),
        offset=offset,
        length=length,
        crc32=crc32,
        num_frames=num_frames,
        captions=captions,
        sha256=tuple(sha256),
        num_bytes=tuple(num_bytes),
        manifests_hash=manifests_hash.hexdigest(),
    )


def caption_digest(caption: str) -> bytes:
    """Sixteen bytes that stand for a caption: half of its SHA-256."""
    return hashlib.sha256(caption.encode()).digest()[:16]


def _columns(manifest: ShardManifest) -> tuple[NDArray[Any], ...]:
    """Keys, offsets, lengths, CRC-32s, numbers of frames and captions of a shard's sequences; texts have no records."""
    samples, records = manifest.samples, manifest.records
    return (
        np.array([span.key.encode() for span in samples], np.bytes_),
        np.array([span.offset for span in samples], np.int64),
        np.array([span.length for span in samples], np.int64),
        np.array([span.crc32 for span in samples], np.uint32),
        np.array([len(record["frame_steps"]) for record in records], np.int32),
        np.array([caption_digest(record["caption"] or "") for record in records], "S16"),
    )


def _read_card(root: AnyPath) -> DatasetCard:
    path = dataset_file(root)
    try:
        data = retried(path, path.read_bytes)
    except (FileNotFoundError, NotADirectoryError):
        reason = "not a data set (no dataset.json)" if root.is_dir() else "no such folder"
        raise UserError(f"{root}: {reason}") from None
    except IsADirectoryError as error:
        raise UserError(f"{path}: a folder where a file should be") from error
    card = parse_card(data, f"{root}: dataset.json")
    if card.totals is None:
        raise UserError(f"{root}: not complete; run the command that began it again to complete it")
    return card


def _manifest_files(root: AnyPath, shards: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Shards and the bytes of their manifests, one after another.

    Raises:
        UserError: if any manifest is missing; all are counted before it is raised.
    """

    def read(shard: str) -> bytes | None:
        path = root / manifest_name(shard)
        try:
            return retried(path, path.read_bytes)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None

    missing = []
    for shard, data in zip(shards, answers(root, read, shards), strict=True):
        if data is None:
            missing.append(shard)
        elif not missing:
            yield shard, data
    if missing:
        raise UserError(f"{root}: {len(missing)} of {len(shards)} manifests are gone or unreadable, first {missing[0]}")


def _manifest(data: bytes, name: str, card: DatasetCard, url: str) -> ShardManifest:
    try:
        manifest = parse_manifest(data, name)
        manifest.check()
        if card.manifests is not None and hashlib.sha256(data).hexdigest() != card.manifests.get(name):
            raise ValueError("not the manifest that the data set was completed with")
        return manifest
    except ValueError as error:
        raise UserError(f"{url}: {name}.json: damaged: {error}; run python -m pipelines.verify") from error


def _check_shard(root: AnyPath, card: DatasetCard, manifest: ShardManifest, sizes: Mapping[str, int]) -> None:
    tar = tar_path(root, manifest.name)
    if manifest.config_hash != card.config_hash:
        raise UserError(f"{root}: {tar.name} belongs to another data set (another configuration made it)")
    if tar.name not in sizes and not tar.is_file():  # a store may not list a new object yet
        raise UserError(f"{root}: {tar.name} is missing, but has a manifest")
    num_bytes = sizes.get(tar.name) or tar.stat().st_size
    if num_bytes != manifest.num_bytes:
        raise UserError(f"{root}: {tar.name} is damaged: {num_bytes} bytes, {manifest.num_bytes} were committed")


def _sizes(root: AnyPath, folders: Iterable[str]) -> dict[str, int]:
    """Size in bytes of each file in some folders of shards, by its name alone, with one listing per folder."""
    sizes: dict[str, int] = {}
    for name in folders:
        folder = shards_folder(root) / name if name else shards_folder(root)
        sizes |= folder.listed_sizes() if isinstance(folder, RemotePath) else _local_sizes(folder)
    return sizes


def _local_sizes(folder: Path) -> dict[str, int]:
    try:
        return retried(folder, lambda: {path.name: path.stat().st_size for path in folder.iterdir()})
    except (FileNotFoundError, NotADirectoryError):
        return {}
