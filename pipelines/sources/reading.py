"""Reading from unreliable storage: errors are retried; a lasting error is a fault of the file or of the storage."""

import errno
import io
from collections.abc import Callable
from typing import IO, Any, TypeVar

from pipelines.sources.source import RefusedPicture, StorageFault
from training.data.retries import tried_again

_Read = TypeVar("_Read")

_WAITS_S = (0.5, 1.0, 2.0, 4.0)
_FILE_ERRORS = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
_NAME_ERRNOS = frozenset({errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL})


def read_patiently(read: Callable[[], _Read], name: str) -> _Read:
    """What `read` returns. While the storage fails, it is called again after half a second, one, two and four.

    Args:
        read: reads the file and does nothing else, since every exception is caught: clients of remote storage raise
            exceptions of any class.
        name: name of the file, for messages.

    Raises:
        RefusedPicture: if there is no such file or it may not be read.
        StorageFault: if the storage still fails; it names the file.
    """
    try:
        return tried_again(read, _WAITS_S, lambda error: not _is_final(error))
    except (MemoryError, RefusedPicture, StorageFault):
        raise
    except Exception as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        if _is_final(error):
            raise RefusedPicture(f"cannot be read: {reason}") from error
        tries = len(_WAITS_S) + 1
        raise StorageFault(f"{name}: the storage fails ({reason}, {tries} times); try again later") from error


def _is_final(error: Exception) -> bool:
    """Whether an error tells about the file itself and not about the storage, so that a retry is of no use."""
    if isinstance(error, (MemoryError, RefusedPicture, StorageFault, *_FILE_ERRORS)):
        return True
    return getattr(error, "errno", None) in _NAME_ERRNOS


class PatientFile(io.RawIOBase):
    """A file read by `read_patiently`, for decoders that pull bytes as they need them and hide why a read failed.

    Attributes:
        fault: the error that was raised when the storage failed after all retries, or None.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file, self._name = file, name
        self.fault: StorageFault | None = None

    def read(self, size: int = -1) -> bytes:
        """The next `size` bytes, or fewer at the end."""
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
        """Read into a buffer; returns the number of bytes."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to an offset, where the next read begins; returns it."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The offset at which the next read begins."""
        return self._file.tell()

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True
