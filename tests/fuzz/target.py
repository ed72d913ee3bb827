"""The promise of a reader of hostile bytes: it soon returns a value or raises its own error, in bounded memory."""

import signal
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from conf.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hypothesis.strategies import SearchStrategy

LONGEST_S = 20.0
"""The most seconds for a file of about 100 kB at most, on a machine that is also busy with other work."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A reader of bytes that strangers made.

    Attributes:
        files: returns the strategy that draws files.
        read: reads one file, and may write into a new folder.
        refusals: errors that it may raise.
        prepare: does what makes the first read of a process slow for any file, such as compiling kernels.
    """

    files: "Callable[[], SearchStrategy[bytes]]"
    read: Callable[[bytes, Path], object]
    refusals: tuple[type[Exception], ...] = (UserError,)
    prepare: Callable[[], object] = lambda: None

    def stands(self, data: bytes) -> None:
        """Read one file.

        Raises:
            AssertionError: if a refusal says nothing.
            TooSlow: if it takes longer than `LONGEST_S`.
            Exception: any error of the reader that is not one of its refusals.
        """
        with tempfile.TemporaryDirectory() as folder, _soon():
            try:
                self.read(data, Path(folder))
            except self.refusals as refusal:
                assert str(refusal), "refused without a word"


class TooSlow(BaseException):
    """Raised when a reader takes too long; not an `Exception`, so that no reader catches it."""


@contextmanager
def _soon() -> "Iterator[None]":
    def late(_number: int, _frame: FrameType | None) -> None:
        raise TooSlow(f"more than {LONGEST_S} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, LONGEST_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
