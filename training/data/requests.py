"""Requests to an object store: what passes is waited out, what stays is said in one line."""

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
_NOT_PASSING = (PermissionError, NotImplementedError, ImportError, ValueError, TypeError, MemoryError, UserError)
_REFUSED = frozenset({errno.EINVAL, errno.ENAMETOOLONG, errno.EPERM, errno.ENOSPC})
_LOGIN = re.compile("Credential|Auth|Token")  # in the name of an error: of botocore, google-auth, azure-identity


def asked(url: str, done: str, ask: "Callable[[AbstractFileSystem, str], _Answer]") -> _Answer:
    """The answer to a request, which is repeated after a while when the storage fails.

    Args:
        url: of what is asked for.
        done: the participle of what is tried, for the message.
        ask: called with the storage and the path in its own terms; it must begin anew each time.

    Raises:
        UserError: if the storage goes on failing, or forbids it.
        FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError: as they come, from whoever reads.
    """
    storage, path = open_storage(url)  # fsspec keeps one a process
    try:
        return tried_again(lambda: ask(storage, path), WAITS_S, _may_pass)
    except UserError:
        raise
    except Exception as error:
        if isinstance(error, _PLAIN_ANSWERS) and not (isinstance(error, FileNotFoundError) and done == "written"):
            raise  # a missing bucket answers as a missing file does
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, PermissionError) or _LOGIN.search(type(error).__name__) or "Bad Request" in reason:
            reason += "; are the credentials in the environment right, and not expired?"
        elif _may_pass(error):
            reason += f"; {len(WAITS_S) + 1} tries; the same command again goes on when the storage answers"
        raise UserError(f"{without_secrets(url)}: cannot be {done} ({reason})") from error


def _may_pass(error: Exception) -> bool:
    """Whether a fault is worth another try: of the network and the store, not of the question or of who asks it.

    Clients of storage raise whatever they like, so what is not known to stay is taken to pass.
    """
    if isinstance(error, (*_PLAIN_ANSWERS, *_NOT_PASSING)) or _LOGIN.search(type(error).__name__):
        return False
    return getattr(error, "errno", None) not in _REFUSED
