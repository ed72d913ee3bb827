"""What it means for a reader to stand hostile bytes: a value or the reader's own error, soon, and in bounded memory."""

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
"""For one file of at most some 100 kB, on a machine that does something else too."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A reader of bytes that strangers made.

    Attributes:
        files: what is tried; made when it is first asked for.
        read: reads one, with a new folder to put it in.
        refusals: what it may raise.
        prepare: what takes long in a process's first read and is no fault of the file, such as compiling kernels.
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
            Exception: whatever the reader raises that is none of its refusals.
        """
        with tempfile.TemporaryDirectory() as folder, _soon():
            try:
                self.read(data, Path(folder))
            except self.refusals as refusal:
                assert str(refusal), "refused without a word"


class TooSlow(BaseException):
    """No reader catches this."""


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
