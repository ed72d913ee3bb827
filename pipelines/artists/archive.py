"""Documents that are zips: OpenRaster, Krita, Procreate. Members are read by name into memory, and never unpacked."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager

from pipelines.sources.reading import PatientFile, read_patiently
from pipelines.sources.source import RefusedPicture, StorageFault
from pipelines.sources.stored import printable
from training.data.storage import open_storage

MOST_BYTES = 1 << 29
"""Largest unpacked size of a member."""


class Archive:
    """A zip that is open for reading.

    Raises:
        RefusedPicture: if it is not a zip.
        StorageFault: if the storage fails.
    """

    def __init__(self, file: PatientFile) -> None:
        self._file = file
        with self._refusing():
            self._archive = zipfile.ZipFile(file)
        self.names = self._archive.namelist()

    def read(self, name: str, most: int = MOST_BYTES) -> bytes:
        """The bytes of a member.

        Raises:
            RefusedPicture: if there is no such member, it is damaged, or it unpacks to more bytes than `most`.
            StorageFault: if the storage fails.
        """
        try:
            size = self._archive.getinfo(name).file_size  # zipfile unpacks no more than this
        except KeyError:
            raise RefusedPicture(f"holds no {printable(name)}") from None
        if size > most:
            raise RefusedPicture(f"{printable(name)} unpacks to {size} bytes, more than {most}")
        with self._refusing():
            return self._archive.read(name)

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except (StorageFault, MemoryError):
            raise
        except Exception as error:  # exceptions of zipfile and its decompressors on bad bytes have no common class
            reason = " ".join(str(error).split()) or type(error).__name__
            fault = self._file.fault
            raise fault or RefusedPicture(f"damaged, or not the archive that it should be ({reason})") from error


@contextmanager
def opened_archive(path: str) -> Iterator[Archive]:
    """Context with a zip, by a path or URL; raises what `Archive` does."""
    filesystem, locator = open_storage(path)
    with read_patiently(lambda: filesystem.open(locator, "rb"), path) as opened:
        yield Archive(PatientFile(opened, path))
