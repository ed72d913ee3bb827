"""Captions and licences that lie beside pictures: text sidecars, `metadata.jsonl`, `captions.csv`, and json members."""

import csv
import io
import json
import posixpath
import re
import string
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass

from conf.errors import UserError

TABLES = ("captions.csv", "metadata.csv", "metadata.jsonl")
"""Names of caption tables; where both speak of a picture, the later name wins."""

TEXT_ENDINGS = (".txt", ".caption")
"""Of texts that hold a caption; where both are there, the earlier counts."""

_NO_LETTERS = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, and halves of characters, which no file can hold."""
_FILE_COLUMNS = ("file_name", "file", "path", "filename", "image")


class CaptionTemplate(string.Template):
    """A caption with places for names; its sign means nothing to shells and to Hydra."""

    delimiter = "%"

    def allows(self, names: Set[str]) -> bool:
        """Whether it is well formed and has places for these names at most."""
        return self.is_valid() and set(self.get_identifiers()) <= names

    def caption(self, file: str, **values: str) -> str:
        """The caption of a file; `%name` is its name as words, without folders, ending, and the shape of a grid."""
        stem = posixpath.splitext(posixpath.basename(file.rpartition(":")[2]))[0]
        name = " ".join(re.sub(r"[ _-]*\d{1,2}x\d{1,2}$", "", stem).replace("_", " ").replace("-", " ").split())
        return self.substitute(name=name, **values)


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """Caption and licence of a picture; None where unknown."""

    caption: str | None = None
    licence: str | None = None

    def over(self, other: "Annotation") -> "Annotation":
        """This annotation, its gaps filled from another."""
        return Annotation(caption=self.caption or other.caption, licence=self.licence or other.licence)


def text_caption(data: bytes, where: str) -> str | None:
    """The caption in a text file, as one line; None if it holds only blanks.

    Raises:
        UserError: if the bytes are not UTF-8; it names `where`.
    """
    return text_line(_text(data, where))


def json_annotation(data: bytes, where: str) -> Annotation:
    """The annotation in a json file that holds one object, as img2dataset writes them.

    Raises:
        UserError: if it is not UTF-8, not a json object, or holds a caption that is no text; it names `where`.
    """
    return _annotation(_json_object(_text(data, where), where), where)


def table_annotations(name: str, data: bytes, where: str) -> list[tuple[str, Annotation]]:
    """The rows of a caption table: the path of the picture relative to the source, and its annotation.

    `metadata.jsonl` holds an object a line with `file_name`, `text` or `caption`, and optionally `licence` or
    `license`; `metadata.csv` and `captions.csv` have the same as columns. The picture may also be called `file`,
    `path`, `filename` or `image`.

    Args:
        name: path of the table relative to the source, in its folder the pictures are looked for.
        data: the whole table.
        where: what to call it in messages.

    Raises:
        UserError: if the table is malformed; it names `where` and the line.
    """
    text = _text(data, where)
    rows = _jsonl_rows(text, where) if name.lower().endswith(".jsonl") else _csv_rows(text, where)
    return list(_named_annotations(rows, posixpath.dirname(name)))


def _named_annotations(
    rows: Iterable[tuple[str, Mapping[str, object]]], folder: str
) -> Iterator[tuple[str, Annotation]]:
    for where, row in rows:
        file = next((row[column] for column in _FILE_COLUMNS if row.get(column)), None)
        if not isinstance(file, str):
            raise UserError(f"{where}: names no picture (file_name)")
        yield posixpath.normpath(posixpath.join(folder, file)), _annotation(row, where)


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
            elif len(row) != len(columns):
                raise UserError(f"{line}: {len(row)} fields where the first line has {len(columns)}")
            else:
                yield line, dict(zip(columns, row, strict=True))
    except csv.Error as error:
        raise UserError(f"{where}, line {reader.line_num}: not CSV ({error})") from error


def _annotation(fields: Mapping[str, object], where: str) -> Annotation:
    def first(*keys: str) -> str | None:
        for key in keys:
            value = fields.get(key)
            if value is not None and not isinstance(value, str):
                raise UserError(f"{where}: {key} is not text but {value!r}")
            if value and (line := text_line(value)):
                return line
        return None

    return Annotation(caption=first("text", "caption"), licence=first("licence", "license"))


def _json_object(text: str, where: str) -> Mapping[str, object]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not JSON ({error})") from error
    if not isinstance(value, dict):
        raise UserError(f"{where}: not a JSON object")
    return value


def _text(data: bytes, where: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    if text.count("\0") > len(text) // 4:  # UTF-16 without its mark; a few are dropped as other control characters are
        raise UserError(f"{where}: not UTF-8 text (byte {data.index(0)} is 0); save it as UTF-8")
    return text


def text_line(text: str) -> str | None:
    """A caption or licence as one line; None if it holds only blanks.

    Captions become prompts and table cells: runs of blanks, line ends and what is no letter are one space.
    """
    return " ".join(_NO_LETTERS.sub(" ", text).split()) or None
