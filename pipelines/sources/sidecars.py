"""Finds the caption and licence of a file in a folder: in the text beside it, and in tables of its parent folders."""

import posixpath
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from fsspec import AbstractFileSystem

from conf.errors import UserError
from pipelines.sources.captions import TABLES, TEXT_ENDINGS, Annotation, NoCaptions, table_annotations, text_annotation
from pipelines.sources.reading import read_patiently
from pipelines.sources.source import RefusedPicture, StorageFault
from pipelines.sources.stored import printable


class Sidecars:
    """All captions of a folder: `photo.txt` beside `photo.jpg`, then caption tables, the nearest first.

    Names are compared in one Unicode form: a Mac writes `é` as two code points where a table may have it as one.

    Args:
        filesystem, root: the folder.
        names: paths of all its files, relative to it.
        licence: licence of files that state none.
        other_tables: whether a `captions.csv` without captions is passed over, as a table of other facts. A
            `metadata.csv` or `metadata.jsonl` without captions always is.

    Raises:
        UserError: if a table cannot be read, is malformed, or is a `captions.csv` without captions.
    """

    def __init__(
        self, filesystem: AbstractFileSystem, root: str, names: frozenset[str], licence: str | None,
        *, other_tables: bool = False,
    ) -> None:  # fmt: skip
        self._filesystem, self._root = filesystem, root
        self._texts = {_normalized(name): name for name in sorted(names) if name.lower().endswith(TEXT_ENDINGS)}
        self._tables = sorted(
            (name for name in names if posixpath.basename(name).lower() in TABLES),
            key=lambda name: (name.count("/"), TABLES.index(posixpath.basename(name).lower()), name),
        )
        self._default = Annotation(licence=licence)
        self._repeated: dict[str, str] = {}
        self._annotations, self._rows = self._table_annotations(other_tables)

    def annotation(self, name: str, *, folder: bool = False) -> Annotation:
        """The annotation of one file or folder, by its path relative to the root.

        If the text beside it cannot be read or is not UTF-8, that is its fault.

        Raises:
            UserError: if the storage fails.
        """
        note = self._annotations.get(_normalized(name), Annotation()).over(self._default)
        for text in self._texts_of(name, folder=folder):
            note = self._text_annotation(text).over(note)
        return note

    def _text_annotation(self, name: str) -> Annotation:
        try:
            return text_annotation(self._text_file(name), printable(name))
        except RefusedPicture as error:
            return Annotation(fault=f"{printable(name)}: {error}")

    def files_of(self, names: Iterable[str], *, folders: bool = False) -> Iterator[str]:
        """All tables that are read, and the texts beside some files or folders."""
        yield from self._tables
        for name in names:
            yield from self._texts_of(name, folder=folders)

    def rows_without(self, names: Iterable[str]) -> list[str]:
        """Rows of tables that do not count, each with its table: they name no such file, or a later row repeats it."""
        files = {_normalized(name) for name in names}
        rows = ((name, table) for name, table in self._rows.items() if _normalized(name) not in files)
        repeated = ((name, table) for name, table in self._repeated.items() if _normalized(name) in files)
        return [
            *(f"{printable(name)} (in {printable(table)})" for name, table in rows),
            *(f"all rows of {printable(name)} but the last (in {printable(table)})" for name, table in repeated),
        ]

    def _texts_of(self, name: str, *, folder: bool) -> list[str]:
        """Texts beside a file, in ascending priority: `photo.txt` has a higher one than `photo.jpg.txt`."""
        stems = dict.fromkeys((name,) if folder else (posixpath.splitext(name)[0], name))
        file_names = [_normalized(stem + ending) for stem in stems for ending in TEXT_ENDINGS]
        return [self._texts[text] for text in reversed(file_names) if text in self._texts]

    def _table_annotations(self, other_tables: bool) -> tuple[Mapping[str, Annotation], Mapping[str, str]]:
        """Annotations by name, and the table that each name is in.

        Tables are read from the root downwards, so that the nearest one to a picture overrides the others.
        """
        annotations: dict[str, Annotation] = {}
        rows: dict[str, str] = {}
        for table in tuple(self._tables):
            try:
                table_rows = table_annotations(table, self._text_file(table), self._where(table))
            except RefusedPicture as error:
                raise UserError(f"{self._where(table)}: {error}") from error
            except NoCaptions:
                if not other_tables and posixpath.basename(table).lower().startswith("captions"):
                    raise
                self._tables.remove(table)
                continue
            counts = Counter(name for name, _ in table_rows)
            self._repeated |= {name: table for name, count in counts.items() if count > 1}
            for name, note in dict(table_rows).items():
                rows[name] = table
                annotations[_normalized(name)] = note.over(annotations.get(_normalized(name), Annotation()))
        return annotations, rows

    def _text_file(self, name: str) -> bytes:
        """The bytes of a file; raises RefusedPicture if it cannot be read, and UserError if the storage fails."""
        path = posixpath.join(self._root, name)
        try:
            return read_patiently(lambda: bytes(self._filesystem.cat_file(path)), self._where(name))
        except StorageFault as fault:
            raise UserError(str(fault)) from fault

    def _where(self, name: str) -> str:
        return printable(posixpath.join(self._root, name))


def _normalized(name: str) -> str:
    """A name in Unicode's form NFC, with the endings of texts in lower case."""
    stem, ending = posixpath.splitext(unicodedata.normalize("NFC", name))
    return stem + (ending.lower() if ending.lower() in TEXT_ENDINGS else ending)
