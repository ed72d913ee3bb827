"""Reading from disks that hiccup: a fault of the machine is waited out, then told; it is never taken for damage."""

import errno
import time
from collections.abc import Callable
from typing import TypeVar

from conf.errors import UserError

_Read = TypeVar("_Read")

WAITS_S = (0.1, 0.5, 2.0)
"""How long to wait before each further try."""
_PASSING = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EBUSY, errno.ENOTCONN, errno.EREMOTEIO}
_PLAIN_ANSWERS = (FileNotFoundError, IsADirectoryError, NotADirectoryError)


def retried(where: object, read: Callable[[], _Read]) -> _Read:
    """What `read` returns, tried again after a while when the storage fails.

    Args:
        where: what is read, for the message.
        read: called up to four times.

    Raises:
        UserError: if the storage goes on failing, or forbids it; `where` names what could not be read.
        FileNotFoundError, IsADirectoryError, NotADirectoryError: as they come: the storage works, and that is its
            answer.
    """
    for wait_s in (*WAITS_S, None):
        try:
            return read()
        except _PLAIN_ANSWERS:
            raise
        except OSError as error:
            if wait_s is None or error.errno not in _PASSING:
                raise UserError(
                    f"{where}: cannot be read ({error.strerror or error}); nothing was changed: "
                    "run the same command again when the storage answers"
                ) from error
            time.sleep(wait_s)
    raise AssertionError("the last try returns or raises")
