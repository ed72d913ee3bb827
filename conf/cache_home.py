"""The folder of files that can be made or fetched again."""

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from conf.errors import UserError


def cache_home() -> Path:
    """`process-painter` below `XDG_CACHE_HOME` or `~/.cache`.

    Some containers run under a user id without a user and a home: there it is a temporary folder.

    Raises:
        UserError: if that folder may be written by others, whose compiled kernels would be run.
    """
    if chosen := os.environ.get("XDG_CACHE_HOME"):
        return Path(chosen) / "process-painter"
    try:
        return Path.home() / ".cache" / "process-painter"
    except RuntimeError:
        return _temporary_folder()


def _temporary_folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"process-painter-{os.getuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    about = folder.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid() or about.st_mode & 0o022:
        raise UserError(f"{folder} belongs to others: set HOME or XDG_CACHE_HOME to a folder of your own")
    return folder
