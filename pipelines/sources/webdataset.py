"""Pictures in tars, as img2dataset and webdataset write them: `key.jpg`, `key.txt`, `key.json`."""

import hashlib
import itertools
import json
import posixpath
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import IO

from fsspec import AbstractFileSystem

from conf.errors import UserError
from pipelines.sources.captions import TEXT_ENDINGS, Annotation, json_annotation, text_annotation
from pipelines.sources.depth import is_called_depth
from pipelines.sources.patterns import matching_files, short_names
from pipelines.sources.source import Listing, SourceEntry
from pipelines.sources.stored import StoredSource, is_hidden, printable
from training.data.storage import naming, open_storage

NUM_READERS = 8
"""Tars that are scanned side by side."""


@dataclass(frozen=True, kw_only=True)
class WebDatasetSource(StoredSource):
    """Pictures of image-and-caption tars, in the order of the tars' names and then in the order within each tar.

    `path` is a tar, a folder of tars, or a pattern: `train-{00000..00015}.tar`, `train-*.tar`. Tars must not be
    compressed, because pictures are read by their byte ranges. Members of a sample must follow one another (`tar
    --sort=name`); its first picture counts. Samples without a picture are passed over and named, and so are members
    other than pictures, `.txt`, `.caption` and `.json`, and depth maps; hidden files are ignored. A caption comes from
    `key.txt`, `key.caption` or `key.jpg.txt`, else from `caption` in `key.json` (of a list, the first). A sample of
    which one of these cannot be read is refused when it is loaded.

    A key ends at the first dot of a name, as in webdataset. If no member of a sample has a plain ending then, its keys
    contain dots (`study v2.0.jpg`, `study v2.0.txt`), and they end at the last dot instead.
    """

    def index(self, limit: int | None) -> Listing:
        """The first `limit` pictures (all, when None); tars beyond them are not read.

        Raises:
            UserError: if there are no tars or no pictures in them, a tar is truncated or damaged, or captions
                are required and lacking; one line that names the tar.
        """
        filesystem, tars, other_names = matching_files(self.path, ".tar", "tars")
        return self.index_tars(filesystem, tars, limit).beside(other_names)

    def index_tars(self, filesystem: AbstractFileSystem, tars: Sequence[str], limit: int | None) -> Listing:
        """As `index`, for the given tars; raises what `index` does."""
        scan = partial(self._entries, filesystem, limit)
        entries: list[SourceEntry] = []
        passed_over: list[str] = []
        with ThreadPoolExecutor(NUM_READERS) as readers:
            for start in range(0, len(tars), NUM_READERS):
                batch = slice(start, start + NUM_READERS)
                for listing in readers.map(scan, tars[batch], short_names(tars)[batch]):
                    entries += listing
                    passed_over += listing.passed_over
                if limit is not None and len(entries) >= limit:
                    break
        if not entries:
            raise UserError(f"{self.path}: holds no pictures ({', '.join(self.extensions)})")
        return self.listing(entries[:limit], passed_over)

    def read(self, entry: SourceEntry) -> bytes:
        """The bytes of one picture, as they are now."""
        filesystem, _ = open_storage(self.path)
        place = json.loads(entry.locator)
        data: bytes = filesystem.cat_file(place["tar"], start=place["offset"], end=place["offset"] + place["length"])
        return data

    def home(self, entry: SourceEntry) -> tuple[AbstractFileSystem, str]:
        """The storage and the tar of a picture."""
        filesystem, _ = open_storage(self.path)
        return filesystem, json.loads(entry.locator)["tar"]

    def _entries(self, filesystem: AbstractFileSystem, limit: int | None, tar: str, name: str) -> Listing:
        """The first pictures of one tar, and the names of members that are passed over."""
        keys: set[str] = set()
        entries: list[SourceEntry] = []
        passed_over: list[str] = []
        with naming(tar), filesystem.open(tar, "rb") as file:
            reading = _members(file, tar, lambda member: passed_over.append(printable(f"{name}:{member}")))
            groups = itertools.groupby(reading, key=lambda member: _key_and_ending(member.name)[0])
            for key, group in groups:
                if key in keys:
                    raise UserError(f"{tar}: members of {printable(key)} lie apart; write the tar with --sort=name")
                keys.add(key)
                for sample, members in _samples(key, list(group)).items():
                    entry, unread = self._entry(file, tar, f"{name}:{sample}", members)
                    if entry is not None:
                        entries.append(entry)
                        passed_over += [printable(f"{name}:{member}") for member in unread]
                    else:
                        passed_over.append(printable(f"{name}:{sample}"))
                if limit is not None and len(entries) >= limit:
                    break
        return Listing(entries[:limit], passed_over)

    def _entry(
        self, file: IO[bytes], tar: str, id_: str, members: Iterable[tuple[str, tarfile.TarInfo]]
    ) -> tuple[SourceEntry | None, list[str]]:  # fmt: skip
        """The picture of one sample, or None if it has none, and the names of members that are not read.

        Args:
            members: (ending, member) of each member of the sample.
        """
        unread: list[str] = []
        picture: tuple[str, str] | None = None
        own, default = Annotation(), Annotation(licence=self.licence)
        captions = {picture_ending + ending for picture_ending in ("", *self.extensions) for ending in TEXT_ENDINGS}
        for kind, member in members:
            if kind in captions:
                own = text_annotation(_content(file, member), printable(member.name)).over(own)
            elif kind == ".json":
                own = own.over(json_annotation(_content(file, member), printable(member.name)))
            elif kind in self.extensions and picture is None and not is_called_depth(member.name):
                place = {"tar": tar, "offset": member.offset_data, "length": member.size}
                picture = json.dumps(place), hashlib.sha256(_content(file, member)).hexdigest()
            else:
                unread.append(member.name)
        if picture is None:
            return None, unread
        locator, sha256 = picture
        annotation = own.over(default)
        entry = SourceEntry(
            id=printable(id_), sha256=sha256, locator=locator, caption=annotation.caption, licence=annotation.licence,
            fault=annotation.fault,
        )  # fmt: skip
        return entry, unread


def _members(file: IO[bytes], tar: str, pass_over: Callable[[str], None]) -> Iterator[tarfile.TarInfo]:
    """The files in a tar that belong to samples, up to its end mark; `pass_over` gets the names of others.

    Python's reader takes damage after the first header for the end of the tar, so the end mark itself is checked.
    """
    try:
        with tarfile.open(fileobj=file, mode="r:") as reader:
            for member in reader:
                if member.size < 0 or member.issparse():
                    raise UserError(f"{tar}: {printable(member.name)} is no plain file; write the tar without --sparse")
                if member.isdir() or is_hidden(member.name):
                    continue
                if member.isreg() and _key_and_ending(member.name)[0]:
                    yield member
                else:
                    pass_over(member.name)
            file.seek(reader.offset)
            if file.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
                raise UserError(f"{tar}: truncated or damaged after {reader.offset} bytes")
    except (tarfile.TarError, ValueError) as error:
        raise UserError(f"{tar}: truncated, damaged or not a plain tar ({error})") from error


def _content(file: IO[bytes], member: tarfile.TarInfo) -> bytes:
    """A member's bytes. In a truncated tar they may be too few, which the reader detects at its next step."""
    file.seek(member.offset_data)
    return file.read(member.size)


def _key_and_ending(name: str) -> tuple[str, str]:
    """webdataset's convention: `a/b.c.JPG` is the member `.c.jpg` of the sample `a/b`; hidden files have no key."""
    folder, file = posixpath.split(name)
    stem, dot, rest = file.partition(".")
    return (posixpath.join(folder, stem), f".{rest.lower()}") if stem and dot else ("", "")


def _samples(
    key: str, members: Sequence[tarfile.TarInfo]
) -> dict[str, list[tuple[str, tarfile.TarInfo]]]:  # fmt: skip
    """Key -> (ending, member) of members whose names are equal up to the first dot; see `WebDatasetSource` on dots."""
    by_first_dot = [(_key_and_ending(member.name)[1], member) for member in members]
    if any(ending.count(".") == 1 for ending, _ in by_first_dot):
        return {key: by_first_dot}
    by_last_dot: dict[str, list[tuple[str, tarfile.TarInfo]]] = {}
    for member in members:
        stem, ending = posixpath.splitext(member.name)
        by_last_dot.setdefault(stem, []).append((ending.lower(), member))
    return by_last_dot
