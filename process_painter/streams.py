"""Standard output and standard error, which may be closed when a command starts, or be files on a full disk."""

import os
import sys
from contextlib import suppress

_STANDARD = 0, 1, 2


def open_missing() -> None:
    """Open the null device in place of each standard stream that is closed.

    Otherwise the next file that is opened would get its number, and what a library prints would be written into it.
    """
    for number in _STANDARD:
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115


def tell(line: str) -> None:
    """Print a line on standard error. If it cannot be written, as on a full disk, work goes on."""
    with suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)  # noqa: T201


def report(text: str) -> bool:
    """Print a command's output on standard output; returns False, after a line of error, if it cannot be written.

    It is no error if a reader closes the pipe early, as `head` does.
    """
    try:
        print(text, flush=True)  # noqa: T201
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # otherwise Python would report it at exit
        if not isinstance(error, BrokenPipeError):
            tell(f"error: standard output: {error.strerror}")
            return False
    return True
