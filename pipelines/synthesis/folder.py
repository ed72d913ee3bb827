"""The folder of a run: made, claimed, refused when it is somebody else's, and left clean."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from conf.errors import ConfigError, UserError
from conf.recipe import first_difference
from training.data.dataset import DatasetCard, committed_names, read_card, sole_writer
from training.data.layout import dataset_file, quarantine_file, samples_file, shards_folder, timings_folder
from training.data.manifest import ShardManifest, read_checked_manifest, sweep_temporaries, tar_path


class HasOut(Protocol):
    """The configuration of a run that writes a data set."""

    @property
    def out(self) -> Path:
        """Its folder."""


@contextmanager
def dataset_folder(root: Path, card: DatasetCard) -> Iterator[None]:
    """Claim a folder for the data set that `card` describes, and keep it claimed.

    A new folder gets its card; one with the same data set is swept of what killed writers left. When the run that began
    a data set fails before anything was committed, what it made is removed again.

    Raises:
        UserError: if the folder cannot be written, is in use, or holds something else.
    """
    made: list[Path] = []
    try:
        if root.exists() and not root.is_dir():
            raise ConfigError("out", root, "a folder; this is a file")
        made = [path for path in (root, *root.parents) if not path.exists()]
        root.mkdir(parents=True, exist_ok=True)
        with sole_writer(root):
            _refuse_foreign(root, card)
            with _undone_when_useless(root, made):
                _prepare(root, card)
                try:
                    yield
                finally:
                    _sweep(root)
    except OSError as error:
        for folder in made:
            with suppress(OSError):  # it is not empty, or was never made
                folder.rmdir()
        raise UserError(f"out={root}: {error.filename or root}: {error.strerror or error}") from error


def committed_manifests(root: Path, card: DatasetCard) -> Iterator[ShardManifest]:
    """Manifests of the shards that need not be made (again), after a cheap look; `pipelines.verify` hashes.

    Raises:
        UserError: if the storage fails.
    """
    for name in card.shards:
        try:
            manifest = read_checked_manifest(root, name)
        except ValueError:
            continue  # a damaged manifest is none
        if manifest is None or manifest.config_hash != card.config_hash:
            continue
        tar = tar_path(root, name)
        if tar.is_file() and tar.stat().st_size == manifest.num_bytes:
            yield manifest


def _prepare(root: Path, card: DatasetCard) -> None:
    """The card comes first: a run that is killed right after leaves a folder that says what it is."""
    sweep_temporaries(root)
    if not dataset_file(root).exists():
        card.write(root)
    for folder in (shards_folder(root), timings_folder(root)):
        folder.mkdir(exist_ok=True)
    _sweep(root)


def _sweep(root: Path) -> None:
    for folder in (root, shards_folder(root), timings_folder(root)):
        sweep_temporaries(folder)


@contextmanager
def _undone_when_useless(root: Path, made: list[Path]) -> Iterator[None]:
    """When the run that began the data set fails with nothing committed, leave nothing; what was there before stays."""
    begins = not dataset_file(root).exists()
    try:
        yield
    except BaseException:
        if begins and not committed_names(root):
            for folder in (shards_folder(root), timings_folder(root), root / "wandb"):
                shutil.rmtree(folder, ignore_errors=True)
            for path in (dataset_file(root), samples_file(root), quarantine_file(root)):
                path.unlink(missing_ok=True)
            for folder in made:
                with suppress(OSError):
                    folder.rmdir()
        raise


def _refuse_foreign(root: Path, card: DatasetCard) -> None:
    if not dataset_file(root).exists():
        # A run that was killed while it wrote its card left only that card's temporary.
        if any(path.suffix != ".tmp" for path in root.iterdir()):
            raise ConfigError("out", root, "a new or empty folder; this one holds something that is not a data set")
        return
    there = read_card(root)
    if there.config_hash != card.config_hash:
        raise ConfigError("out", root, f"another folder; this one holds a data set with {_difference(there, card)}")
    if there.code_version != card.code_version:
        raise ConfigError(
            "out", root, f"another folder; this one was begun by version {there.code_version}, not {card.code_version}"
        )


def _difference(there: DatasetCard, here: DatasetCard) -> str:
    """The first key in which two recipes differ, in words."""
    found = first_difference(there.recipe, here.recipe, last="pictures")
    if found is None:
        return "another configuration"
    key, theirs, ours = found
    return "other pictures: the source has changed since" if key == "pictures" else f"{key}={theirs}, not {ours}"


def has_shards(config: HasOut) -> bool:
    """Whether a run that was interrupted has committed shards, which the same command does not make again."""
    return any(shards_folder(config.out).glob("*.json"))
