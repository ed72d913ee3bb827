"""Runs of `pipelines.synth` as real processes that tests kill. It reads /proc, and so needs Linux."""

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psutil

from tests.pipelines.runs import COMMAND

_MARK = "PROCESS_PAINTER_TEST_RUN"
_PATIENCE_S = 120.0


class RealRun:
    """A run in a session of its own.

    Its processes are recognised by a mark in their environment, which children inherit, whatever their group or parent.
    """

    def __init__(self, out: Path, overrides: tuple[str, ...], log: IO[bytes]) -> None:
        self.out = out
        self._mark = uuid.uuid4().hex
        self.driver = subprocess.Popen(
            [*COMMAND, *overrides, f"out={out}"],
            env={**os.environ, _MARK: self._mark},
            cwd=out.parent,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def is_going(self) -> bool:
        """Whether the driver is alive."""
        return self.driver.poll() is None

    def wait_until_committed(self, count: int) -> bool:
        """Wait for `count` manifests; False if the run ends before."""
        deadline = time.monotonic() + _PATIENCE_S
        while num_committed(self.out) < count:
            if not self.is_going():
                return False
            assert time.monotonic() < deadline, f"no {count} shards after {_PATIENCE_S} s"
            time.sleep(0.005)
        return self.is_going()

    def processes(self) -> dict[int, str]:
        """Process id -> command line of all living processes of the run."""
        mark = f"{_MARK}={self._mark}".encode()
        lines = {}
        for folder in Path("/proc").iterdir():
            try:
                if folder.name.isdigit() and mark in (folder / "environ").read_bytes().split(b"\0"):
                    lines[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            except OSError:  # the process has ended meanwhile
                continue
        return lines

    def busy_workers(self) -> list[int]:
        """Ray workers that are rendering a shard now."""
        return sorted(pid for pid, line in self.processes().items() if line.startswith("ray::render_shard"))

    def kill_worker(self) -> bool:
        """SIGKILL to one Ray worker that renders a shard; False if the run ends before there is one."""
        while self.is_going():
            for pid in self.busy_workers():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
                return True
            time.sleep(0.01)
        return False

    def kill_service(self, name: str) -> None:
        """SIGKILL to a process of Ray itself: `raylet`, `gcs_server`, `ray::RuntimeEnvAgent`."""
        for process in psutil.Process(self.driver.pid).children(recursive=True):
            if Path(process.cmdline()[0].strip()).name == name:
                process.kill()
                return
        raise AssertionError(f"no {name}")

    def kill_driver(self) -> None:
        """SIGKILL to the driver alone; returns after its end."""
        self.driver.kill()
        assert self.driver.wait() == -signal.SIGKILL

    def kill_group(self) -> None:
        """SIGKILL to the driver and everything in its process group."""
        os.killpg(self.driver.pid, signal.SIGKILL)
        assert self.driver.wait() == -signal.SIGKILL

    def finish(self) -> int:
        """Wait for the end; returns the exit code."""
        return self.driver.wait(_PATIENCE_S)

    def writers_after(self, seconds: float) -> list[str]:
        """Command lines of processes that may write into the data set and are still alive after `seconds`.

        Ray's own agents do not write, and some of them wait a minute for the return of a killed driver.
        """
        deadline = time.monotonic() + seconds
        while True:
            left = [line for line in self.processes().values() if not line.endswith("Agent")]
            if not left or time.monotonic() > deadline:
                return left
            time.sleep(0.1)


def num_committed(out: Path) -> int:
    """Number of manifests in a data set."""
    return sum(1 for _ in (out / "shards").glob("[!.]*.json"))


@contextmanager
def real_runs(log: Path) -> Iterator["RealRuns"]:
    """Start runs, and kill all their processes at the end."""
    with log.open("ab") as file:
        runs = RealRuns(file)
        try:
            yield runs
        finally:
            for run in runs.started:
                for pid in run.processes():
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        continue
                run.driver.wait()


class RealRuns:
    """Runs started so far."""

    def __init__(self, log: IO[bytes]) -> None:
        self._log = log
        self.started: list[RealRun] = []

    def start(self, out: Path, overrides: tuple[str, ...]) -> RealRun:
        """Start another run."""
        run = RealRun(out, overrides, self._log)
        self.started.append(run)
        return run

    def writers_after(self, seconds: float) -> list[str]:
        """`RealRun.writers_after` of all runs."""
        return [line for run in self.started for line in run.writers_after(seconds)]
