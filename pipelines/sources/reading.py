"""Reading from unreliable storage: errors are retried; what remains is the file's fault or the storage's."""

import errno
import io
from collections.abc import Callable
from typing import IO, Any, TypeVar

from pipelines.sources.source import RefusedPicture, StorageFault
from training.data.retries import tried_again

_Read = TypeVar("_Read")

_WAITS_S = (0.5, 1.0, 2.0, 4.0)
_OF_THE_FILE = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
_OF_ITS_NAME = frozenset({errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL})


def read_patiently(read: Callable[[], _Read], name: str) -> _Read:
    """What `read` returns; called again after half a second, one, two and four, while the storage fails.

    Args:
        read: reads, and nothing else: clients of remote storage raise whatever they like, so everything is caught.
        name: of the file, for messages.

    Raises:
        RefusedPicture: if there is no such file or it may not be read.
        StorageFault: if the storage still fails; it names the file.
    """
    try:
        return tried_again(read, _WAITS_S, lambda error: not _is_an_answer(error))
    except (MemoryError, RefusedPicture, StorageFault):
        raise
    except Exception as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        if _is_an_answer(error):
            raise RefusedPicture(f"cannot be read: {reason}") from error
        tries = len(_WAITS_S) + 1
        raise StorageFault(f"{name}: the storage fails ({reason}, {tries} times); try again later") from error


def _is_an_answer(error: Exception) -> bool:
    """Whether an error is the storage's answer about the file, so that trying again is of no use."""
    if isinstance(error, (MemoryError, RefusedPicture, StorageFault, *_OF_THE_FILE)):
        return True
    return getattr(error, "errno", None) in _OF_ITS_NAME


class PatientFile(io.RawIOBase):
    """A file read by `read_patiently`, for decoders that pull bytes as they need them and hide why a read failed.

    Attributes:
        fault: what was raised when the storage failed for good, or None.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file, self._name = file, name
        self.fault: StorageFault | None = None

    def read(self, size: int = -1) -> bytes:
        """So many bytes, or fewer at the end."""
        start = self._file.tell()

        def again() -> bytes:
            self._file.seek(start)
            return self._file.read(size)

        try:
            return read_patiently(again, self._name)
        except StorageFault as fault:
            self.fault = fault
            raise

    def readinto(self, buffer: Any) -> int:
        """The same into a buffer; how many bytes."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Where the next read begins."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The same."""
        return self._file.tell()

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True
