"""Reading from unreliable storage: errors of the machine are retried, then reported, and never taken for damage."""

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
_PASSING = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EBUSY, errno.ENOTCONN, errno.EREMOTEIO}
_PLAIN_ANSWERS = (FileNotFoundError, IsADirectoryError, NotADirectoryError)


def tried_again(read: Callable[[], _Read], waits_s: Sequence[float], is_passing: Callable[[Exception], bool]) -> _Read:
    """What `read` returns, called once more after each of `waits_s` seconds while what it raises may pass.

    Raises:
        Exception: what `read` raised, if that does not pass, or did not.
    """
    for wait_s in waits_s:
        try:
            return read()
        except Exception as error:
            if not is_passing(error):
                raise
        time.sleep(wait_s)
    return read()


def retried(where: object, read: Callable[[], _Read]) -> _Read:
    """What `read` returns, tried again after a while when the storage fails.

    Args:
        where: what is read, for the message; a path must be of a file or folder: a named pipe may never answer.
        read: called up to four times; it must begin anew each time.

    Raises:
        UserError: if the storage keeps failing, or forbids it; `where` names what could not be read.
        FileNotFoundError, IsADirectoryError, NotADirectoryError: as they come: the storage works, and that is its
            answer.
    """

    def read_what_is_stored() -> _Read:
        if isinstance(where, Path) and stat.S_IFMT(where.stat().st_mode) not in (stat.S_IFREG, stat.S_IFDIR):
            raise UserError(f"{where}: neither a file nor a folder; it is not opened")
        return read()

    try:
        return tried_again(
            read_what_is_stored, WAITS_S, lambda error: isinstance(error, OSError) and error.errno in _PASSING
        )
    except _PLAIN_ANSWERS:
        raise
    except OSError as error:
        raise UserError(
            f"{where}: cannot be read ({error.strerror or error}); nothing was changed: "
            "run the same command again when the storage answers"
        ) from error
