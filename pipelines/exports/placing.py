"""Writes the output of a command completely or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from conf.errors import ConfigError, UserError
from conf.value import check_named
from training.data.claim import sole_writer
from training.data.owned import refuse_owned


def check_free(out: Path, *, is_folder: bool, overwrite: bool) -> None:
    """Refuse an output path that is taken, has no name, or lies in weights, a painter or the like.

    Raises:
        ConfigError: if a folder is not new or empty, a file exists and may not be replaced, `out` is `.`, or it lies in
            what must stay as it is.
    """
    check_named("out", out)
    refuse_owned(out)
    if is_folder:
        if out.exists() and not (out.is_dir() and not any(out.iterdir())):
            raise ConfigError("out", out, "a new or empty folder")
    elif out.is_dir():
        raise ConfigError("out", out, "a file; this is a folder")
    elif out.exists() and not overwrite:
        raise ConfigError("out", out, "a new file, or say overwrite=true")


@contextmanager
def placed(out: Path) -> Iterator[Path]:
    """Context with a temporary path for a file or folder; it is renamed to `out` if the context ends without error.

    Raises:
        UserError: if it cannot be written, or another run is writing there.
    """
    work = out.with_name(f".{out.name}.tmp")
    new_folders = [folder for folder in (out.parent, *out.parent.parents) if not folder.exists()]
    try:
        work.mkdir(parents=True, exist_ok=True)
        with sole_writer(work):
            try:
                for left_behind in work.iterdir():  # a killed run may have left something
                    shutil.rmtree(left_behind) if left_behind.is_dir() else left_behind.unlink()
                yield work / out.name
                os.replace(work / out.name, out)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        raise UserError(f"out={out}: cannot be written ({error.strerror or error})") from error
    finally:
        for folder in new_folders:
            with suppress(OSError):  # it is not empty if the output was written
                folder.rmdir()
