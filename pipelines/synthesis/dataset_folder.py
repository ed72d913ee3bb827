"""The folder of a run: it is created, claimed, refused if it holds another data set, and cleaned of temporary files."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Protocol

from conf.errors import ConfigError
from conf.progress import Progress, tell
from pipelines.synthesis.dataset_faults import tar_fault
from pipelines.synthesis.recipe_keys import difference
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

    A new folder gets its card; a folder with the same data set is cleaned of temporary files that killed writers left.
    If the run that began a data set fails before it commits a shard, everything that it made is removed.

    Raises:
        UserError: if the folder cannot be written, is in use, or holds something else.
    """
    with (
        naming_out(root),
        claimed_folder(root, what="a data set", card=dataset_file(root).name, check=partial(_refuse_other, root, card)),
        _removed_if_nothing_committed(root),
    ):
        _prepare(root, card)
        try:
            yield
        finally:
            _sweep(root, card)


def committed_manifests(root: AnyPath, card: DatasetCard) -> Iterator[ShardManifest]:
    """Manifests of the shards that are committed, by a cheap check; they need not be made again.

    Raises:
        UserError: if the storage fails.
    """

    def committed(name: str) -> ShardManifest | None:
        try:
            manifest = read_checked_manifest(root, name)
        except ValueError:
            return None  # a shard with a damaged manifest does not count as committed
        if manifest is None or manifest.config_hash != card.config_hash:
            return None
        return manifest if tar_fault(root, manifest) is None else None

    return (manifest for manifest in answers(root, committed, card.shards) if manifest is not None)


def sound_manifests(root: AnyPath, card: DatasetCard) -> Iterator[ShardManifest]:
    """As `committed_manifests`, but only of shards whose bytes are those that were committed; others are reported.

    Reading a shard takes a thousandth of the time that painting it took. Without reading, a resumed run could call a
    data set complete that `pipelines.verify` then rejects. From an object store, which checks what it receives and
    keeps checksums, nothing is read again.

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
    """Prepare the folder. Its card comes first, so that the folder is recognised if the run is killed right after."""
    sweep_temporaries(root)
    if not dataset_file(root).exists():
        card.begin(root)
    for folder in _folders(root, card):
        folder.mkdir(exist_ok=True)
    _sweep(root, card)


def _folders(root: AnyPath, card: DatasetCard) -> Iterator[AnyPath]:
    """All folders of shards and of their timings; parents come before their subfolders."""
    subfolders = sorted({name.rpartition("/")[0] for name in card.shards} - {""})
    for folder in (shards_folder(root), timings_folder(root)):
        yield folder
        yield from (folder / name for name in subfolders)


def _sweep(root: AnyPath, card: DatasetCard) -> None:
    for folder in (root, *_folders(root, card), root / "gallery", root / "wandb" / "sheets"):
        sweep_temporaries(folder)


@contextmanager
def _removed_if_nothing_committed(root: AnyPath) -> Iterator[None]:
    """Context that removes everything the run made if it began the data set and fails before committing a shard."""
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
        differs = difference(stored_card.recipe, card.recipe)
        raise ConfigError("out", root, f"another folder; this one holds a data set with {differs}")
    if stored_card.code_version != card.code_version:
        raise ConfigError(
            "out",
            root,
            f"another folder; this one was begun by version {stored_card.code_version}, not {card.code_version}",
        )


def has_shards(config: HasOut) -> bool:
    """Whether an interrupted run has committed shards, which the same command does not make again."""
    return bool(committed_names(config.out))
