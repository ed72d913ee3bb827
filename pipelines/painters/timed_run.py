"""A training run that is stopped when its time is up."""

import json
import os
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from conf.command import COMPLETE, Summary
from conf.errors import UserError

if TYPE_CHECKING:
    from training.config import TrainConfig


def run_stage(config: "TrainConfig", until_s: float | None = None) -> Summary:
    """Train; after `until_s` seconds, a signal makes the run save and stop, as a cluster's scheduler would.

    Raises:
        KeyboardInterrupt: if somebody else stopped it.
    """
    from training.train import run

    has_ended = threading.Event()

    def remind() -> None:
        while not has_ended.wait(until_s if not signals_sent else 1.0):
            signals_sent.append(True)
            os.kill(os.getpid(), signal.SIGTERM)

    signals_sent: list[bool] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if not signals_sent:
            raise KeyboardInterrupt

    # The run has its own handler while it trains; before and after that, the signal would end this process.
    previous_handler = signal.signal(signal.SIGTERM, stop)
    reminder = threading.Thread(target=remind, daemon=True)
    if until_s is not None:
        reminder.start()
    try:
        summary = run(config)
    finally:
        has_ended.set()
        if until_s is not None:
            reminder.join()
        signal.signal(signal.SIGTERM, previous_handler)
    if summary.exit_code != COMPLETE and not signals_sent:
        raise KeyboardInterrupt
    return summary


def last_line(folder: Path) -> dict[str, float]:
    """The last measurements of a run; empty if it was stopped before its first line."""
    lines = (folder / "log.jsonl").read_text("utf-8").splitlines()
    line: dict[str, float] = json.loads(lines[-1]) if lines else {}
    return line


def newest_step(folder: Path) -> int:
    """Step of a run's newest checkpoint.

    Raises:
        UserError: if it has none.
    """
    from training.run.checkpoint import newest_sound

    checkpoint = newest_sound(folder / "checkpoints", print)
    if checkpoint is None:
        raise UserError(f"{folder}: no step was done in its time; allowed: more --seconds")
    return checkpoint.step
