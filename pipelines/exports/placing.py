"""Writes the output of a command completely or not at all.

It is made in a folder beside `out`, `.export-HASH.tmp`, where HASH is of the name of `out`: so two runs with the same
`out` find each other, the same command clears away what a killed run left, and long names fit. A mark in the folder
says that it was made here; a folder without it is somebody else's and stays as it is.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fsspec.implementations.local import LocalFileSystem

from conf.errors import ConfigError, UserError
from conf.made_folder import made_folder
from conf.value import SourceLocation, check_named
from pipelines.exports.parts import refuse_parts
from pipelines.inference.own_files import has_process
from training.data.claim import sole_writer
from training.data.owned import refuse_owned
from training.data.storage import open_storage


def check_free(out: Path, *, is_folder: bool, overwrite: bool) -> None:
    """Refuse an output path that is taken, has no name, or belongs to weights, a painter, a painting or the like.

    Raises:
        ConfigError: if a folder is not new or empty, a file exists and may not be replaced, `out` is `.`, or it lies in
            what must stay as it is.
        UserError: if the system does not allow the name, or the place cannot be looked at.
    """
    check_named("out", out)
    try:
        refuse_owned(out)
        refuse_parts(out)
        if is_folder:
            if out.exists() and not (out.is_dir() and not any(out.iterdir())):
                raise ConfigError("out", out, "a new or empty folder")
        elif out.is_dir():
            raise ConfigError("out", out, "a file; this is a folder")
        elif out.exists() and not overwrite:
            raise ConfigError("out", out, "a new file, or say overwrite=true")
    except OSError as error:
        raise _unwritable(out, error) from error


def check_picture(picture: SourceLocation, out: Path) -> None:
    """Refuse what is not one picture, and an output that would replace the picture.

    Raises:
        ConfigError: if a local picture is missing or a folder, or `out` is the same file, whatever its name.
    """
    filesystem, locator = open_storage(picture, "picture")
    if not isinstance(filesystem, LocalFileSystem):
        return
    path = Path(locator)
    with suppress(OSError):  # whoever reads the picture says what is wrong with its place
        if path.is_dir():
            painting = f"; export the painting in it with pipelines.export painting={picture}"
            raise ConfigError("picture", picture, "one picture; this is a folder" + painting * has_process(path))
        if not path.exists():
            raise ConfigError("picture", picture, "one picture; there is no file of this name")
        if out.exists() and out.samefile(path):
            raise ConfigError("out", out, "another name; this is the picture itself")


@contextmanager
def placed(out: Path) -> Iterator[Path]:
    """Context with a temporary path for a file or folder; it is renamed to `out` if the context ends without error.

    Raises:
        UserError: if it cannot be written, or another run is writing there.
    """
    work = out.with_name(f".export-{hashlib.sha256(os.fsencode(out.name)).hexdigest()[:16]}.tmp")
    mark = work / work.name
    try:
        with made_folder(out.parent):
            work.mkdir(exist_ok=True)
            with sole_writer(work):
                if work.is_symlink() or (not mark.exists() and any(work.iterdir())):
                    raise UserError(f"out={out}: {work} is in the way and was not made by this command; move it")
                mark.touch()
                try:
                    _empty(work, mark)  # a killed run may have left something
                    yield work / out.name
                    os.replace(work / out.name, out)
                finally:
                    with suppress(OSError):  # what is left is removed by the next run, as the mark goes last
                        _empty(work, mark)
                        mark.unlink()
                        work.rmdir()
    except OSError as error:
        raise _unwritable(out, error) from error


def _empty(work: Path, mark: Path) -> None:
    """Remove everything but the mark from a folder."""
    for path in work.iterdir():
        if path == mark:
            continue
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _unwritable(out: Path, error: OSError) -> UserError:
    return UserError(f"out={out}: cannot be written ({error.strerror or error})")
