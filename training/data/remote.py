"""Paths in an object store, with the methods of `pathlib.Path`.

The same code names, reads and writes a data set on a disk and in a bucket: both kinds of path have `/`, `read_bytes`,
`open`, `stat`, `iterdir`, `unlink`. `RemotePath` is not an `os.PathLike`, so that code for local files fails on it
instead of making a folder called `s3:`. Every request goes through `_requested`, which repeats it while it may still
succeed.
"""

import errno
import fnmatch
import io
import posixpath
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar, cast

from conf.errors import ConfigError
from conf.printable import without_secrets
from conf.value import check_no_password, is_url
from training.data.requests import asked
from training.data.storage import open_storage

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_Answer = TypeVar("_Answer")
_Thing = TypeVar("_Thing")

_REQUESTS_AT_ONCE = 16
_BUFFER_BYTES = 1 << 20  # read at once, so that small reads from a tar cost one request per megabyte


@dataclass(frozen=True, order=True)
class RemotePath:
    """A file or folder of an object store. A folder is the part of a name before a slash: none exists without a file.

    Attributes:
        url: the URL with its protocol, without a slash at its end.

    Every method raises `UserError` in one line if the storage keeps failing or denies access, and `FileNotFoundError`
    and the like as the same method of `Path` does.
    """

    url: str

    @classmethod
    def from_url(cls, text: str, key: str) -> "RemotePath":
        """The path that a user gave as `key=`.

        Raises:
            ConfigError: if it is a chain of URLs, holds a password, or names no storage that is installed.
        """
        if "::" in text or text.lower().startswith("file:"):
            raise ConfigError(key, text, "a local path, or one URL such as s3://bucket/folder")
        check_no_password(key, text)
        path = cls(text.rstrip("/"))
        if not path.name or path.name.endswith(":"):
            raise ConfigError(key, text, "a local path, or a URL with a folder, such as s3://bucket/folder")
        open_storage(path.url, key)
        return path

    def __str__(self) -> str:
        return without_secrets(self.url)

    def __truediv__(self, name: str) -> "RemotePath":
        return RemotePath(f"{self.url}/{name}")

    @property
    def name(self) -> str:
        """Its last part, the name."""
        return self.url.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return posixpath.splitext(self.name)[0]

    @property
    def suffix(self) -> str:
        """`.json`."""
        return posixpath.splitext(self.name)[1]

    @property
    def parent(self) -> "RemotePath":
        """The folder that it is in."""
        return RemotePath(self.url.rpartition("/")[0])

    def resolve(self) -> "RemotePath":
        """Itself: a URL is absolute."""
        return self

    def as_uri(self) -> str:
        """The URL for a browser or another tool."""
        return str(self)

    def is_file(self) -> bool:
        """Whether there is an object of this name."""
        return self._info().get("type") == "file"

    def is_dir(self) -> bool:
        """Whether there are objects below this name."""
        return self._info().get("type") == "directory"

    def exists(self) -> bool:
        """Whether there is an object of this name or below it."""
        return bool(self._info())

    def stat(self) -> "Stat":
        """Its size."""
        info = self._info()
        if not info:
            raise FileNotFoundError(errno.ENOENT, "no such object", str(self))
        return Stat(int(info.get("size") or 0))

    def iterdir(self) -> Iterator["RemotePath"]:
        """The entries of a folder, by one listing; none if the folder does not exist."""
        for name in self.listed_sizes():
            yield self / name

    def glob(self, pattern: str) -> Iterator["RemotePath"]:
        """The entries of `iterdir` whose names match."""
        return (path for path in self.iterdir() if fnmatch.fnmatchcase(path.name, pattern))

    def listed_sizes(self) -> dict[str, int]:
        """Name -> size in bytes of a folder's entries; a store may take a moment to list a new object."""
        try:
            listed = self._requested("listed", lambda storage, path: storage.ls(path, detail=True))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        own = self.name
        names = ((posixpath.basename(entry["name"].rstrip("/")), int(entry["size"] or 0)) for entry in listed)
        return {name: size for name, size in names if name and name != own}

    def tree(self) -> dict[str, str]:
        """Names of all files below a folder, each with a text that changes when its content does."""

        def find(storage: "AbstractFileSystem", path: str) -> dict[str, str]:
            listed = storage.find(path, detail=True)
            return {name[len(path) + 1 :]: _version(info) for name, info in listed.items() if name != path}

        try:
            return self._requested("listed", find)
        except FileNotFoundError:
            return {}

    def read_bytes(self) -> bytes:
        """The content of the object."""
        return bytes(self._requested("read", lambda storage, path: storage.cat_file(path)))

    def read_span(self, start: int, end: int) -> bytes:
        """The bytes [start, end), all of which must be there."""

        def read(storage: "AbstractFileSystem", path: str) -> bytes:
            data = bytes(storage.cat_file(path, start=start, end=end))
            if len(data) != end - start:
                raise OSError(errno.EIO, f"{len(data)} bytes came where {end - start} were asked for")
            return data

        return self._requested("read", read) if end > start else b""

    def open(self, mode: str = "rb") -> io.BufferedReader:
        """Open the object for reading, in pieces of a megabyte, each of which is retried by itself."""
        if mode != "rb":
            raise ValueError(f"{self}: objects are written whole, not opened as {mode}")
        return io.BufferedReader(_RemoteFile(self, self.stat().st_size), _BUFFER_BYTES)

    def write_bytes(self, data: bytes) -> None:
        """Write the object, completely or not at all."""
        self._requested("written", lambda storage, path: storage.pipe_file(path, data))

    def create(self, data: bytes) -> bool:
        """Write the object if there is none yet (a conditional put); returns whether it now holds `data`."""

        def put(storage: "AbstractFileSystem", path: str) -> None:
            try:
                storage.pipe_file(path, data, mode="create")
            except OSError as error:
                if "precondition" in str(error).lower().replace("-", ""):
                    raise FileExistsError(errno.EEXIST, "there is one", path) from error  # not all clients raise it
                raise

        try:
            self._requested("written", put)
        except FileExistsError:
            return self.read_bytes() == data  # perhaps an earlier try succeeded, and its answer was lost
        return True

    def upload(self, file: IO[bytes]) -> None:
        """Upload a local file, completely or not at all, and check the size of the object."""
        num_bytes = file.seek(0, io.SEEK_END)

        def put(storage: "AbstractFileSystem", path: str) -> None:
            storage.put_file(f"/proc/self/fd/{file.fileno()}", path)  # the file may have no name
            size = storage.info(path)["size"]
            if size != num_bytes:
                raise OSError(errno.EIO, f"{size} bytes are there, {num_bytes} were sent")

        self._requested("written", put)

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove an object."""
        try:
            self._requested("removed", lambda storage, path: storage.rm_file(path))
        except FileNotFoundError:
            if not missing_ok:
                raise

    def rmtree(self) -> None:
        """Remove all objects below this name."""
        with suppress(FileNotFoundError):
            self._requested("removed", lambda storage, path: storage.rm(path, recursive=True))

    def mkdir(self, parents: bool = False, exist_ok: bool = False) -> None:
        """Does nothing: a folder exists as soon as there is an object in it."""

    def _info(self) -> dict[str, Any]:
        try:
            info: dict[str, Any] = self._requested("read", lambda storage, path: storage.info(path))
        except FileNotFoundError:
            return {}
        return info

    def _requested(self, done: str, ask: "Callable[[AbstractFileSystem, str], _Answer]") -> _Answer:
        return asked(self.url, done, ask)


@dataclass(frozen=True)
class Stat:
    """The size of an object, under the name that `os.stat_result` has for it."""

    st_size: int


class NewObject:
    """An object that is absent until it is committed.

    It is written to a local file without a name, which disappears if the process is killed.
    """

    def __init__(self, path: RemotePath) -> None:
        self._path = path
        self.file = tempfile.TemporaryFile()  # noqa: SIM115  (closed by `close`)

    def commit(self) -> None:
        """Upload it under its name."""
        self.file.flush()
        self._path.upload(self.file)

    def close(self) -> None:
        """Close the local file, which removes it."""
        self.file.close()


class _RemoteFile(io.RawIOBase):
    """An object as a file that can be read at any position."""

    def __init__(self, path: RemotePath, num_bytes: int) -> None:
        self._path, self._num_bytes, self._position = path, num_bytes, 0

    def readinto(self, buffer: Any) -> int:
        data = self._path.read_span(self._position, min(self._position + len(buffer), self._num_bytes))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._num_bytes}[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


def _version(info: Mapping[str, Any]) -> str:
    """A text that changes when an object is written again; stores list such marks under different names."""
    marks = (info.get(key) for key in ("size", "ETag", "etag", "md5Hash", "content_md5", "blob_id", "LastModified"))
    return " ".join(str(mark) for mark in marks if mark is not None)


def answers(root: "AnyPath", ask: Callable[[_Thing], _Answer], things: Iterable[_Thing]) -> Iterator[_Answer]:
    """The result of `ask` for each thing below `root`, in order; many requests to a store are made at once."""
    if not isinstance(root, RemotePath):
        yield from map(ask, things)
        return
    remaining = iter(things)
    while batch := list(islice(remaining, 4 * _REQUESTS_AT_ONCE)):
        with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
            requests = [pool.submit(ask, thing) for thing in batch]
        # No thread may live while this waits: whoever drops it half read, even another thread, would wait for them.
        for request in requests:
            yield request.result()


AnyPath = Path | RemotePath
"""A file or folder of this machine, or of an object store; `conf.compose.typed` makes one or the other of a text."""

Place = TypeVar("Place", bound=Path | RemotePath)


def below(root: Place, name: str) -> Place:
    """The path `name` below `root`, of the same type."""
    return cast(Place, root / name)


def located(text: str) -> AnyPath:
    """The place that a path or URL names."""
    return RemotePath(text.rstrip("/")) if is_url(text) else Path(text)
