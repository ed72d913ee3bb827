"""The edge of every benchmark: what its arguments may be, and errors of one line, with exit code 2."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from conf.errors import UserError
from conf.printable import printable
from process_painter.streams import tell

_BAD_ARGUMENTS = 2
_PICTURE_EXTENSIONS = (".jpg", ".png", ".webp")


def run_benchmark(main: Callable[[], int | None]) -> NoReturn:
    """Run a benchmark and end the process with its exit code.

    What the user can mend, a painter that is not there or a file that cannot be read, is one line and exit code 2.
    """
    try:
        sys.exit(main() or 0)
    except UserError as error:
        reason = str(error)
    except OSError as error:
        if error.filename is None:
            raise
        reason = f"{error.filename}: {error.strerror}"
    tell(f"error: {printable(' '.join(reason.splitlines()))}")
    sys.exit(_BAD_ARGUMENTS)


def from_1(text: str) -> int:
    """An argument that counts something: a whole number of at least 1.

    Raises:
        argparse.ArgumentTypeError: if it is anything else.
    """
    return _whole_number(text, 1)


def from_0(text: str) -> int:
    """An argument that is a seed, or numbers frames: a whole number of at least 0.

    Raises:
        argparse.ArgumentTypeError: if it is anything else.
    """
    return _whole_number(text, 0)


def pictures_in(folder: Path) -> list[Path]:
    """The pictures in a folder, at least one, in the order of their names.

    Raises:
        UserError: if there is no such folder, or no picture in it.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    pictures = sorted(file for file in folder.iterdir() if file.suffix.lower() in _PICTURE_EXTENSIONS)
    if not pictures:
        raise UserError(f"{folder}: holds no pictures ({', '.join(_PICTURE_EXTENSIONS)})")
    return pictures


def _whole_number(text: str, least: int) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text}: not a whole number of at least {least}")
    return int(text)
