"""A data set folder as a whole: what it is, and its manifests."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, NotRequired

from typing_extensions import TypedDict

from conf.errors import UserError
from training.data.layout import (
    SCHEMA_VERSION,
    dataset_file,
    is_folder_of_shards,
    is_shard_name,
    shards_folder,
)
from training.data.manifest import (
    ShardManifest,
    manifest_path,
    read_checked_manifest,
    stored_hash,
    to_json,
    write_atomically,
)
from training.data.plain import CLOSED, OPEN, Count, parse_object, shaped
from training.data.remote import AnyPath, RemotePath, answers
from training.data.retries import retried
from training.data.seal import CHECKSUM, is_sealed, sealed


@dataclass(frozen=True, kw_only=True)
class DatasetCard:
    """`dataset.json`: written when a run begins, and with its totals when it is complete.

    Attributes:
        recipe: everything that decided the bytes.
        config_hash: hash of the recipe and of the source's pictures.
        shards: names of all shards planned.
        totals: None until the run is complete.
        manifests: name of a shard -> SHA-256 of its manifest; with the checksum of the card itself, the root of all
            hashes. None until the run is complete, and in data sets of the first version.
    """

    recipe: dict[str, Any]
    config_hash: str
    code_version: str
    shards: tuple[str, ...]
    num_planned: int
    totals: dict[str, Any] | None = None
    manifests: dict[str, str] | None = None
    schema_version: int = SCHEMA_VERSION

    def write(self, root: AnyPath) -> None:
        """Write it, completely or not at all."""
        write_atomically(dataset_file(root), self._document())

    def begin(self, root: AnyPath) -> None:
        """Write it where there is none yet.

        Raises:
            UserError: if another run has just begun a data set in this folder of an object store.
        """
        path = dataset_file(root)
        if not isinstance(path, RemotePath):
            self.write(root)
        elif not path.create(self._document()):
            raise UserError(f"{root}: another run has begun a data set here at this moment")

    @property
    def digest(self) -> str:
        """SHA-256 of `dataset.json`, which changes with any byte of a complete data set."""
        return hashlib.sha256(self._document()).hexdigest()

    def _document(self) -> bytes:
        fields = asdict(self)
        if self.manifests is None:
            del fields["manifests"]
            return to_json(fields).encode()
        return sealed(to_json(fields))

    def completed(self, root: AnyPath, totals: dict[str, Any]) -> "DatasetCard":
        """The card with totals and hashes if all shards are committed; without them otherwise."""
        if totals["num_shards"] < len(self.shards):
            return replace(self, totals=None, manifests=None)

        def hashed(name: str) -> str:
            return stored_hash(manifest_path(root, name))

        hashes = dict(zip(self.shards, answers(root, hashed, self.shards), strict=True))
        return replace(self, totals=totals, manifests=hashes)


class DamagedCard(UserError):
    """The `dataset.json` is not what was written."""


class _Totals(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]

    num_sequences: Count
    num_shards: Count
    num_bytes: Count
    num_quarantined: Count
    splits: dict[str, Count]
    renderers: dict[str, Count]
    licences: dict[str, Count]


class _Renderer(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]

    name: str
    phrase: str


class _Recipe(TypedDict):
    """The part of a recipe that readers use."""

    __pydantic_config__ = OPEN  # type: ignore[misc]

    renderers: NotRequired[list[_Renderer]]
    source: NotRequired[dict[str, Any]]
    schedule: NotRequired[dict[str, Any]]


class _StoredCard(TypedDict):
    """`dataset.json`."""

    __pydantic_config__ = CLOSED  # type: ignore[misc]

    recipe: _Recipe
    config_hash: str
    code_version: str
    shards: list[str]
    num_planned: Count
    totals: NotRequired[_Totals | None]
    manifests: NotRequired[dict[str, str]]
    schema_version: Count


def read_card(root: AnyPath) -> DatasetCard:
    """The card of a data set.

    Raises:
        UserError: if the folder is not a data set of this schema version, or the storage fails.
        DamagedCard: if its card is not what was written.
    """
    path = dataset_file(root)
    try:
        is_folder = root.is_dir()
    except OSError as error:  # for example a name that is too long
        raise UserError(f"dataset={root}: {error.strerror}") from error
    if not is_folder:
        raise UserError(f"dataset={root}: no such folder")
    try:
        return parse_card(retried(path, path.read_bytes), str(path))
    except FileNotFoundError:
        raise UserError(f"{root}: not a data set (no dataset.json)") from None
    except IsADirectoryError as error:
        raise DamagedCard(f"{path}: a folder where a file should be") from error


def parse_card(data: bytes, where: str) -> DatasetCard:
    """The card in the bytes of a `dataset.json`.

    Raises:
        UserError: if it is of another schema version; `where` names it.
        DamagedCard: if it is no card, or not what was written.
    """
    try:
        fields = parse_object(data, dict[str, Any])
        if is_sealed(data) != ("manifests" in fields):
            raise ValueError("its checksum is missing")
        version = fields.get("schema_version", "unknown")
        if version != SCHEMA_VERSION:
            raise UserError(f"{where}: schema version {version}; this code reads {SCHEMA_VERSION}")
        card = shaped({name: value for name, value in fields.items() if name != CHECKSUM}, _StoredCard)
        names = tuple(card["shards"])
        if len(set(names)) != len(names) or not all(map(is_shard_name, names)):
            raise ValueError("shards: not a list of different shard names")
        return DatasetCard(**{**card, "recipe": dict(card["recipe"]), "shards": names})  # type: ignore[arg-type]
    except ValueError as error:
        raise DamagedCard(f"{where}: not a data set card ({error})") from error


def read_manifests(root: AnyPath, names: Iterable[str]) -> Iterator[ShardManifest]:
    """Manifests of the committed shards among those named, in order.

    Raises:
        ValueError: if one is damaged.
    """
    for manifest in answers(root, partial(read_checked_manifest, root), names):
        if manifest is not None:
            yield manifest


def committed_names(root: AnyPath) -> list[str]:
    """Names of all shards that have a manifest, planned or not."""
    names = (f"{folder}{path.stem}" for folder, paths in shard_files(root) for path in paths if path.suffix == ".json")
    return sorted(name for name in names if is_shard_name(name))


def shard_files(root: AnyPath) -> Iterator[tuple[str, list[AnyPath]]]:
    """The files of each folder of shards, with the folder's part of shard names: "" or `00012/`."""
    top: list[AnyPath] = list(shards_folder(root).iterdir()) if shards_folder(root).is_dir() else []
    subfolders = {path.name: path for path in top if is_folder_of_shards(path.name)}
    yield "", [path for path in top if path.name not in subfolders]
    for name, folder in sorted(subfolders.items()):
        yield f"{name}/", list(folder.iterdir()) if folder.is_dir() else [folder]
