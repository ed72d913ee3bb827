"""Shards of slow storage, fetched whole, checked, and kept on this machine up to a size.

CACHE/ab/abcd….tar    a tar, named by the SHA-256 that its manifest gives

By its name a cached shard cannot be out of date, and data sets, runs and processes can share it. The least recently
used shards are removed first; a reader that has one open can read on. A cached shard that is damaged is fetched again.
"""

import errno
import hashlib
import os
import time
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import IO, TYPE_CHECKING

from conf.cache_home import cache_home
from conf.errors import UserError
from training.data.layout import tar_name
from training.data.manifest import is_temporary, new_file
from training.data.remote import RemotePath, located
from training.data.retries import retried

if TYPE_CHECKING:
    from training.data.split import StoredSplit

_PIECE_BYTES = 16 << 20
_MOST_OPEN, _MOST_OPEN_BYTES = 128, 4 << 30  # of one reader; they take space on the disk even after their removal
_FEWEST_OPEN = 8  # whatever their size: otherwise a reader would fetch the same shards again and again
_FETCHED_AT_ONCE = 4
_LONGEST_FETCH_S = 3600.0


@dataclass(frozen=True, kw_only=True)
class ShardCache:
    """A folder of shards.

    Attributes:
        folder: the folder.
        max_bytes: largest size of all shards together, not counting those that are being read.
    """

    folder: Path = field(default_factory=lambda: cache_home() / "shards")
    max_bytes: int = 20 << 30

    def open(self, split: "StoredSplit", number: int) -> FileIO:
        """A shard of a split as an open file; on a disk that is the shard itself.

        Raises:
            UserError: if the storage fails, the tar is not the one that was committed, or the disk is full.
        """
        tar = located(split.url) / tar_name(split.shards[number])
        if not isinstance(tar, RemotePath):
            return retried(tar, lambda: FileIO(tar))
        path = self._path(split.sha256[number])
        try:
            file = FileIO(path)
        except FileNotFoundError:
            return self._fetch_and_open(split, number, tar, path)
        if os.fstat(file.fileno()).st_size != split.num_bytes[number]:  # the machine lost power, or the disk was full
            file.close()
            path.unlink(missing_ok=True)
            return self._fetch_and_open(split, number, tar, path)
        os.utime(file.fileno())
        return file

    def discard(self, sha256: str) -> None:
        """Remove a cached shard, so that it is fetched again."""
        self._path(sha256).unlink(missing_ok=True)

    def _path(self, sha256: str) -> Path:
        return self.folder / sha256[:2] / f"{sha256}.tar"

    def _fetch_and_open(self, split: "StoredSplit", number: int, tar: RemotePath, path: Path) -> FileIO:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            new_shard = new_file(path)
            try:
                fetch(tar, split.num_bytes[number], split.sha256[number], new_shard.file)
                new_shard.file.flush()
                file = FileIO(f"/proc/self/fd/{new_shard.file.fileno()}")  # another process might remove its name
                new_shard.commit()
            finally:
                new_shard.close()
            self._keep_to_size()
        except OSError as error:
            full = "; a smaller cache_gb keeps less" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
            raise UserError(f"{error.filename or path}: {error.strerror or error}{full}") from error
        return file

    def _keep_to_size(self) -> None:
        """Remove the least recently used shards, and what killed processes left half fetched."""
        stats = []
        for path in self.folder.glob("*/*"):
            with suppress(FileNotFoundError):  # another process made room as well
                stats.append((path.stat().st_mtime, path.stat().st_size, path))
        total = sum(size for _, size, path in stats if not is_temporary(path))
        for modified_s, size, path in sorted(stats):
            if is_temporary(path):
                if modified_s < time.time() - _LONGEST_FETCH_S:
                    path.unlink(missing_ok=True)
            elif total > self.max_bytes:
                path.unlink(missing_ok=True)
                total -= size


def fetch(tar: RemotePath, num_bytes: int, sha256: str, file: IO[bytes]) -> None:
    """Write a shard to a file, piece by piece.

    Raises:
        UserError: if it is not the tar that was committed.
    """
    digest = hashlib.sha256()
    for start in range(0, num_bytes, _PIECE_BYTES):
        piece = tar.read_span(start, min(start + _PIECE_BYTES, num_bytes))
        digest.update(piece)
        file.write(piece)
    if digest.hexdigest() != sha256:
        raise UserError(f"{tar}: not the bytes that were committed; run python -m pipelines.verify")


class OpenShards:
    """The shards of one reader: the latest are open, and the next ones are fetched while others are decoded."""

    def __init__(self, cache: ShardCache) -> None:
        self._cache = cache
        self._open: OrderedDict[str, Future[FileIO]] = OrderedDict()
        self._num_bytes: dict[str, int] = {}
        self._pool = ThreadPoolExecutor(_FETCHED_AT_ONCE)

    def begin(self, split: "StoredSplit", number: int) -> Future[FileIO]:
        """Begin to fetch a shard, unless it is open already."""
        name = split.sha256[number]
        if name not in self._open:
            self._open[name] = self._pool.submit(self._cache.open, split, number)
            self._num_bytes[name] = split.num_bytes[number]
        self._open.move_to_end(name)
        while len(self._open) > _MOST_OPEN or (
            len(self._open) > _FEWEST_OPEN and sum(self._num_bytes.values()) > _MOST_OPEN_BYTES
        ):
            del self._num_bytes[self._open.popitem(last=False)[0]]
        return self._open[name]

    def read(self, split: "StoredSplit", number: int, offset: int, length: int) -> bytes:
        """Bytes of a shard.

        Raises:
            UserError: as `ShardCache.open`.
        """
        future = self.begin(split, number)
        try:
            return os.pread(future.result().fileno(), length, offset)
        except UserError:
            self._close(split.sha256[number])  # the next request may succeed
            raise

    def read_anew(self, split: "StoredSplit", number: int, offset: int, length: int) -> bytes:
        """As `read`, from a shard that is fetched again, because the cached one is damaged.

        Raises:
            UserError: as `ShardCache.open`.
        """
        self._cache.discard(split.sha256[number])
        self._close(split.sha256[number])
        return self.read(split, number, offset, length)

    def _close(self, name: str) -> None:
        self._open.pop(name, None)
        self._num_bytes.pop(name, None)
