"""Signals to stop: from a scheduler, torchrun, or Ctrl-C."""

import signal
import time
from types import FrameType, TracebackType
from typing import Any, Self

_ECHO_S = 2.0  # a launcher passes on what its processes were sent already


class StopSignal:
    """Context in which SIGTERM and SIGINT are noted; Ctrl-C once more, and not at once, has its usual effect.

    Attributes:
        asked: whether to stop at the next opportunity.
    """

    def __init__(self) -> None:
        self.asked = False
        self._asked_at = 0.0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if not self.asked:
            self.asked, self._asked_at = True, time.monotonic()
        elif number == signal.SIGINT and time.monotonic() - self._asked_at > _ECHO_S:
            raise KeyboardInterrupt
