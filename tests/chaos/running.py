"""Runs a command in a forked process with its own session. The parent imports modules once, before it forks."""

import atexit
import ctypes
import importlib
import os
import runpy
import signal
import sys
import threading
import time
import traceback
import uuid
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_MARK = "PROCESS_PAINTER_CHAOS_RUN"
_SUBREAPER = 36  # option of prctl: orphaned descendants become children of this process
_PATIENCE_S = 120.0
FIRST_RUN_S = 1200.0
"""Seconds to wait for a run that may have to compile kernels."""
HUNG = -1000
_runs: set[int] = set()
"""Ids of the processes of runs that have not been waited for."""


def on_busy_machine(seconds: float) -> float:
    """Seconds to wait for work that takes `seconds` on an idle machine."""
    return seconds * max(1.0, os.getloadavg()[0] / len(os.sched_getaffinity(0)))


@dataclass(frozen=True, kw_only=True)
class End:
    """How a run ended.

    Attributes:
        code: exit code; the negative number of the signal that ended it; or `HUNG` if it took too long and was killed.
        out, err: what it printed to stdout and stderr.
        took_s: wall seconds.
    """

    code: int
    out: str
    err: str
    took_s: float

    @property
    def killed(self) -> bool:
        """Whether SIGKILL ended it."""
        return self.code == -signal.SIGKILL


class Running:
    """A command that is running.

    Args:
        overrides: module and arguments.
        folder: where it runs.
        prepare: called in the new process before the command begins.
        held: whether the command waits for `begin`.
        modules: file to which the names of all imported modules are written at its end.
    """

    def __init__(
        self,
        overrides: Sequence[str],
        folder: Path,
        prepare: Callable[[], None] | None = None,
        *,
        held: bool = False,
        modules: Path | None = None,
    ) -> None:
        self._mark, self._output_folder = uuid.uuid4().hex, folder / "said"
        self._output_folder.mkdir(exist_ok=True)
        self._files = [self._output_folder / f"{self._mark}.{name}" for name in ("out", "err")]
        gate, self._gate = os.pipe()
        self.started = time.monotonic()
        _refuse_threads()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._gate)
            self._be_the_command(overrides, folder, prepare, gate, modules)
        os.close(gate)
        _runs.add(self.pid)
        self._status: int | None = None
        if not held:
            self.begin()

    def begin(self) -> None:
        """Let a held command begin."""
        self.started = time.monotonic()
        os.close(self._gate)

    def _be_the_command(
        self,
        overrides: Sequence[str],
        folder: Path,
        prepare: Callable[[], None] | None,
        gate: int,
        modules: Path | None,
    ) -> None:
        """Run the command in the forked process; never returns."""
        code = 1
        try:
            os.setsid()
            signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
            nowhere = os.open(os.devnull, os.O_RDONLY)
            os.dup2(nowhere, 0)
            for descriptor, path in enumerate(self._files, 1):
                os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
            os.closerange(3, gate)
            os.closerange(gate + 1, 256)
            os.environ[_MARK] = self._mark
            os.chdir(folder)
            os.read(gate, 1)
            os.close(gate)
            if prepare is not None:
                prepare()
            if modules is not None:
                atexit.register(lambda: modules.write_text("\n".join(sorted(sys.modules))))
            code = _outcome(overrides)
        except BaseException:
            traceback.print_exc()
        finally:
            with suppress(BaseException):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def is_going(self) -> bool:
        """Whether it is still running."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = status
                _runs.discard(self.pid)
                self.took_s = time.monotonic() - self.started
        return self._status is None

    def processes(self) -> list[int]:
        """Ids of all living processes of the run, whatever their parents are now; `pid` is the first of them."""
        return [pid for pid in _living() if _session(pid) == self.pid or self._marked(pid)]

    def _marked(self, pid: int) -> bool:
        try:
            return f"{_MARK}={self._mark}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            return False

    def wait_until(self, moment_s: float) -> bool:
        """Wait until `moment_s` seconds after its start; False if it ended before."""
        while self.is_going():
            left_s = self.started + moment_s - time.monotonic()
            if left_s <= 0:
                return True
            time.sleep(min(left_s, 0.002))
        return False

    def kinds(self) -> dict[str, list[int]]:
        """Process name -> ids of its descendants with that name, such as `ray::render_shard` or `raylet`."""
        kinds: dict[str, list[int]] = {}
        for pid in self.processes():
            if pid != self.pid:
                kinds.setdefault(_name(pid), []).append(pid)
        return kinds

    def signal(self, number: int, pids: Sequence[int] | None = None) -> None:
        """Send a signal to all of its processes, or to some."""
        for pid in self.processes() if pids is None else pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def end(self, patience_s: float = _PATIENCE_S) -> End:
        """Wait for its end; after `patience_s`, or longer on a busy machine, it is killed and counts as hung."""
        while self.is_going():
            if time.monotonic() - self.started > on_busy_machine(patience_s):
                self.signal(signal.SIGKILL)
                while self.is_going():
                    time.sleep(0.01)
                return self._end(HUNG)
            time.sleep(0.005)
        assert self._status is not None
        return self._end(os.waitstatus_to_exitcode(self._status))

    def _end(self, code: int) -> End:
        out, err = (path.read_text(errors="replace") if path.exists() else "" for path in self._files)
        return End(code=code, out=out, err=err, took_s=self.took_s)

    def left_after(self, seconds: float) -> list[str]:
        """Kill what is alive after `seconds`, or longer on a busy machine; returns its command lines, without Ray's."""
        start = time.monotonic()
        while left := self.processes():
            if time.monotonic() - start > on_busy_machine(seconds):
                lines = [_command_line(pid) for pid in left]
                self.signal(signal.SIGKILL, left)
                # Ray's own agents write nothing, and some wait a minute for the return of a driver that was killed.
                return [line for line in lines if "ray" not in line]
            _reap()
            time.sleep(0.02)
        _reap()
        return []


def _outcome(overrides: Sequence[str]) -> int:
    """Run `python -m MODULE ARGUMENTS` in this process; returns the exit code."""
    module, *arguments = overrides
    sys.argv = [module, *arguments]
    warnings.filterwarnings("ignore", message=".*found in sys.modules.*", category=RuntimeWarning)
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        code: object = 0
    except SystemExit as end:
        code = end.code
    threading._shutdown()  # type: ignore[attr-defined]  # what Python itself does before it ends
    atexit._run_exitfuncs()
    return code if isinstance(code, int) else 0 if code is None else 1


def import_all(modules: Path) -> None:
    """Import the modules that a command had imported at its end."""
    for name in modules.read_text().split():
        if name not in sys.modules and "__main__" not in name:
            with suppress(Exception):
                importlib.import_module(name)


def _refuse_threads() -> None:
    """Refuse to fork a process with threads: a lock held by another thread is never released in the child."""
    names = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
    if others := [name for name in names if not name.startswith("jemalloc")][1:]:
        raise RuntimeError(f"a process with threads cannot be forked: {others}")


def adopt_orphans() -> None:
    """Make processes whose parents are killed children of this one, which can then wait for their end."""
    ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0)


def _living() -> list[int]:
    return [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]


def _session(pid: int) -> int:
    """Session id of a process; 0 if the process has ended."""
    try:
        state, _, _, session = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:4]
    except OSError:
        return 0
    return 0 if state == "Z" else int(session)


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return "ended"


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "ended"


def _reap() -> None:
    """Reap adopted orphans that have ended, but not the processes of runs, which `Running` waits for."""
    for pid in _living():
        with suppress(OSError):
            state, parent, _ = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split(maxsplit=2)
            if state == "Z" and int(parent) == os.getpid() and pid not in _runs:
                os.waitpid(pid, os.WNOHANG)
