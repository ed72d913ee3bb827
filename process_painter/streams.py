"""Standard output and standard error, without which a command may have been started, and which may be full."""

import os
import sys
from contextlib import suppress

_STANDARD = 0, 1, 2


def open_missing() -> None:
    """Put the null device where a standard stream is closed.

    Else the next file that is opened gets its number, and what a library prints is written into that file.
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
    """Print a line on standard error. One that cannot be written, as on a full disk, ends no work."""
    with suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)  # noqa: T201


def report(text: str) -> bool:
    """Print what a command is asked for on standard output; False, and a line of error, if it cannot be written.

    A reader that closes the pipe early, as `head` does, is no error.
    """
    try:
        print(text, flush=True)  # noqa: T201
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains of it at its end
        if not isinstance(error, BrokenPipeError):
            tell(f"error: standard output: {error.strerror}")
            return False
    return True
