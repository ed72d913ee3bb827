"""Captions and licences stored beside pictures: text sidecars, `metadata.jsonl`, `captions.csv`, and json members."""

import csv
import io
import json
import posixpath
import re
import reprlib
import string
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from conf.errors import UserError

TABLES = ("captions.csv", "metadata.csv", "metadata.jsonl")
"""Names of caption tables; if several name a picture, the later one in this list wins."""

TEXT_ENDINGS = (".txt", ".caption")
"""Endings of text files that hold a caption; if both exist, the earlier one in this list counts."""

_NOT_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, and lone surrogates, which cannot be encoded."""
_FILE_COLUMNS = ("file_name", "file", "path", "filename", "image")
_CAPTION_COLUMNS = ("text", "caption")
_LICENCE_COLUMNS = ("licence", "license")
_NOTE_COLUMNS = (*_CAPTION_COLUMNS, *_LICENCE_COLUMNS)


class NoCaptions(UserError):
    """A table that has neither captions nor licences."""


class CaptionTemplate(string.Template):
    """A caption with placeholders such as `%name`; `%` has no meaning to shells and to Hydra."""

    delimiter = "%"

    def allows(self, names: Set[str]) -> bool:
        """Whether it is well formed and has no placeholders other than these names."""
        return self.is_valid() and set(self.get_identifiers()) <= names

    def caption(self, file: str, **values: str) -> str:
        """The caption of a file; `%name` is its name as words, without folders, ending, and a grid's shape (`4x2`)."""
        stem = posixpath.splitext(posixpath.basename(file.rpartition(":")[2]))[0]
        name = " ".join(re.sub(r"[ _-]*\d{1,2}x\d{1,2}$", "", stem).replace("_", " ").replace("-", " ").split())
        return self.substitute(name=name, **values)


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """Caption and licence of a picture; None where unknown.

    Attributes:
        fault: why the picture must be refused: the file beside it that should hold them cannot be read. None if it can.
    """

    caption: str | None = None
    licence: str | None = None
    fault: str | None = None

    def over(self, other: "Annotation") -> "Annotation":
        """This annotation, with missing fields filled from another."""
        return Annotation(
            caption=self.caption or other.caption,
            licence=self.licence or other.licence,
            fault=self.fault or other.fault,
        )


def text_annotation(data: bytes, where: str) -> Annotation:
    """The caption in a text file, as one line; a fault that names `where` if the bytes are not UTF-8."""
    try:
        return Annotation(caption=text_line(_text(data, where)))
    except UserError as error:
        return Annotation(fault=str(error))


def json_annotation(data: bytes, where: str) -> Annotation:
    """The annotation in a json file that holds one object, as img2dataset writes them.

    It is a fault that names `where` if the bytes are not UTF-8 or no json object, or a caption or licence is no text.
    """
    try:
        return _annotation(_json_object(_text(data, where), where), where)
    except UserError as error:
        return Annotation(fault=str(error))


def table_annotations(name: str, data: bytes, where: str) -> list[tuple[str, Annotation]]:
    """The rows of a caption table: the path of the picture relative to the source, and its annotation.

    `metadata.jsonl` holds an object a line with `file_name`, `text` or `caption`, and optionally `licence` or
    `license`; `metadata.csv` and `captions.csv` have the same as columns. The picture may also be called `file`,
    `path`, `filename` or `image`.

    Args:
        name: path of the table relative to the source; paths of pictures are relative to the table's folder.
        data: the whole table.
        where: name of the table in messages.

    Raises:
        NoCaptions: if the table has no rows, or no column of captions or licences; it names `where` and the columns.
        UserError: if the table is malformed, or has a column twice; it names `where` and the line.
    """
    text = _text(data, where)
    rows = _jsonl_rows(text, where) if name.lower().endswith(".jsonl") else _csv_rows(text, where)
    annotations: list[tuple[str, Annotation]] = []
    columns: dict[str, None] = {}
    for line, row in rows:
        annotations.append(_named_annotation(row, posixpath.dirname(name), line))
        columns |= dict.fromkeys(row)
    if not annotations:
        raise NoCaptions(f"{where}: holds no rows, and so no captions")
    _check_columns(columns, where)
    return annotations


def _named_annotation(row: Mapping[str, object], folder: str, where: str) -> tuple[str, Annotation]:
    file = next((row[column] for column in _FILE_COLUMNS if row.get(column)), None)
    if not isinstance(file, str):
        raise UserError(f"{where}: names no picture (file_name)")
    return posixpath.normpath(posixpath.join(folder, file)), _annotation(row, where)


def _jsonl_rows(text: str, where: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"{where}, line {number}", _json_object(line, f"{where}, line {number}")


def _csv_rows(text: str, where: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    columns: list[str] | None = None
    try:
        for row in reader:
            line = f"{where}, line {reader.line_num}"
            if not row:
                continue
            if columns is None:
                columns = [column.strip().lower() for column in row]
                if not any(column in columns for column in _FILE_COLUMNS):
                    raise UserError(f"{line}: no column named file_name, file or path, but {', '.join(columns)}")
                _check_columns(columns, line)
            elif len(row) != len(columns):
                raise UserError(f"{line}: {len(row)} fields where the first line has {len(columns)}")
            else:
                yield line, dict(zip(columns, row, strict=True))
    except csv.Error as error:
        raise UserError(f"{where}, line {reader.line_num}: not CSV ({error})") from error


def _annotation(fields: Mapping[str, object], where: str) -> Annotation:
    def first(*keys: str) -> str | None:
        for key in keys:
            value = first_of(fields.get(key))
            if value is not None and not isinstance(value, str):
                raise UserError(f"{where}: {key} is not text but {reprlib.repr(value)}")
            if value and (line := text_line(value)):
                return line
        return None

    return Annotation(caption=first(*_CAPTION_COLUMNS), licence=first(*_LICENCE_COLUMNS))


def _json_object(text: str, where: str) -> Mapping[str, object]:
    def fields(pairs: list[tuple[str, object]]) -> dict[str, object]:
        _check_once([key for key, _ in pairs], where)
        return dict(pairs)

    try:
        value = json.loads(text, object_pairs_hook=fields)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not JSON ({error})") from error
    if not isinstance(value, dict):
        raise UserError(f"{where}: not a JSON object")
    return value


def _check_columns(columns: Collection[str], where: str) -> None:
    """Raise NoCaptions if no column holds captions or licences, and UserError if one that is read is there twice."""
    if not set(_NOTE_COLUMNS) & set(columns):
        raise NoCaptions(
            f"{where}: no column named {', '.join(_NOTE_COLUMNS[:-1])} or {_NOTE_COLUMNS[-1]}, but {', '.join(columns)}"
        )
    _check_once(list(columns), where)


def _check_once(columns: Sequence[str], where: str) -> None:
    """Raise UserError if a column that is read is there twice: one would replace the other in silence."""
    for column in (*_FILE_COLUMNS, *_NOTE_COLUMNS):
        if columns.count(column) > 1:
            raise UserError(f"{where}: {column} is there {columns.count(column)} times, but may be there once")


def _text(data: bytes, where: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    if text.count("\0") > len(text) // 4:  # UTF-16 without a byte order mark; a few zeros are just control characters
        raise UserError(f"{where}: not UTF-8 text (byte {data.index(0)} is 0); save it as UTF-8")
    return text


def first_of(value: Any) -> Any:
    """The value itself, or the first one in (nested) lists; None if a list is empty."""
    while isinstance(value, list):
        value = value[0] if value else None
    return value


def text_line(text: str) -> str | None:
    """A caption or licence as one line; None if it holds only blanks.

    Captions become prompts and table cells, so a run of blanks, line ends and control characters becomes one space.
    """
    return " ".join(_NOT_TEXT.sub(" ", text).split()) or None
