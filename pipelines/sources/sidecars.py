"""Which caption and licence belong to a file of a folder: the text beside it, and the tables above it."""

import posixpath
from collections.abc import Mapping

from fsspec import AbstractFileSystem

from pipelines.sources.captions import TABLES, Annotation, table_annotations, text_caption
from pipelines.sources.stored import printable
from training.data.storage import naming


class Sidecars:
    """All captions of a folder: `photo.txt` beside `photo.jpg`, then caption tables, the nearest first.

    Args:
        filesystem, root: the folder.
        names: paths of all its files, relative to it.
        licence: of files that state none.

    Raises:
        UserError: if a table cannot be read or is malformed.
    """

    def __init__(self, filesystem: AbstractFileSystem, root: str, names: frozenset[str], licence: str | None) -> None:
        self._filesystem, self._root, self._names = filesystem, root, names
        self._default = Annotation(licence=licence)
        self._annotations = self._table_annotations()

    def annotation(self, name: str, stem: str | None = None) -> Annotation:
        """What is written about one file, or folder.

        Args:
            name: its path relative to the root.
            stem: what the text beside it is called without `.txt`; by default the path without its ending.

        Raises:
            UserError: if the text beside it is not UTF-8.
        """
        text = (stem or posixpath.splitext(name)[0]) + ".txt"
        beside = text_caption(self._text_file(text), self._where(text)) if text in self._names else None
        return Annotation(caption=beside).over(self._annotations.get(name, Annotation())).over(self._default)

    def _table_annotations(self) -> Mapping[str, Annotation]:
        """Tables from the root downwards, so that the nearest to a picture has the last word."""
        tables = [name for name in self._names if posixpath.basename(name) in TABLES]
        annotations: dict[str, Annotation] = {}
        for table in sorted(tables, key=lambda name: (name.count("/"), TABLES.index(posixpath.basename(name)), name)):
            for picture, found in table_annotations(table, self._text_file(table), self._where(table)).items():
                annotations[picture] = found.over(annotations.get(picture, Annotation()))
        return annotations

    def _text_file(self, name: str) -> bytes:
        path = posixpath.join(self._root, name)
        with naming(self._where(name)):
            data: bytes = self._filesystem.cat_file(path)
        return data

    def _where(self, name: str) -> str:
        return printable(posixpath.join(self._root, name))
