"""Writing one shard: plain WebDataset, byte-reproducible, absent until it is complete.

`webdataset.ShardWriter` closes a valid-looking tar when an exception passes through it, and stamps times; importing the
package costs 1.5 s per worker. The format itself is a plain tar, so the standard library writes it.
"""

import hashlib
import io
import tarfile
import zlib
from collections.abc import Mapping
from types import TracebackType
from typing import IO, Any, Self

from training.data.manifest import (
    SampleSpan,
    ShardManifest,
    manifest_path,
    new_file,
    tar_path,
    write_atomically,
)
from training.data.remote import AnyPath
from training.data.seal import sealed


class _HashingFile(io.RawIOBase):
    """Counts and hashes what is written through it; `crc32` covers what was written since it was last set to 0."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.sha256, self.num_bytes, self.crc32 = file, hashlib.sha256(), 0, 0

    def write(self, data: Any) -> int:
        self.sha256.update(data)
        self.crc32 = zlib.crc32(data, self.crc32)
        self.num_bytes += len(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self.num_bytes


class ShardWriter:
    """Context in which sequences are added and the shard is committed; without a commit it leaves no trace."""

    def __init__(self, root: AnyPath, name: str) -> None:
        self._root, self._name = root, name
        self._samples: list[SampleSpan] = []

    def __enter__(self) -> Self:
        self._file = new_file(tar_path(self._root, self._name))
        self._hashing = _HashingFile(self._file.file)
        # tarfile needs only `write` and `tell` of a file, as it writes without seeking.
        self._tar = tarfile.open(fileobj=self._hashing, mode="w", format=tarfile.USTAR_FORMAT)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, key: str, members: Mapping[str, bytes]) -> None:
        """Add a sequence: `{"00.webp": ..., "json": ...}`, written in the order of their names."""
        start, self._hashing.crc32 = self._hashing.num_bytes, 0
        for name in sorted(members):
            entry = tarfile.TarInfo(f"{key}.{name}")
            entry.size, entry.mode, entry.mtime = len(members[name]), 0o644, 0
            self._tar.addfile(entry, io.BytesIO(members[name]))
        length = self._hashing.num_bytes - start
        self._samples.append(SampleSpan(key=key, offset=start, length=length, crc32=self._hashing.crc32))

    def commit(self, **facts: Any) -> ShardManifest:
        """Commit the tar, then its manifest; `facts` are the manifest's fields that the writer cannot know."""
        self._tar.close()
        manifest = ShardManifest(
            name=self._name,
            sha256=self._hashing.sha256.hexdigest(),
            num_bytes=self._hashing.num_bytes,
            num_samples=len(self._samples),
            samples=tuple(self._samples),
            **facts,
        )
        self._file.commit()
        write_atomically(manifest_path(self._root, self._name), sealed(manifest.to_json()))
        return manifest
