"""Pictures in a folder, local or remote, with their captions beside them."""

import hashlib
import posixpath
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace

from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from conf.cache_home import cache_home
from conf.errors import UserError
from pipelines.sources.depth import DEPTH_ENDING, decode_depth, is_called_depth
from pipelines.sources.framing import WHITE, Framing, Ground
from pipelines.sources.known_hashes import KnownHashes
from pipelines.sources.reading import read_patiently
from pipelines.sources.sidecars import Sidecars
from pipelines.sources.source import Listing, Picture, RefusedPicture, SourceEntry, StorageFault
from pipelines.sources.stored import StoredSource, ending, list_files, printable
from training.data.storage import naming, open_storage

NUM_READERS = 16
"""Threads that hash pictures: enough to keep remote storage busy; local files need fewer."""

_WORTH_NOTING = 1000
"""The fewest pictures whose hashes are stored for the next run."""

_BATCH = 4096
"""Pictures that are handed to the threads at once: a folder of millions must not become millions of futures."""


@dataclass(frozen=True, kw_only=True)
class FolderSource(StoredSource):
    """All pictures under a folder, in the order of their relative paths; or a single picture file.

    Every file with one of the endings counts as a picture; those that are none are refused when they are loaded. All
    other files are passed over and named; hidden files are ignored.

    A caption comes from `photo.txt`, `photo.caption`, `photo.jpg.txt` or `photo.jpg.caption` beside `photo.jpg`, else
    from a caption table (`metadata.jsonl`, then `metadata.csv`, then `captions.csv`) in the picture's folder or any
    above it, the nearest first. Tables name pictures relative to their own folder. Names match in any Unicode form.
    A picture whose text cannot be read is refused when it is loaded; a table that cannot be read refuses the source.

    `photo.depth.png` beside `photo.jpg` is its depth map: grey, with 8 or 16 bits, lighter where it is nearer. Files
    such as `photo.depth.jpg` are no pictures; they are passed over and named.
    """

    def index(self, limit: int | None) -> Listing:
        """The first `limit` pictures (all, when None), hashed, captioned and sorted by relative path.

        Raises:
            UserError: if the folder is missing or holds no picture, a caption table is malformed, or captions are
                required and lacking; one line that names the file.
        """
        filesystem, root = open_storage(self.path)
        with naming(self.path):
            if filesystem.isfile(root):
                return self._single(filesystem, root)
            if not filesystem.isdir(root):
                raise UserError(f"{self.path}: missing")
            names = list_files(filesystem, root)
        return self.index_files(filesystem, root, names, limit)

    def index_files(
        self, filesystem: AbstractFileSystem, root: str, names: Sequence[str], limit: int | None,
        *, other_tables: bool = False,
    ) -> Listing:  # fmt: skip
        """As `index`, for the given files of a folder (paths relative to it); raises what `index` does.

        With `other_tables`, a `captions.csv` without captions is passed over and named, not refused.
        """
        pictures = [name for name in names if ending(name) in self.extensions and not is_called_depth(name)]
        if not pictures:
            raise UserError(f"{self.path}: holds no pictures ({', '.join(self.extensions)})")
        chosen = pictures[:limit]
        entries: list[SourceEntry] = []
        is_noted = len(chosen) >= _WORTH_NOTING and isinstance(filesystem, LocalFileSystem)
        with (
            KnownHashes.open(cache_home() / "hashes.sqlite") if is_noted else nullcontext() as known,
            ThreadPoolExecutor(NUM_READERS) as readers,
        ):
            sidecars = Sidecars(filesystem, root, frozenset(names), self.licence, other_tables=other_tables)
            scan = _Scan(filesystem, root, frozenset(names), sidecars, known)
            for start in range(0, len(chosen), _BATCH):
                entries += readers.map(scan.entry, chosen[start : start + _BATCH])
        return self.listing(entries, scan.passed_over(pictures))

    def _single(self, filesystem: AbstractFileSystem, path: str) -> Listing:
        """The one picture that `path` names, with the captions and depth map beside it.

        Raises:
            UserError: if its name is not that of a picture.
        """
        folder, name = posixpath.split(path)
        if ending(name) not in self.extensions:
            raise UserError(f"{self.path}: not a picture ({', '.join(self.extensions)})")
        listed = filesystem.ls(folder, detail=True)
        names = frozenset({name, *(posixpath.basename(file["name"]) for file in listed if file["type"] == "file")})
        scan = _Scan(filesystem, folder, names, Sidecars(filesystem, folder, names, self.licence))
        return self.listing([scan.entry(name)], ())

    def read(self, entry: SourceEntry) -> bytes:
        """The bytes of one picture, as they are now."""
        filesystem, _ = open_storage(self.path)
        return _bytes(filesystem, entry.locator)

    def home(self, entry: SourceEntry) -> tuple[AbstractFileSystem, str]:
        """The storage and the folder of the pictures."""
        filesystem, root = open_storage(self.path)
        with naming(self.path):
            return filesystem, posixpath.dirname(root) if filesystem.isfile(root) else root

    def load(self, entry: SourceEntry, framing: Framing, ground: Ground = WHITE) -> Picture:
        """Read, decode and frame one picture, and its depth map if it has one; raises what `StoredSource.load` does."""
        picture = super().load(entry, framing, ground)
        if entry.depth is None:
            return picture
        try:
            data = self.read_planned(replace(entry, locator=entry.depth))
        except RefusedPicture as error:
            raise RefusedPicture(f"its depth map {error}") from error
        if hashlib.sha256(data).hexdigest() != entry.depth_sha256:
            raise RefusedPicture("its depth map changed since the run was planned")
        return replace(picture, depth=framing.apply(decode_depth(data))[..., 0])


class _Scan:
    """One pass over a folder."""

    def __init__(
        self, filesystem: AbstractFileSystem, root: str, names: frozenset[str], sidecars: Sidecars,
        known: KnownHashes | None = None,
    ) -> None:  # fmt: skip
        self._filesystem, self._root, self._names, self._known = filesystem, root, names, known
        self._sidecars = sidecars
        self._depths = {
            posixpath.splitext(name)[0][: -len(".depth")]: name
            for name in sorted(names)  # of two names that differ by case, the one in lower case counts
            if name.lower().endswith(DEPTH_ENDING)
        }

    def entry(self, name: str) -> SourceEntry:
        """Hash one picture and look up its caption; if it cannot be read, the hash of its name is used."""
        note, depth = self._sidecars.annotation(name), self._depth(name)
        return SourceEntry(
            id=printable(name),
            sha256=self._hash(name),
            locator=posixpath.join(self._root, name),
            caption=note.caption,
            licence=note.licence,
            depth=depth and posixpath.join(self._root, depth),
            depth_sha256=depth and self._hash(depth),
            fault=note.fault,
        )

    def passed_over(self, pictures: Sequence[str]) -> list[str]:
        """Names of files that are no pictures and belong to none, in order, and of table rows without a picture."""
        belonging = {*pictures, *map(self._depth, pictures), *self._sidecars.files_of(pictures)}
        return [*sorted(map(printable, self._names - belonging)), *self._sidecars.rows_without(pictures)]

    def _hash(self, name: str) -> str:
        """SHA-256 of a file's bytes, or of its name if it cannot be read.

        Raises:
            UserError: if the storage fails; otherwise the plan would differ from that of another run.
        """
        locator = posixpath.join(self._root, name)

        def compute() -> str:
            data = read_patiently(lambda: _bytes(self._filesystem, locator), printable(locator))
            return hashlib.sha256(data).hexdigest()

        try:
            return compute() if self._known is None else self._known.of(locator, compute)
        except StorageFault as fault:
            raise UserError(str(fault)) from fault
        except RefusedPicture:
            return hashlib.sha256(printable(name).encode()).hexdigest()

    def _depth(self, picture: str) -> str | None:
        """Name of the depth map of a picture, if it has one."""
        return self._depths.get(posixpath.splitext(picture)[0])


def _bytes(filesystem: AbstractFileSystem, path: str) -> bytes:
    """A whole file, in one request where the storage is remote."""
    data: bytes = filesystem.cat_file(path)
    return data
