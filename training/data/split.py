"""One split of a data set, on any storage: checked once, then read at any place."""

import hashlib
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from fsspec import AbstractFileSystem
from numpy.typing import NDArray

from conf.errors import UserError
from conf.shown import without_secrets
from training.data.dataset import DatasetCard, parse_card
from training.data.layout import manifest_name, tar_name
from training.data.manifest import SampleSpan, ShardManifest, parse_manifest
from training.data.retries import retried
from training.data.sequence import StoredSequence, read_span
from training.data.storage import naming, open_storage


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
    manifests_hash: str
    records: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.keys)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "records": ()}

    def read(self, indices: Sequence[int]) -> list[StoredSequence]:
        """Sequences by number; of remote storage at once, as ranges of bytes.

        Raises:
            UserError: if the storage fails, or the bytes are not those that were committed.
        """
        filesystem, root = open_storage(self.url, "data")  # fsspec keeps one a process
        spans = [self._span(index) for index in indices]
        paths = [f"{root}/{tar_name(self.shards[self.shard[index]])}" for index in indices]
        starts, ends = [span.offset for span in spans], [span.offset + span.length for span in spans]
        with naming(self.url):
            records = retried(self.url, partial(filesystem.cat_ranges, paths, starts, ends, on_error="raise"))
        return [self._parse(index, span, data) for index, span, data in zip(indices, spans, records, strict=True)]

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
    filesystem, root = open_storage(url, "data")
    card = _read_card(filesystem, root, url)
    shards = tuple(name for name in card.shards if name.startswith(f"{split}-"))
    files = _read_manifests(filesystem, root, url, shards)
    manifests = [_manifest(files[name], name, card, url) for name in shards]
    _check_shards(filesystem, root, url, card, manifests)
    spans = [span for manifest in manifests for span in manifest.samples]
    if not spans:
        raise UserError(f"{url}: no sequences in its {split} split")
    return StoredSplit(
        url=url,
        name=without_secrets(root.rstrip("/").rpartition("/")[2]),
        card=card,
        shards=shards,
        keys=np.array([span.key for span in spans]),
        shard=np.repeat(np.arange(len(shards), dtype=np.int32), [len(manifest.samples) for manifest in manifests]),
        offset=np.array([span.offset for span in spans], np.int64),
        length=np.array([span.length for span in spans], np.int64),
        crc32=np.array([span.crc32 for span in spans], np.uint32),
        manifests_hash=hashlib.sha256(b"".join(files[name] for name in shards)).hexdigest(),
        records=tuple(record for manifest in manifests for record in manifest.records),
    )


def _read_card(filesystem: AbstractFileSystem, root: str, url: str) -> DatasetCard:
    with naming(url):
        if not filesystem.isdir(root):
            raise UserError(f"{url}: no such folder")
        try:
            data = retried(f"{url}: dataset.json", partial(filesystem.cat_file, f"{root}/dataset.json"))
        except FileNotFoundError:
            raise UserError(f"{url}: not a data set (no dataset.json)") from None
    card = parse_card(data, f"{url}: dataset.json")
    if card.totals is None:
        raise UserError(f"{url}: not complete; run the command that began it again to complete it")
    return card


def _read_manifests(filesystem: AbstractFileSystem, root: str, url: str, shards: Sequence[str]) -> dict[str, bytes]:
    if not shards:
        return {}
    with naming(url):
        manifests_by_path = filesystem.cat([f"{root}/{manifest_name(name)}" for name in shards], on_error="omit")
    by_name = {path.rpartition("/")[2].removesuffix(".json"): data for path, data in manifests_by_path.items()}
    lacking = [name for name in shards if name not in by_name]
    if lacking:
        raise UserError(f"{url}: {len(lacking)} of {len(shards)} manifests are gone or unreadable, first {lacking[0]}")
    return by_name


def _manifest(data: bytes, name: str, card: DatasetCard, url: str) -> ShardManifest:
    try:
        manifest = parse_manifest(data, name)
        manifest.check()
        if card.manifests is not None and hashlib.sha256(data).hexdigest() != card.manifests.get(name):
            raise ValueError("not the manifest that the data set was completed with")
        return manifest
    except ValueError as error:
        raise UserError(f"{url}: {name}.json: damaged: {error}; run python -m pipelines.verify") from error


def _check_shards(
    filesystem: AbstractFileSystem, root: str, url: str, card: DatasetCard, manifests: Iterable[ShardManifest]
) -> None:
    """One listing gives the sizes of all tars, however many they are."""
    with naming(url):
        listed = filesystem.ls(f"{root}/shards", detail=True)
    sizes = {posixpath.basename(entry["name"]): entry["size"] for entry in listed}
    for manifest in manifests:
        tar = posixpath.basename(tar_name(manifest.name))
        if manifest.config_hash != card.config_hash:
            raise UserError(f"{url}: {tar} belongs to another data set (another configuration made it)")
        if tar not in sizes:
            raise UserError(f"{url}: {tar} is missing, but has a manifest")
        if sizes[tar] != manifest.num_bytes:
            raise UserError(f"{url}: {tar} is damaged: {sizes[tar]} bytes, {manifest.num_bytes} were committed")
