"""Requests to an object store: temporary faults are waited out, lasting ones are reported in one line."""

import errno
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from conf.errors import UserError
from conf.printable import without_secrets
from training.data.retries import tried_again
from training.data.storage import open_storage

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_Answer = TypeVar("_Answer")

WAITS_S: Sequence[float] = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
"""How long to wait before each further try, on top of what the store's own client tries."""
_PLAIN_ANSWERS = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError)
_LASTING_ERRORS = (PermissionError, NotImplementedError, ImportError, ValueError, TypeError, MemoryError, UserError)
_LASTING_ERRNOS = frozenset({errno.EINVAL, errno.ENAMETOOLONG, errno.EPERM, errno.ENOSPC})
_LOGIN = re.compile("Credential|Auth|Token")  # in the names of errors of botocore, google-auth, azure-identity


def asked(url: str, done: str, ask: "Callable[[AbstractFileSystem, str], _Answer]") -> _Answer:
    """The answer to a request, which is repeated after a while if the storage fails.

    Args:
        url: URL of the file or folder.
        done: past participle of what is tried, such as `read`, for the message.
        ask: function of the storage and the path in its terms; it must start from the beginning each time.

    Raises:
        UserError: if the storage keeps failing, or denies access.
        FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError: unchanged, except a missing file for
            writers.
    """
    storage, path = open_storage(url)  # fsspec keeps one per process
    try:
        return tried_again(lambda: ask(storage, path), WAITS_S, _may_be_temporary)
    except UserError:
        raise
    except Exception as error:
        if isinstance(error, _PLAIN_ANSWERS) and not (isinstance(error, FileNotFoundError) and done == "written"):
            raise  # for writers it is an error: a missing bucket answers as a missing file does
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, PermissionError) or _LOGIN.search(type(error).__name__) or "Bad Request" in reason:
            reason += "; are the credentials in the environment right, and not expired?"
        elif _may_be_temporary(error):
            reason += f"; {len(WAITS_S) + 1} tries; the same command again goes on when the storage answers"
        raise UserError(f"{without_secrets(url)}: cannot be {done} ({reason})") from error


def _may_be_temporary(error: Exception) -> bool:
    """Whether a fault is worth another try: one of the network or the store, not of the request or its credentials.

    Clients of storage raise whatever they like, so an unknown fault counts as temporary.
    """
    if isinstance(error, (*_PLAIN_ANSWERS, *_LASTING_ERRORS)) or _LOGIN.search(type(error).__name__):
        return False
    return getattr(error, "errno", None) not in _LASTING_ERRNOS
