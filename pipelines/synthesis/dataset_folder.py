"""The folder of a run: created, claimed, refused if it holds another data set, and left clean."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Protocol

from conf.errors import ConfigError
from conf.progress import Progress, tell
from conf.recipe import first_difference
from training.data.claim import claimed_folder, naming_out
from training.data.dataset import DatasetCard, committed_names, read_card
from training.data.layout import dataset_file, quarantine_file, samples_file, shards_folder, timings_folder
from training.data.manifest import (
    ShardManifest,
    read_checked_manifest,
    remove_tree,
    stored_hash,
    sweep_temporaries,
    tar_path,
)
from training.data.remote import AnyPath, RemotePath, answers


class HasOut(Protocol):
    """The configuration of a run that writes a data set."""

    @property
    def out(self) -> AnyPath:
        """Its folder."""


@contextmanager
def dataset_folder(root: AnyPath, card: DatasetCard) -> Iterator[None]:
    """Claim a folder for the data set that `card` describes, and keep it claimed.

    A new folder gets its card; one with the same data set is swept of what killed writers left. When the run that began
    a data set fails before anything was committed, what it made is removed again.

    Raises:
        UserError: if the folder cannot be written, is in use, or holds something else.
    """
    with (
        naming_out(root),
        claimed_folder(root, what="a data set", card=dataset_file(root).name, check=partial(_refuse_other, root, card)),
        _undone_when_useless(root),
    ):
        _prepare(root, card)
        try:
            yield
        finally:
            _sweep(root, card)


def committed_manifests(root: AnyPath, card: DatasetCard) -> Iterator[ShardManifest]:
    """Manifests of the shards that need not be made (again), by a cheap check.

    Raises:
        UserError: if the storage fails.
    """

    def committed(name: str) -> ShardManifest | None:
        try:
            manifest = read_checked_manifest(root, name)
        except ValueError:
            return None  # a damaged manifest is none
        if manifest is None or manifest.config_hash != card.config_hash:
            return None
        tar = tar_path(root, name)
        return manifest if tar.is_file() and tar.stat().st_size == manifest.num_bytes else None

    return (manifest for manifest in answers(root, committed, card.shards) if manifest is not None)


def sound_manifests(root: AnyPath, card: DatasetCard) -> Iterator[ShardManifest]:
    """As `committed_manifests`, of shards that hold the very bytes that were committed; damaged ones are reported.

    Reading a shard takes a thousandth of the time that painting it took; without it, a resumed run would call a
    data set complete that `pipelines.verify` then rejects. Of an object store, which checks what it takes and keeps
    checksums of it, nothing is fetched again.

    Raises:
        UserError: if the storage fails.
    """
    manifests = committed_manifests(root, card)
    if isinstance(root, RemotePath):
        yield from manifests
        return
    num_committed = len(committed_names(root))
    with Progress("checking", num_committed, unit="shards", visible=num_committed > 0) as progress:
        for manifest in manifests:
            tar = tar_path(root, manifest.name)
            if stored_hash(tar) == manifest.sha256:
                yield manifest
            else:
                tell(f"{tar}: not the bytes that were committed; made again")
            progress.advance(1)


def _prepare(root: AnyPath, card: DatasetCard) -> None:
    """Write the card first, so that a run that is killed right after leaves a folder that can be recognised."""
    sweep_temporaries(root)
    if not dataset_file(root).exists():
        card.begin(root)
    for folder in _folders(root, card):
        folder.mkdir(exist_ok=True)
    _sweep(root, card)


def _folders(root: AnyPath, card: DatasetCard) -> Iterator[AnyPath]:
    """All that shards and their timings go into, from the top down."""
    below_it = sorted({name.rpartition("/")[0] for name in card.shards} - {""})
    for folder in (shards_folder(root), timings_folder(root)):
        yield folder
        yield from (folder / name for name in below_it)


def _sweep(root: AnyPath, card: DatasetCard) -> None:
    for folder in (root, *_folders(root, card), root / "gallery", root / "wandb" / "sheets"):
        sweep_temporaries(folder)


@contextmanager
def _undone_when_useless(root: AnyPath) -> Iterator[None]:
    """If the run that began the data set fails before a shard is committed, remove what it made."""
    begins = not dataset_file(root).exists()
    try:
        yield
    except BaseException:
        if begins and not committed_names(root):
            for folder in (shards_folder(root), timings_folder(root), root / "wandb"):
                remove_tree(folder)
            for path in (dataset_file(root), samples_file(root), quarantine_file(root)):
                path.unlink(missing_ok=True)
        raise


def _refuse_other(root: AnyPath, card: DatasetCard) -> None:
    stored_card = read_card(root)
    if stored_card.config_hash != card.config_hash:
        raise ConfigError(
            "out", root, f"another folder; this one holds a data set with {_difference(stored_card, card)}"
        )
    if stored_card.code_version != card.code_version:
        raise ConfigError(
            "out",
            root,
            f"another folder; this one was begun by version {stored_card.code_version}, not {card.code_version}",
        )


_HOW_TO_ADD = (
    "; a data set does not grow: make another one of other pictures or another seed, and train on both, "
    "data='[{path: ONE}, {path: OTHER}]'"
)


def _difference(stored_card: DatasetCard, card: DatasetCard) -> str:
    """A phrase that names the first key in which two recipes differ, and says how to add sequences."""
    difference = first_difference(stored_card.recipe, card.recipe, last="pictures")
    if difference is None:
        return "another configuration"
    key, stored, requested = difference
    if key == "pictures":
        return "other pictures: the source has changed since" + _HOW_TO_ADD
    return f"{key}={stored}, not {requested}" + (_HOW_TO_ADD if key == "num_sequences" else "")


def has_shards(config: HasOut) -> bool:
    """Whether a run that was interrupted has committed shards, which the same command does not make again."""
    return bool(committed_names(config.out))
