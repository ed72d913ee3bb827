"""Faults of a data set outside its sequences: card, manifests, and files that do not belong to it."""

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from conf.recipe import recipe_hash
from training.data.dataset import DatasetCard, shard_files
from training.data.layout import SPLITS, shards_folder
from training.data.manifest import (
    ShardManifest,
    checked_manifest,
    is_temporary,
    manifest_bytes,
    manifest_path,
    tar_path,
)
from training.data.remote import AnyPath, answers
from training.data.seal import CHECKSUM, is_sealed


def card_faults(root: AnyPath, card: DatasetCard) -> Iterator[str]:
    """Faults of `dataset.json` itself."""
    if recipe_hash(card.recipe) != card.config_hash:
        yield f"{root / 'dataset.json'}: its recipe is not the one that its config_hash is of"


def read_sound_manifests(root: AnyPath, card: DatasetCard, faults: list[str]) -> Iterator[ShardManifest]:
    """The manifests that can be read and belong to the data set; faults of any manifest are added to `faults`.

    Raises:
        UserError: if the storage fails.
    """
    for manifest, manifest_faults in answers(root, partial(_read_one, root, card), card.shards):
        faults += manifest_faults
        if manifest is not None:
            yield manifest


def _read_one(root: AnyPath, card: DatasetCard, name: str) -> tuple[ShardManifest | None, list[str]]:
    path = manifest_path(root, name)
    try:
        data = manifest_bytes(root, name)
        if data is None:
            return None, [f"{path}: missing"] if card.totals is not None else []
        manifest = checked_manifest(root, name, data)
    except ValueError as error:
        return None, [str(error)]
    return manifest, list(_manifest_faults(path, data, manifest, card))


def _manifest_faults(path: AnyPath, data: bytes, manifest: ShardManifest, card: DatasetCard) -> Iterator[str]:
    if card.manifests is not None:
        if hashlib.sha256(data).hexdigest() != card.manifests.get(manifest.name):
            yield f"{path}: not the manifest that the data set was completed with"
    elif not is_sealed(data) and f'"{CHECKSUM}"'.encode() in data:
        yield f"{path}: written again by another program"
    if manifest.config_hash != card.config_hash:
        yield f"{path}: made with another configuration"
    if manifest.code_version != card.code_version:
        yield f"{path}: made by version {manifest.code_version}, the data set by {card.code_version}"


def tar_fault(root: AnyPath, manifest: ShardManifest) -> str | None:
    """What is wrong with the tar of a committed shard, by its presence and size alone; None if nothing is.

    Its content is not read, and a store gets one request.
    """
    path = tar_path(root, manifest.name)
    try:
        num_bytes = None if isinstance(path, Path) and not path.is_file() else path.stat().st_size
    except FileNotFoundError:
        num_bytes = None
    if num_bytes is None:
        return f"{path}: missing, but it has a manifest"
    return None if num_bytes == manifest.num_bytes else f"{path}: not the bytes that were committed"


def foreign_faults(root: AnyPath, card: DatasetCard) -> Iterator[str]:
    """Files among the shards that are not in the plan. Temporary files of killed writers are not faults."""
    planned = set(card.shards)
    folders = {name.rpartition("/")[0] for name in card.shards}
    for folder, paths in shard_files(root):
        if folder and folder.rstrip("/") not in folders:
            yield f"{shards_folder(root)}/{folder}: a folder of shards that nobody planned"
            continue
        for path in sorted(paths, key=str):
            is_planned = f"{folder}{path.stem}" in planned and path.suffix in (".tar", ".json")
            if not is_planned and not is_temporary(path):
                yield f"{path}: a shard that nobody planned"


class Crossings:
    """Finds what occurs in more than one place: keys in two shards, pictures in two splits.

    Two hashes of 64 bits are kept for each sequence; if some are equal, the manifests are read again to find out which
    sequences they belong to.
    """

    def __init__(self) -> None:
        self._keys = array("q")
        self._pictures = {split: array("q") for split in SPLITS}

    def noting(self, manifests: Iterable[ShardManifest]) -> Iterator[ShardManifest]:
        """The same manifests; each is noted as it passes."""
        for manifest in manifests:
            self._keys.extend(hash(span.key) for span in manifest.samples)
            pictures = (hash(record["source_sha256"]) for record in manifest.records)
            self._pictures.setdefault(manifest.split, array("q")).extend(pictures)
            yield manifest

    def faults(self, manifests: Callable[[], Iterable[ShardManifest]]) -> Iterator[str]:
        """Faults, to be called after all manifests have passed; `manifests` reads them again."""
        if not self._are_possible():
            return
        shards: dict[str, str] = {}
        splits: dict[str, str] = {}
        for manifest in manifests():
            for span in manifest.samples:
                if span.key in shards:
                    yield f"sequence {span.key} stands in {shards[span.key]} and in {manifest.name}"
                shards[span.key] = manifest.name
            for record in manifest.records:
                if splits.setdefault(record["source_sha256"], manifest.split) != manifest.split:
                    yield f"picture {record['source']} stands in both splits"

    def _are_possible(self) -> bool:
        keys = np.frombuffer(self._keys, np.int64)
        train, val = (np.frombuffer(self._pictures[split], np.int64) for split in SPLITS)
        keys.sort()  # in place, as there may be millions
        if (keys[1:] == keys[:-1]).any():
            return True
        if not train.size:
            return False
        train.sort()
        places = np.searchsorted(train, val).clip(max=train.size - 1)
        return bool((train[places] == val).any())
