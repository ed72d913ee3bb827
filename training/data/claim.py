"""The rule for output folders that all commands follow.

A command writes into a folder that is new, empty, or its own: of the same kind and recipe. Anything else is refused in
one line, and nothing in it is touched; so is a folder inside weights, a painter or the like (`training.data.owned`).
While a command writes, it locks the folder, so that no other command writes there; the lock ends with the process,
however that ends. Folders that were made and stayed empty are removed again.
Folders of an object store are claimed by `training.data.remote_claim`.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from conf.errors import ConfigError, UserError
from conf.made_folder import made_folder
from training.data.manifest import is_temporary
from training.data.owned import refuse_owned
from training.data.remote import AnyPath, RemotePath
from training.data.remote_claim import is_claim, is_claimed, sole_remote_writer

_LOOK_S = 0.2  # longer than any check takes


@contextmanager
def claimed_folder(root: AnyPath, *, what: str, card: str, check: Callable[[], None]) -> Iterator[None]:
    """Claim a folder for what a command is about to make.

    Args:
        root: the folder; it and those above it are made if they are not there.
        what: the kind of thing, with its article, such as `a data set`.
        card: name of the file that says that a folder is of this kind.
        check: raises a `UserError` if the folder holds another recipe's work; called only if there is a card.

    Raises:
        UserError: if the folder cannot be made, is in use, or holds something else.
    """
    with held_folder(root):
        if (root / card).exists():
            check()
        elif not is_free(root):
            raise ConfigError("out", root, f"a new or empty folder; this one holds something that is not {what}")
        yield


@contextmanager
def held_folder(root: AnyPath) -> Iterator[None]:
    """Make a folder and lock it for this process; if it was made here and stays empty, it is removed again.

    Raises:
        UserError: if it cannot be made, is a file, is in use, or lies in weights, a painter or the like.
    """
    if isinstance(root, RemotePath):
        if root.is_file():  # objects below its name could be written, but a reader would find the file
            raise ConfigError("out", root, "a folder; this is a file")
        refuse_owned(root)
        with sole_remote_writer(root):
            yield
        return
    if root.exists() and not root.is_dir():
        raise ConfigError("out", root, "a folder; this is a file")
    for path in (root, *root.parents):
        if path.is_symlink() and not path.exists():
            raise ConfigError("out", root, f"a folder; {'this' if path == root else path} is a link to nothing")
    refuse_owned(root)
    with ExitStack() as stack:
        with naming_out(root):
            stack.enter_context(made_folder(root))
            stack.enter_context(sole_writer(root))
        yield


def is_free(root: AnyPath) -> bool:
    """Whether a folder holds nothing but temporary files of killed writers."""
    return all(is_temporary(path) or is_claim(path) for path in root.iterdir())


@contextmanager
def naming_out(root: AnyPath) -> Iterator[None]:
    """Turn an OSError into one line that names the output folder.

    Raises:
        UserError: in place of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise UserError(f"out={root}: {error.filename or root}: {error.strerror or error}") from error


_lock_descriptors: set[int] = set()


def _let_go() -> None:
    """Close the lock's file in a forked process, as the lock lasts while any process has it open."""
    while _lock_descriptors:
        os.close(_lock_descriptors.pop())


os.register_at_fork(after_in_child=_let_go)


@contextmanager
def sole_writer(root: AnyPath) -> Iterator[None]:
    """Lock a folder for this process, and none that it forks; the lock ends with the process, however it ends.

    Raises:
        UserError: if another run is writing here.
    """
    if isinstance(root, RemotePath):
        with sole_remote_writer(root):
            yield
        return
    descriptor, holder_pid = os.open(root, os.O_RDONLY), os.getpid()
    try:
        try:
            _lock(descriptor)
        except BlockingIOError:
            raise UserError(f"{root}: another run is writing here") from None
        except OSError:
            pass  # a shared filesystem without locks; commits are atomic all the same
        _lock_descriptors.add(descriptor)
        yield
    finally:
        if os.getpid() == holder_pid:
            _lock_descriptors.discard(descriptor)
            os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Take the writers' lock. Readers that check it have it for microseconds: a second try fails only for a writer."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        time.sleep(_LOOK_S)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_being_written(root: AnyPath) -> bool:
    """Whether a run is writing to the folder now. The check disturbs neither runs nor other checks."""
    if isinstance(root, RemotePath):
        return is_claimed(root)
    descriptor = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # a shared filesystem without locks
    else:
        return False
    finally:
        os.close(descriptor)  # this releases the lock
