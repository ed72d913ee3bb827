"""Shows the progress of a long run: a bar on a terminal, plain lines in a log."""

import sys
import time
from types import TracebackType
from typing import Self

from conf.printable import printable
from process_painter import streams

_SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """Counts items; shows count, rate and time to go. Items done before the run began do not count in the rate.

    With `visible=False` it only counts, as on all but one of the processes of a run.
    """

    def __init__(self, label: str, total: int, done: int = 0, unit: str = "sequences", *, visible: bool = True) -> None:
        self._label, self._total, self._unit, self._visible = label, total, unit, visible
        self.done = self._done_before = done
        self._start = self._last_line = time.monotonic()
        self._news = ""
        self._bar = None
        if visible and sys.stderr.isatty():
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            columns = (
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(), TextColumn("{task.fields[news]}"),
            )  # fmt: skip
            from rich.console import Console

            self._bar = Bar(*columns, console=Console(stderr=True))

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task(self._label, total=self._total, completed=self.done, rate="", news="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif self._visible and kind is None:
            self._line()

    @property
    def rate(self) -> float:
        """Items per second in this run."""
        return (self.done - self._done_before) / max(1e-9, time.monotonic() - self._start)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start

    def advance(self, items: int) -> None:
        """Count more items as done."""
        self.done += items
        if self._bar is not None:
            rate = f"{self.rate:.2f} {self._unit}/s"
            self._bar.update(self._task, completed=self.done, rate=rate, news=self._news)
        elif self._visible and time.monotonic() - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._line()

    def tell(self, news: str) -> None:
        """Show a text beside the count from now on, such as the latest loss."""
        self._news = news

    def _line(self) -> None:
        self._last_line = time.monotonic()
        remaining_s = (self._total - self.done) / self.rate if self.rate > 0 else 0.0
        news = f"; {self._news}" if self._news else ""
        streams.tell(
            f"{self._label}: {self.done}/{self._total} {self._unit}, {self.rate:.2f}/s, {remaining_s:.0f} s to go{news}"
        )


def tell(text: str) -> None:
    """A line of news while a command runs."""
    streams.tell(printable(text))
