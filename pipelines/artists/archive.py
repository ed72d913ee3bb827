"""Documents that are zips: OpenRaster, Krita, Procreate. Members are read by name into memory, and never unpacked."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager

from fsspec import AbstractFileSystem

from pipelines.sources.reading import PatientFile, read_patiently
from pipelines.sources.source import RefusedPicture, StorageFault
from pipelines.sources.stored import printable
from training.data.storage import open_storage

MOST_BYTES = 1 << 29
"""What a member may unpack to."""


class Archive:
    """A zip that is open for reading."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.names = archive.namelist()

    def read(self, name: str, most: int = MOST_BYTES) -> bytes:
        """A member.

        Raises:
            RefusedPicture: if there is none of this name, or it unpacks to more bytes than `most`.
        """
        try:
            size = self._archive.getinfo(name).file_size  # no more than this is unpacked
        except KeyError:
            raise RefusedPicture(f"holds no {printable(name)}") from None
        if size > most:
            raise RefusedPicture(f"{printable(name)} unpacks to {size} bytes, more than {most}")
        return self._archive.read(name)


@contextmanager
def opened_archive(path: str) -> Iterator[Archive]:
    """A zip, by a path or URL.

    Raises:
        RefusedPicture: if it is none or damaged, when opened or later.
        StorageFault: if the storage fails.
    """
    filesystem, locator = open_storage(path)
    with _file(filesystem, locator, path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                yield Archive(archive)
        except (RefusedPicture, StorageFault, MemoryError):
            raise
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError, ValueError, EOFError) as error:
            reason = " ".join(str(error).split())
            raise file.fault or RefusedPicture(f"damaged, or not the archive that it should be ({reason})") from error


@contextmanager
def _file(filesystem: AbstractFileSystem, locator: str, path: str) -> Iterator[PatientFile]:
    with read_patiently(lambda: filesystem.open(locator, "rb"), path) as opened:
        yield PatientFile(opened, path)
