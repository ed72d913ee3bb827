"""One split of a data set, on any storage: checked once, then read at any place."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from fsspec import AbstractFileSystem
from numpy.typing import NDArray

from conf.errors import UserError
from conf.printable import without_secrets
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
    """Where every sequence of a split stands. Small, and can be sent to other processes.

    Attributes:
        url: path or fsspec URL of the data set.
        name: of its folder.
        card: of the data set.
        shards: names of the split's shards.
        keys: (N,) of the sequences.
        shard: (N,) number of each sequence's shard in `shards`.
        offset, length, crc32: (N,) as in `SampleSpan`.
        sha256, num_bytes: of each shard.
        manifests_hash: changes when any byte of the split does.
        records: rows of the manifests, for checks before training; not sent to other processes.
    """

    url: str
    name: str
    card: DatasetCard
    shards: tuple[str, ...]
    keys: NDArray[np.str_]
    shard: NDArray[np.int32]
    offset: NDArray[np.int64]
    length: NDArray[np.int64]
    crc32: NDArray[np.uint32]
    sha256: tuple[str, ...]
    num_bytes: tuple[int, ...]
    manifests_hash: str
    records: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.keys)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "records": ()}

    def read(self, indices: Sequence[int], whole: "OpenShards | None" = None) -> list[StoredSequence]:
        """Sequences by number: as ranges of bytes, of remote storage at once; or out of shards that are fetched whole.

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
        return [self._parse(index, span, data) for index, span, data in zip(indices, spans, records, strict=True)]

    def _ranges(self, indices: Sequence[int], spans: Sequence[SampleSpan]) -> list[bytes]:
        names = [tar_name(self.shards[self.shard[index]]) for index in indices]
        starts, ends = [span.offset for span in spans], [span.offset + span.length for span in spans]

        def read(storage: AbstractFileSystem, root: str) -> list[bytes]:
            paths = [f"{root}/{name}" for name in names]
            records: list[bytes] = storage.cat_ranges(paths, starts, ends, on_error="raise")
            return records

        with naming(self.url):
            if "://" in self.url:
                return asked(self.url, "read", read)
            return retried(self.url, partial(read, *open_storage(self.url, "data")))

    def _span(self, index: int) -> SampleSpan:
        return SampleSpan(
            key=str(self.keys[index]),
            offset=int(self.offset[index]),
            length=int(self.length[index]),
            crc32=int(self.crc32[index]),
        )

    def _parse(self, index: int, span: SampleSpan, data: bytes) -> StoredSequence:
        try:
            return read_span(span, data)
        except ValueError as error:
            raise UserError(f"{self.url}: {self.shards[self.shard[index]]}.tar is damaged: {error}") from error


def open_split(url: str, split: str) -> StoredSplit:
    """Look at the card, at the manifests of a split and at the sizes of its tars; no tar is read.

    Raises:
        UserError: if this is no data set, of another schema version, not complete, has no such split, or holds shards
            that are damaged or come from another run.
    """
    _, name = open_storage(url, "data")  # which refuses what is no place to read from
    root = located(url)
    card = _read_card(root)
    shards = tuple(name for name in card.shards if split_of(name) == split)
    files = _read_manifests(root, shards)
    manifests = [_manifest(files[name], name, card, url) for name in shards]
    _check_shards(root, card, manifests)
    spans = [span for manifest in manifests for span in manifest.samples]
    if not spans:
        raise UserError(f"{url}: no sequences in its {split} split")
    return StoredSplit(
        url=url,
        name=without_secrets(name.rstrip("/").rpartition("/")[2]),
        card=card,
        shards=shards,
        keys=np.array([span.key for span in spans]),
        shard=np.repeat(np.arange(len(shards), dtype=np.int32), [len(manifest.samples) for manifest in manifests]),
        offset=np.array([span.offset for span in spans], np.int64),
        length=np.array([span.length for span in spans], np.int64),
        crc32=np.array([span.crc32 for span in spans], np.uint32),
        sha256=tuple(manifest.sha256 for manifest in manifests),
        num_bytes=tuple(manifest.num_bytes for manifest in manifests),
        manifests_hash=hashlib.sha256(b"".join(files[name] for name in shards)).hexdigest(),
        records=tuple(record for manifest in manifests for record in manifest.records),
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


def _read_manifests(root: AnyPath, shards: Sequence[str]) -> dict[str, bytes]:
    def read(name: str) -> bytes | None:
        path = root / manifest_name(name)
        try:
            return retried(path, path.read_bytes)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None

    by_name = dict(zip(shards, answers(root, read, shards), strict=True))
    present = {name: data for name, data in by_name.items() if data is not None}
    lacking = [name for name in shards if name not in present]
    if lacking:
        raise UserError(f"{root}: {len(lacking)} of {len(shards)} manifests are gone or unreadable, first {lacking[0]}")
    return present


def _manifest(data: bytes, name: str, card: DatasetCard, url: str) -> ShardManifest:
    try:
        manifest = parse_manifest(data, name)
        manifest.check()
        if card.manifests is not None and hashlib.sha256(data).hexdigest() != card.manifests.get(name):
            raise ValueError("not the manifest that the data set was completed with")
        return manifest
    except ValueError as error:
        raise UserError(f"{url}: {name}.json: damaged: {error}; run python -m pipelines.verify") from error


def _check_shards(root: AnyPath, card: DatasetCard, manifests: Iterable[ShardManifest]) -> None:
    """One listing a folder gives the sizes of all tars, however many they are."""
    sizes = _sizes(root, {manifest.name.rpartition("/")[0] for manifest in manifests})
    for manifest in manifests:
        tar = tar_path(root, manifest.name)
        if manifest.config_hash != card.config_hash:
            raise UserError(f"{root}: {tar.name} belongs to another data set (another configuration made it)")
        if tar.name not in sizes and not tar.is_file():  # a store may not list yet what it has
            raise UserError(f"{root}: {tar.name} is missing, but has a manifest")
        num_bytes = sizes.get(tar.name) or tar.stat().st_size
        if num_bytes != manifest.num_bytes:
            raise UserError(f"{root}: {tar.name} is damaged: {num_bytes} bytes, {manifest.num_bytes} were committed")


def _sizes(root: AnyPath, folders: Iterable[str]) -> dict[str, int]:
    """Size in bytes of each file in some folders of shards, by its name alone."""
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
