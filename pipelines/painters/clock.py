"""Keeps the time that a command may take."""

import sys
import time


class Clock:
    """A deadline.

    Args:
        seconds: time from now to the end.
    """

    def __init__(self, seconds: float) -> None:
        self._start, self._end = time.monotonic(), time.monotonic() + seconds

    @property
    def left_s(self) -> float:
        """Seconds until the end."""
        return self._end - time.monotonic()

    def say(self, line: str) -> None:
        """Print a line, preceded by the seconds since the beginning."""
        sys.stdout.write(f"[{time.monotonic() - self._start:6.1f} s] {line}\n")
        sys.stdout.flush()
