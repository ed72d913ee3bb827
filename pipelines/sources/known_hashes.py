"""Stored hashes of files, so that a folder of a million pictures is read once and not at every start.

~/.cache/process-painter/hashes.sqlite    a row for each file: hash of its path, its version, SHA-256 of its bytes

A file counts as unchanged while its device, inode, size, mtime and ctime are the same; nobody can set the ctime back. A
file that changed within the last seconds may change again without a new time, so it is not stored. If the database
cannot be read or written, files are hashed without it: it only saves time.
"""

import hashlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Self

SETTLED_S = 2.0  # age of the last change from which on another change would show in the times
_ROWS_AT_ONCE = 4096
_TABLE = "CREATE TABLE IF NOT EXISTS files (path BLOB PRIMARY KEY, version BLOB, sha256 BLOB) WITHOUT ROWID"


class KnownHashes:
    """The stored hashes of local files; any thread may use it."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database, self._lock, self._num_new = database, threading.Lock(), 0

    @classmethod
    @contextmanager
    def open(cls, file: Path) -> Iterator[Self | None]:
        """Context with the hashes stored in a file, which is made if it does not exist; None if it cannot be used."""
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            database = sqlite3.connect(file, check_same_thread=False)
            database.execute(_TABLE)
        except (OSError, sqlite3.Error):
            yield None
            return
        with closing(database):
            yield cls(database)
            with suppress(sqlite3.Error):
                database.commit()

    def of(self, path: str, compute: Callable[[], str]) -> str:
        """SHA-256 of the file at an absolute path, as hex: the stored one, else the result of `compute` (may raise)."""
        key, version = hashlib.sha256(os.fsencode(path)).digest()[:16], _version(path)
        with self._lock, suppress(sqlite3.Error):
            row = self._database.execute("SELECT version, sha256 FROM files WHERE path = ?", (key,)).fetchone()
            if row is not None and version is not None and row[0] == version:
                return bytes(row[1]).hex()
        sha256 = compute()
        if version is not None and version == _version(path):
            with self._lock, suppress(sqlite3.Error):
                self._database.execute("REPLACE INTO files VALUES (?, ?, ?)", (key, version, bytes.fromhex(sha256)))
                self._num_new += 1
                if self._num_new % _ROWS_AT_ONCE == 0:
                    self._database.commit()  # other commands may wait to write
        return sha256


def _version(path: str) -> bytes | None:
    """A hash that changes whenever the file does; None while a change might not show, or if there is no such file."""
    try:
        stat = os.stat(path)
    except OSError:
        return None
    if time.time_ns() - max(stat.st_ctime_ns, stat.st_mtime_ns) < SETTLED_S * 1e9:
        return None
    facts = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    return hashlib.sha256(repr(facts).encode()).digest()[:16]
