"""One job of a sweep, as a process of its own, so that jobs can neither slow, change nor end one another.

Hydra's launchers call `run_job` where the job belongs: here, in a pool of processes, or on another machine.
"""

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from process_painter.streams import tell

INTERRUPTED = 130
_NOT_BEGUN = 2


def run_job(config: Any) -> dict[str, Any]:
    """Run a command and wait for its end.

    Args:
        config: its `job` is JSON with `number` and `count` (of jobs), `title`, `verb`, `words`, and `log`, a file for
            everything that the command prints, or null.

    Returns:
        `exit_code`, `seconds`, `lines`, which the command printed to its standard output, and `last`, the last line of
        its standard error, which has the error if there was one.

    Raises:
        KeyboardInterrupt: after the command has ended, if this process received a signal to stop.
    """
    job = json.loads(config.job)
    heading = f"job {job['number']} of {job['count']}: {job['title']}"
    tell(f"{heading}{'; it writes to ' + job['log'] if job['log'] else ''}")
    start = time.monotonic()
    command = [sys.executable, "-m", "process_painter", job["verb"], *job["words"]]
    try:
        exit_code, output, messages = _run(command, job["log"])
    except OSError as error:  # the log cannot be written, or no process be started: other jobs may still do
        exit_code, output, messages = _NOT_BEGUN, b"", f"error: {error.filename or job['log']}: {error.strerror}"
    if not job["log"]:
        sys.stderr.write(messages)
    seconds = time.monotonic() - start
    tell(f"{heading}: exit code {exit_code} after {seconds:.1f} s")
    last = messages.splitlines()[-1:]
    return {"exit_code": exit_code, "seconds": seconds, "lines": _text(output).splitlines(), "last": "".join(last)}


def _run(command: Sequence[str], log: str | None) -> tuple[int, bytes, str]:
    """Run a command; returns its exit code, its output, and its messages, which both are added to the log."""
    with Path(log).open("a+b") if log else tempfile.TemporaryFile() as messages_file:
        before = messages_file.seek(0, 2)
        exit_code, output = _waited_for(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=messages_file))
        messages_file.seek(before)
        messages = _text(messages_file.read())
        messages_file.write(output)
    return exit_code, output, messages


def _waited_for(process: subprocess.Popen[bytes]) -> tuple[int, bytes]:
    """Wait for a process; returns its exit code and output. A signal to stop is passed on, so that it can save."""
    stopped = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True
        process.send_signal(number)

    previous_handler = signal.getsignal(signal.SIGTERM)
    has_default = previous_handler in (signal.SIG_DFL, signal.default_int_handler)  # queues have their own
    if has_default:
        signal.signal(signal.SIGTERM, stop)
    try:
        output = process.communicate()[0]
    except KeyboardInterrupt:  # a terminal has sent it to the other process as well
        process.communicate()
        raise
    finally:
        if has_default:
            signal.signal(signal.SIGTERM, previous_handler)
    if stopped or process.returncode == INTERRUPTED:
        raise KeyboardInterrupt
    return process.returncode, output


def _text(output: bytes) -> str:
    return output.decode(errors="backslashreplace")
