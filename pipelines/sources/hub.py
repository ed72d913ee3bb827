"""Data sets of the Hugging Face Hub, or local folders with the same layout."""

import json
import posixpath
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem

from conf.errors import ConfigError, UserError
from pipelines.sources.captions import text_line
from pipelines.sources.folder import FolderSource
from pipelines.sources.framing import WHITE, Framing, Ground
from pipelines.sources.parquet import ParquetSource
from pipelines.sources.reading import read_patiently
from pipelines.sources.source import Listing, Picture, RefusedPicture, SourceEntry, StorageFault
from pipelines.sources.stored import StoredSource, list_files
from pipelines.sources.webdataset import WebDatasetSource
from training.data.storage import naming, open_storage

_READERS: Mapping[str, type[StoredSource]] = {
    "Parquet": ParquetSource,
    "ImageFolder": FolderSource,
    "WebDataset": WebDatasetSource,
}
"""Name of the builder that `datasets` opens a data set with -> the source that reads its files."""

_CARD = "README.md"
_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_PATTERN = re.compile(r"::|[*?\[]")  # of names of folders
_COMMIT = re.compile(r"hf://datasets/[^@/]+/[^@/]+@[^/]+")


@dataclass(frozen=True, kw_only=True)
class HubSource(StoredSource):
    """One split of a data set as `datasets` finds it; none of its code is run, and it is not downloaded as a whole.

    `datasets` tells which files the split has, by the data set's card or its layout. They are read in place by the
    sources of this project, with their promises: parquet files by `ParquetSource`, pictures by `FolderSource`, tars by
    `WebDatasetSource`. On the Hub, all files are those of one commit, to which every picture of a run is pinned.

    Attributes:
        path: `USER/NAME`, or a local folder.
        subset: configuration of the data set; None for its default.
        split: name of the split.
        revision: branch, tag or commit; None for the newest commit.
        column, caption_column: see `ParquetSource`.
    """

    subset: str | None = None
    split: str = "train"
    revision: str | None = None
    column: str | None = None
    caption_column: str | None = None

    def index(self, limit: int | None) -> Listing:
        """The first `limit` pictures (all, when None) in the order of the source that reads them.

        Raises:
            ConfigError: if the path is neither a folder nor a name on the Hub.
            UserError: if there is no such data set, subset or split, it holds no pictures, the Hub cannot be reached,
                or the source that reads it raises one.
        """
        own_data_sets = _own_data_sets(self.path)
        kind, root, names = self._split(own_data_sets)
        filesystem, folder = open_storage(root)
        reader = self._reader(kind, root, self.licence or _stated_licence(filesystem, folder))
        if isinstance(reader, FolderSource):
            listing = reader.index_files(filesystem, folder, names, limit, other_tables=True)
        else:
            files = [f"{folder.rstrip('/')}/{name}" for name in names]
            assert isinstance(reader, ParquetSource | WebDatasetSource)
            listing = (reader.index_tables if isinstance(reader, ParquetSource) else reader.index_tars)(
                filesystem, files, limit
            )
        return Listing((_wrapped(entry, kind, root) for entry in listing), listing.passed_over).beside(own_data_sets)

    def load(self, entry: SourceEntry, framing: Framing, ground: Ground = WHITE) -> Picture:
        """Load one picture with the source that reads its files; raises what that raises."""
        reader, inner = self._unwrapped(entry)
        return reader.load(inner, framing, ground)

    def read(self, entry: SourceEntry) -> bytes:
        """The bytes of one picture, as they are now."""
        reader, inner = self._unwrapped(entry)
        return reader.read(inner)

    def home(self, entry: SourceEntry) -> tuple[AbstractFileSystem, str]:
        """The folder or file that holds a picture."""
        reader, inner = self._unwrapped(entry)
        return reader.home(inner)

    def _unwrapped(self, entry: SourceEntry) -> tuple[StoredSource, SourceEntry]:
        place = json.loads(entry.locator)
        return self._reader(place["kind"], place["root"], self.licence), replace(entry, locator=place["locator"])

    def _reader(self, kind: str, root: str, licence: str | None) -> StoredSource:
        """The source that reads files of a kind; the fields that it shares with this source have the same values."""
        own_fields: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self)}
        reader = _READERS[kind]
        shared = {each.name: own_fields[each.name] for each in fields(reader)}
        return reader(**{**shared, "path": root, "licence": licence})

    def _split(self, own_data_sets: Sequence[str]) -> tuple[str, str, Sequence[str]]:
        """Kind and place of the data set, and the names of the split's files in it."""
        if not Path(self.path).is_dir() and not _ID.fullmatch(self.path):
            raise ConfigError("path", self.path, "USER/NAME of the Hub, or a local folder that exists")
        try:
            import datasets
        except ImportError as error:
            raise UserError(f"source=hf needs: pip install 'process-painter[import]' ({error})") from error
        with _without(own_data_sets, self.path) as place:
            try:
                builder = datasets.load_dataset_builder(place, self.subset, revision=self.revision)
                data_files = builder.config.data_files or {}
            except Exception as error:  # the exceptions of the library and the network have no common class
                raise UserError(f"{self.path}: no data set that can be opened ({_one_line(error)})") from error
        bases = [base.__name__ for base in type(builder).__mro__]  # the builder's own class is named after the data set
        kind = next((name for name in bases if name in _READERS), None)
        if kind is None:
            allowed = "pictures, parquet files with pictures, and tars of pictures"
            raise UserError(f"{self.path}: a data set of another kind ({bases[1]}); read are {allowed}")
        if self.split not in data_files:
            raise UserError(f"{self.path}: has no split {self.split}, but {', '.join(map(str, data_files))}")
        files = [str(file) for file in data_files[self.split]]
        commit = _COMMIT.match(files[0])
        listed = commit[0] if commit else str(Path(place).resolve())
        root = commit[0] if commit else str(Path(self.path).resolve())
        return kind, root, sorted(file.removeprefix(listed).lstrip("/") for file in files)


def _own_data_sets(path: str) -> list[str]:
    """Paths of the data sets of this program below a local folder, relative to it."""
    if not Path(path).is_dir():
        return []
    with naming(path):
        return [name for name in list_files(*open_storage(path)) if name.endswith("/")]


@contextmanager
def _without(own_data_sets: Sequence[str], path: str) -> Iterator[str]:
    """Context with the path at which `datasets` is to look: a copy of the folder without `own_data_sets`.

    The copy has the card and empty files with the same names, since `datasets` looks at nothing else here. If there are
    no such data sets, the path is the folder itself, unless `datasets` would take its name for a pattern or a URL.
    """
    if not own_data_sets and not (Path(path).is_dir() and _PATTERN.search(str(Path(path).resolve()))):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in list_files(*open_storage(path)):
            if not name.endswith("/"):
                file = Path(folder, name)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch()
        if Path(path, _CARD).is_file():
            shutil.copyfile(Path(path, _CARD), Path(folder, _CARD))
        yield folder


def _wrapped(entry: SourceEntry, kind: str, root: str) -> SourceEntry:
    return replace(entry, locator=json.dumps({"kind": kind, "root": root, "locator": entry.locator}))


def _stated_licence(filesystem: AbstractFileSystem, folder: str) -> str | None:
    """The licence in the header of a data set's card: `license_name` if it is given, else `license`.

    Raises:
        UserError: if the card is malformed, or the storage fails.
    """
    from huggingface_hub import DatasetCard

    path = posixpath.join(folder, _CARD)
    try:
        text = bytes(read_patiently(lambda: filesystem.cat_file(path), path)).decode("utf-8", "replace")
    except RefusedPicture:
        return None
    except StorageFault as fault:
        raise UserError(str(fault)) from fault
    try:
        header: Any = DatasetCard(text, ignore_metadata_errors=True).data
        licence = header.get("license_name") or header.get("license")
    except Exception as error:  # malformed YAML can raise any exception
        raise UserError(f"{path}: its head is no YAML of a card ({_one_line(error)})") from error
    return text_line(", ".join(map(str, licence)) if isinstance(licence, list) else str(licence or ""))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
