"""Reading from unreliable storage: its errors are retried, then reported, and never mistaken for damaged data."""

import errno
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from conf.errors import UserError

_Read = TypeVar("_Read")

WAITS_S = (0.1, 0.5, 2.0)
"""How long to wait before each further try."""
_TEMPORARY = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EBUSY, errno.ENOTCONN, errno.EREMOTEIO}
_PLAIN_ANSWERS = (FileNotFoundError, IsADirectoryError, NotADirectoryError)  # what storage that works may answer


def tried_again(
    read: Callable[[], _Read], waits_s: Sequence[float], is_temporary: Callable[[Exception], bool]
) -> _Read:
    """The result of `read`, which is called again after each of `waits_s` seconds while its error may be temporary.

    Raises:
        Exception: the first error that is not temporary, or that of the last try.
    """
    for wait_s in waits_s:
        try:
            return read()
        except Exception as error:
            if not is_temporary(error):
                raise
        time.sleep(wait_s)
    return read()


def retried(where: object, read: Callable[[], _Read]) -> _Read:
    """The result of `read`, which is tried again after a while if the storage fails.

    Args:
        where: what is read, for the message. A path must be a file or folder: reading a named pipe may never end.
        read: function that is called up to four times; it must start from the beginning each time.

    Raises:
        UserError: if the storage keeps failing, or denies access; `where` names what could not be read.
        FileNotFoundError, IsADirectoryError, NotADirectoryError: unchanged, because the storage works and this is its
            answer.
    """

    def checked_read() -> _Read:
        if isinstance(where, Path) and stat.S_IFMT(where.stat().st_mode) not in (stat.S_IFREG, stat.S_IFDIR):
            raise UserError(f"{where}: neither a file nor a folder; it is not opened")
        return read()

    try:
        return tried_again(
            checked_read, WAITS_S, lambda error: isinstance(error, OSError) and error.errno in _TEMPORARY
        )
    except _PLAIN_ANSWERS:
        raise
    except OSError as error:
        raise UserError(
            f"{where}: cannot be read ({error.strerror or error}); nothing was changed: "
            "run the same command again when the storage answers"
        ) from error
