"""Pictures in parquet files, as the Hub, img2dataset and `datasets` write them: each row holds a picture."""

import hashlib
import json
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem

from conf.errors import UserError
from pipelines.sources.captions import Annotation, first_of, text_line
from pipelines.sources.patterns import matching_files, short_names
from pipelines.sources.reading import PatientFile, read_patiently
from pipelines.sources.source import Listing, RefusedPicture, SourceEntry, StorageFault
from pipelines.sources.stored import StoredSource, printable
from training.data.storage import open_storage

NUM_READERS = 8
"""Files that are scanned side by side."""

_PICTURE_COLUMN = "image"
_CAPTION_COLUMNS = ("text", "caption")
_LICENCE_COLUMNS = ("licence", "license")
_BLOCK_BYTES = 1 << 20
_NESTED_KINDS = (
    *(pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list),
    *(pa.types.is_list_view, pa.types.is_large_list_view, pa.types.is_dictionary),
)
"""Tests for columns whose values are lists of another kind, or are encoded by a dictionary of another kind."""


@dataclass(frozen=True, kw_only=True)
class ParquetSource(StoredSource):
    """The pictures of parquet files, in the order of the files' names and then of their rows.

    `path` is a file, a folder of files, or a pattern: `train-*.parquet`. Pictures are bytes, or a struct of `bytes` and
    `path` as `datasets` writes it. A row without bytes is refused by name when it is loaded; its path is not followed.
    All columns but those of the picture, its caption and its licence are passed over and named.

    Attributes:
        column: the column of the pictures; None for the only one that holds pictures, or for `image` if several do.
        caption_column: the column of the captions; None for `text`, else `caption`. Its values are texts, or lists of
            texts, of which the first counts; so are those of a licence column.
    """

    column: str | None = None
    caption_column: str | None = None

    def index(self, limit: int | None) -> Listing:
        """The first `limit` pictures (all, when None); files beyond them are not read.

        Raises:
            UserError: if there are no files or no rows in them, a file is damaged or lacks a column, or captions are
                required and lacking; one line that names the file.
        """
        filesystem, files, other_names = matching_files(self.path, ".parquet", "parquet files")
        return self.index_tables(filesystem, files, limit).beside(other_names)

    def index_tables(self, filesystem: AbstractFileSystem, files: Sequence[str], limit: int | None) -> Listing:
        """As `index`, for the given files; raises what `index` does."""
        scan = partial(self._entries, filesystem, limit)
        entries: list[SourceEntry] = []
        passed_over: dict[str, None] = {}
        with ThreadPoolExecutor(NUM_READERS) as readers:
            for start in range(0, len(files), NUM_READERS):
                batch = slice(start, start + NUM_READERS)
                for listing in readers.map(scan, files[batch], short_names(files)[batch]):
                    entries += listing
                    passed_over |= dict.fromkeys(listing.passed_over)
                if limit is not None and len(entries) >= limit:
                    break
        if not entries:
            raise UserError(f"{self.path}: holds no rows")
        return self.listing(entries[:limit], passed_over)

    def read(self, entry: SourceEntry) -> bytes:
        """The bytes of one picture, as they are now."""
        filesystem, _ = open_storage(self.path)
        place = json.loads(entry.locator)
        return _rows.picture(filesystem, place["file"], place["column"], place["group"], place["row"])

    def home(self, entry: SourceEntry) -> tuple[AbstractFileSystem, str]:
        """The storage and the parquet file of a picture."""
        filesystem, _ = open_storage(self.path)
        return filesystem, json.loads(entry.locator)["file"]

    def _entries(self, filesystem: AbstractFileSystem, limit: int | None, path: str, name: str) -> Listing:
        """The first pictures of one file, and the columns that are not read."""
        entries: list[SourceEntry] = []
        default = Annotation(licence=self.licence)
        try:
            with _opened(filesystem, path) as table:
                columns = self._columns(table.schema_arrow, path)
                numbered_rows = enumerate(_all_rows(table, columns.names))
                for number, (group, row, values) in numbered_rows:
                    if limit is not None and number == limit:
                        break
                    note, data, file_name = columns.annotation(values).over(default), None, ""
                    if values is not None:
                        data, file_name = _bytes_and_name(values[columns.picture])
                    id_ = printable("/".join(filter(None, (f"{name}:{number}", posixpath.basename(file_name)))))
                    place = {"file": path, "column": columns.picture, "group": group, "row": row}
                    digest = hashlib.sha256(id_.encode() if data is None else data).hexdigest()
                    entries.append(
                        SourceEntry(
                            id=id_,
                            sha256=digest,
                            locator=json.dumps(place),
                            caption=note.caption,
                            licence=note.licence,
                            fault=note.fault,
                        )
                    )
        except RefusedPicture as damage:
            raise UserError(f"{path}: {damage}") from damage
        except StorageFault as fault:
            raise UserError(str(fault)) from fault
        return Listing(entries, (f"column {printable(column)}" for column in columns.unread))

    def _columns(self, schema: pa.Schema, path: str) -> "_Columns":
        """Which columns are read.

        Raises:
            UserError: if a requested column is missing or holds something else, or it is not clear which one to read.
        """
        all_names = ", ".join(map(printable, schema.names))
        pictures = [each.name for each in schema if _holds_bytes(each.type)]
        texts = [each.name for each in schema if _holds_text(each.type)]
        for key, column, fitting in (("column", self.column, pictures), ("caption_column", self.caption_column, texts)):
            if column is not None and column not in fitting:
                what = "bytes of pictures" if key == "column" else "texts"
                raise UserError(f"{path}: {key}={column} is no column of {what}; its columns are {all_names}")
        for column in (*pictures, *_CAPTION_COLUMNS, *_LICENCE_COLUMNS, self.caption_column):
            if schema.names.count(column) > 1:
                raise UserError(f"{path}: the column {column} is there {schema.names.count(column)} times; rename one")
        picture = self.column or (pictures[0] if len(pictures) == 1 else _PICTURE_COLUMN)
        if picture not in pictures:
            candidates = f"pictures may be in {', '.join(pictures)}" if pictures else "none holds bytes of pictures"
            raise UserError(f"{path}: say which column to read (source.column=): {candidates}; all are {all_names}")
        captions = (self.caption_column,) if self.caption_column else _CAPTION_COLUMNS
        return _Columns(
            picture=picture,
            captions=tuple(name for name in captions if name in texts),
            licences=tuple(name for name in _LICENCE_COLUMNS if name in texts),
            all=tuple(schema.names),
        )


@dataclass(frozen=True, kw_only=True)
class _Columns:
    """Names of the columns that are read, and of all columns.

    A row's caption is the first of `captions` that is not empty; so is its licence.
    """

    picture: str
    captions: tuple[str, ...]
    licences: tuple[str, ...]
    all: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        return [self.picture, *self.captions, *self.licences]

    @property
    def unread(self) -> list[str]:
        return [name for name in self.all if name not in self.names]

    def annotation(self, values: Mapping[str, Any] | None) -> Annotation:
        """Caption and licence of a row that `_all_rows` gives."""
        if values is None:
            return Annotation(fault="holds text that is not UTF-8")
        caption, licence = (
            next(filter(None, (text_line(first_of(values[name]) or "") for name in names)), "")
            for names in (self.captions, self.licences)
        )
        return Annotation(caption=caption, licence=licence)


@dataclass
class _RowReader:
    """Reads row groups of files forwards: pictures are mostly asked for in their order, some several times.

    Attributes:
        place: file, column and group that are being read, or None.
        rows: the rows of the group that are not read yet.
        row: number of the row that was read last.
        value: value of the column in that row.
    """

    place: tuple[str, str, int] | None = None
    rows: Iterator[Mapping[str, Any]] = field(default_factory=lambda: iter(()))
    row: int = -1
    value: Any = None

    def picture(self, filesystem: AbstractFileSystem, path: str, column: str, group: int, row: int) -> bytes:
        """The bytes of one row.

        Raises:
            RefusedPicture: if there are none, or the file is damaged.
        """
        if self.place != (path, column, group) or row < self.row:
            self.place, self.row, self.value = None, -1, None
            self.rows = _group_rows(filesystem, path, column, group)
        self.place = None  # if an error is raised below, the next call starts the group again
        while self.row < row:
            values = next(self.rows, None)
            if values is None:
                raise RefusedPicture("changed since the run was planned")
            self.row, self.value = self.row + 1, values[column]
        self.place = path, column, group
        data, file_name = _bytes_and_name(self.value)
        if data is None:
            raise RefusedPicture(f"names a file ({file_name}) and does not hold it" if file_name else "holds no bytes")
        return data


_rows = _RowReader()


def _group_rows(filesystem: AbstractFileSystem, path: str, column: str, group: int) -> Iterator[Mapping[str, Any]]:
    with _opened(filesystem, path) as table:
        if group >= table.num_row_groups or column not in table.schema_arrow.names:
            return
        for _, _, values in _all_rows(table, [column], range(group, group + 1)):
            yield {column: None} if values is None else values


@contextmanager
def _opened(filesystem: AbstractFileSystem, path: str) -> Iterator[pq.ParquetFile]:
    """Context with a parquet file, of which one block at a time is in memory.

    Raises:
        RefusedPicture: if it is damaged, which may show only while it is read.
        StorageFault: if the storage fails.
    """
    with read_patiently(lambda: filesystem.open(path, "rb"), printable(path)) as opened:
        file = PatientFile(opened, printable(path))
        try:
            yield pq.ParquetFile(pa.PythonFile(file, "r"), buffer_size=_BLOCK_BYTES, pre_buffer=False)
        except (pa.ArrowException, OSError) as error:  # raised for damaged bytes; a fault of the storage is in `fault`
            reason = " ".join(str(error).split())
            raise file.fault or RefusedPicture(f"damaged, or not a parquet file ({reason})") from error


def _all_rows(
    table: pq.ParquetFile, columns: Sequence[str], groups: Iterable[int] | None = None
) -> Iterator[tuple[int, int, Mapping[str, Any] | None]]:
    """Row group, number in the group, and values of each row; None in place of values if a text is not UTF-8.

    Rows are read one at a time, as a column may unpack to a lot.
    """
    for group in range(table.num_row_groups) if groups is None else groups:
        batches = table.iter_batches(batch_size=1, row_groups=[group], columns=list(columns), use_threads=False)
        for row, batch in enumerate(batches):
            try:
                values = batch.to_pylist()[0]
            except UnicodeDecodeError:  # pyarrow does not check texts before they are asked for
                values = None
            yield group, row, values


def _bytes_and_name(value: Any) -> tuple[bytes | None, str]:
    """The bytes of a picture, or None without any, and the name of its file, empty if unknown."""
    if isinstance(value, dict):
        name = value.get("path")
        return value["bytes"], name if isinstance(name, str) else ""
    return value, ""


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        index = kind.get_field_index("bytes")
        return bool(index >= 0 and _holds_bytes(kind.field(index).type))
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _holds_text(kind: pa.DataType) -> bool:
    if any(is_kind(kind) for is_kind in _NESTED_KINDS):
        return _holds_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
