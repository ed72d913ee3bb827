"""The folder of a run: made, claimed, refused when it is somebody else's, and left clean."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from conf.errors import ConfigError, UserError
from training.data.dataset import DatasetCard, committed_names, read_card, sole_writer
from training.data.layout import dataset_file, shards_folder, timings_folder
from training.data.manifest import sweep_temporaries


@contextmanager
def dataset_folder(root: Path, card: DatasetCard) -> Iterator[None]:
    """Claim a folder for the data set that `card` describes, and keep it claimed.

    A new folder gets its card; one with the same data set is swept of what killed writers left. When the run fails
    before anything was committed, a new folder is removed again.

    Raises:
        UserError: if the folder cannot be written, is in use, or holds something else.
    """
    _refuse_foreign(root, card)
    made = [path for path in (root, *root.parents) if not path.exists()]
    try:
        for folder in (root, shards_folder(root), timings_folder(root)):
            folder.mkdir(parents=True, exist_ok=True)
        with sole_writer(root):
            for folder in (root, shards_folder(root), timings_folder(root)):
                sweep_temporaries(folder)
            if not dataset_file(root).exists():
                card.write(root)
            try:
                yield
            finally:
                for folder in (root, shards_folder(root), timings_folder(root)):
                    sweep_temporaries(folder)
    except OSError as error:
        _remove_unused(root, made)
        raise UserError(f"out={root}: {error.filename or root}: {error.strerror or error}") from error
    except BaseException:
        _remove_unused(root, made)
        raise


def _refuse_foreign(root: Path, card: DatasetCard) -> None:
    if root.exists() and not root.is_dir():
        raise ConfigError("out", root, "a folder; this is a file")
    if not dataset_file(root).exists():
        if root.exists() and any(root.iterdir()):
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
    ours, theirs = _flat(here.recipe), _flat(there.recipe)
    for key in sorted(ours.keys() | theirs.keys(), key=lambda key: (key == "pictures", key)):
        if ours.get(key) != theirs.get(key):
            if key == "pictures":
                return "other pictures: the source has changed since"
            return f"{key}={theirs.get(key)}, not {ours.get(key)}"
    return "another configuration"


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        items: Any = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    else:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, inner in items:
        flat |= _flat(inner, f"{prefix}.{key}" if prefix else str(key))
    return flat


def _remove_unused(root: Path, made: list[Path]) -> None:
    """Undo the making of a folder in which nothing was committed; folders that were there before stay."""
    if root not in made or committed_names(root):
        return
    for folder in (shards_folder(root), timings_folder(root), root):
        for path in folder.glob("*") if folder.is_dir() else []:
            if path.is_file():
                path.unlink(missing_ok=True)
    for folder in (shards_folder(root), timings_folder(root), *made):
        try:
            folder.rmdir()
        except OSError:
            return
