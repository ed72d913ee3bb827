"""Signals to stop: from a scheduler, torchrun, or Ctrl-C."""

import signal
import time
from types import FrameType, TracebackType
from typing import Any, Self

_ECHO_S = 2.0  # a launcher may forward a signal that its processes have already received


class StopSignal:
    """Context in which SIGTERM and SIGINT are only noted. A second Ctrl-C, some seconds later, has its usual effect.

    Attributes:
        asked: whether to stop at the next opportunity.
    """

    def __init__(self) -> None:
        self.asked = False
        self._asked_at = 0.0
        self._previous_handlers: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._previous_handlers[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if not self.asked:
            self.asked, self._asked_at = True, time.monotonic()
        elif number == signal.SIGINT and time.monotonic() - self._asked_at > _ECHO_S:
            raise KeyboardInterrupt
