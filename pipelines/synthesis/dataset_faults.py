"""Faults of a data set outside its sequences: card, manifests, tables, and files that do not belong to it."""

import re
from collections.abc import Iterator, Sequence
from functools import partial

from conf.recipe import recipe_hash
from training.data.dataset import DatasetCard, dataset_totals, quarantine_rows, samples_table
from training.data.layout import quarantine_file, samples_file, shards_folder
from training.data.manifest import (
    ShardManifest,
    hash_file,
    is_temporary,
    manifest_path,
    read_checked_manifest,
    tar_path,
)
from training.data.remote import AnyPath
from training.data.retries import retried
from training.data.seal import CHECKSUM, is_sealed

_ANY_PYARROW = re.compile(r"parquet-cpp-arrow version [0-9.]+")


def card_faults(root: AnyPath, card: DatasetCard) -> Iterator[str]:
    """Faults of `dataset.json` itself."""
    if recipe_hash(card.recipe) != card.config_hash:
        yield f"{root / 'dataset.json'}: its recipe is not the one that its config_hash is of"


def read_sound_manifests(root: AnyPath, card: DatasetCard, faults: list[str]) -> list[ShardManifest]:
    """The manifests that can be read and belong to the data set; what is wrong with the others is added to `faults`.

    Raises:
        UserError: if the storage fails.
    """
    manifests = []
    for name in card.shards:
        try:
            manifest = read_checked_manifest(root, name)
            if manifest is None:
                if card.totals is not None:
                    raise ValueError(f"{manifest_path(root, name)}: missing")
                continue
            faults += _manifest_faults(root, manifest, card)
            manifests.append(manifest)
        except ValueError as error:
            faults.append(str(error))
    return manifests


def _manifest_faults(root: AnyPath, manifest: ShardManifest, card: DatasetCard) -> Iterator[str]:
    path = manifest_path(root, manifest.name)
    if card.manifests is not None:
        if retried(path, partial(hash_file, path)) != card.manifests.get(manifest.name):
            yield f"{path}: not the manifest that the data set was completed with"
    elif not is_sealed(data := retried(path, path.read_bytes)) and f'"{CHECKSUM}"'.encode() in data:
        yield f"{path}: written again by another program"
    if manifest.config_hash != card.config_hash:
        yield f"{path}: made with another configuration"
    if manifest.code_version != card.code_version:
        yield f"{path}: made by version {manifest.code_version}, the data set by {card.code_version}"


def faults_between_shards(root: AnyPath, card: DatasetCard, manifests: Sequence[ShardManifest]) -> Iterator[str]:
    """Faults that show only when all manifests are compared."""
    keys: dict[str, str] = {}
    splits: dict[str, str] = {}
    for manifest in manifests:
        for span in manifest.samples:
            if span.key in keys:
                yield f"sequence {span.key} stands in {keys[span.key]} and in {manifest.name}"
            keys[span.key] = manifest.name
        for record in manifest.records:
            if splits.setdefault(record["source_sha256"], manifest.split) != manifest.split:
                yield f"picture {record['source']} stands in both splits"
    if card.totals is not None and card.totals != dataset_totals(manifests):
        yield f"{root}: the totals of dataset.json are not those of its shards"


def foreign_faults(root: AnyPath, card: DatasetCard) -> Iterator[str]:
    """Files among the shards that the plan does not contain. Temporary files of killed writers are no fault."""
    planned = {path(root, name) for name in card.shards for path in (tar_path, manifest_path)}
    folder = shards_folder(root)
    paths: list[AnyPath] = list(folder.iterdir()) if folder.is_dir() else []
    for path in sorted(paths, key=str):
        if path not in planned and not is_temporary(path):
            yield f"{path}: a shard that nobody planned"


def table_faults(root: AnyPath, card: DatasetCard, manifests: Sequence[ShardManifest]) -> Iterator[str]:
    """Whether the tables are what is made of the manifests; they are written when a run ends.

    Raises:
        UserError: if the storage fails.
    """
    if card.totals is None:
        return
    if _bytes(quarantine_file(root)) != quarantine_rows(manifests):
        yield f"{quarantine_file(root)}: not the rows of refused inputs that the manifests hold"
    table = _bytes(samples_file(root))
    reason = _table_fault(table, manifests, exact=card.manifests is not None) if table else "missing"
    if reason is not None:
        yield f"{samples_file(root)}: {reason}"


def _table_fault(data: bytes, manifests: Sequence[ShardManifest], *, exact: bool) -> str | None:
    """What is wrong with a `samples.parquet`.

    The seconds that painting took stand nowhere else for certain, so they are taken from the table itself; pages carry
    checksums. Another pyarrow writes the same rows as other bytes, so bytes are compared with our own alone.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        table = file.read()
        seconds = dict(zip(table["key"].to_pylist(), table["seconds"].to_pylist(), strict=True))
        expected = samples_table(manifests, seconds)
        expected_table = pq.ParquetFile(pa.BufferReader(expected))
        if data == expected:
            return None
        if table.schema != expected_table.schema_arrow or table.to_pylist() != expected_table.read().to_pylist():
            return "not the rows of the manifests"
        writer = str(file.metadata.created_by)
        own_bytes = writer == expected_table.metadata.created_by or _ANY_PYARROW.fullmatch(writer) is None
    except Exception as error:  # damaged Parquet raises anything
        return f"damaged ({' '.join(str(error).split())[:100] or type(error).__name__})"
    return "not the bytes that were written" if exact and own_bytes else None


def _bytes(path: AnyPath) -> bytes:
    try:
        return retried(path, path.read_bytes)
    except (FileNotFoundError, IsADirectoryError):
        return b""
