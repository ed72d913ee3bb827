"""Repeated SIGKILL to all processes of a command, to its first process, or to one of its workers."""

import os
import random
import signal
from collections.abc import Callable

from tests.chaos.judge import Trial
from tests.chaos.machine import Tracer, can_trace
from tests.chaos.running import Running

_MAX_KILLS = 8
_LAUNCHED_S = 60.0  # the longest time that the ranks of a killed launcher still train
_CALLS = (
    "openat", "write", "pwrite64", "rename", "fsync", "unlink", "mkdir", "close", "newfstatat", "rmdir", "flock",
    "getdents64", "read", "mmap", "ftruncate",
)  # fmt: skip


def kill_again_and_again(trial: Trial) -> None:
    """Kill a command up to eight times, and check that the next run ends like an undisturbed one.

    Raises:
        Broken: if it does not.
    """
    ways: list[Callable[[Trial], bool]] = [_kill_all, _kill_all, _kill_first, _kill_worker]
    ways += [_kill_at_call] * 3 if can_trace() else []
    for _ in range(trial.rng.randint(1, _MAX_KILLS)):
        way = trial.rng.choice(ways)
        if not way(trial):
            break  # the run ended before the kill, and has been judged
    trial.must_be_right(trial.run(), "after " + "; ".join(trial.what))


def _count(trial: Trial, run: Running, what: str) -> bool:
    """Note a kill. A run that ended before it must have ended well; one that reports a lost worker counts as killed.

    Returns:
        Whether the run was at work.
    """
    end = run.end()
    if trial.lost_a_worker(end):
        trial.must_be_honest(end)
        what += f" in a worker (exit code {end.code})"
    elif not end.killed:
        trial.must_be_right(end, f"after {'; '.join(trial.what) or 'nothing'} (and then {what}, too late)")
        return False
    trial.kills += 1
    trial.what.append(what)
    trial.note_kept()
    return True


def _kill_all(trial: Trial) -> bool:
    moment_s = trial.moment_s()
    run = trial.start()
    if run.wait_until(moment_s):
        run.signal(signal.SIGKILL)
    return _count(trial, run, f"all killed at {moment_s:.3f} s")


def _kill_first(trial: Trial) -> bool:
    """Kill the first process. Its workers may outlive it into the next run; those of torchrun run to their end."""
    moment_s = trial.moment_s()
    run = trial.start()
    if run.wait_until(moment_s):
        os.kill(run.pid, signal.SIGKILL)
    killed = _count(trial, run, f"the first process killed at {moment_s:.3f} s")
    if trial.subject.launched:
        run.left_after(_LAUNCHED_S)
    return killed


def _kill_worker(trial: Trial) -> bool:
    """Kill one worker, or the first process if there is none. The run may continue without it, or report the loss."""
    moment_s = trial.moment_s()
    run = trial.start()
    if not run.wait_until(moment_s):
        return _count(trial, run, f"a worker killed at {moment_s:.3f} s")
    workers = run.kinds()
    if not workers:
        os.kill(run.pid, signal.SIGKILL)
        return _count(trial, run, f"the only process killed at {moment_s:.3f} s")
    kind = trial.rng.choice(sorted(workers))
    run.signal(signal.SIGKILL, [trial.rng.choice(workers[kind])])
    end = run.end()
    trial.must_be_honest(end)
    trial.kills += 1
    trial.what.append(f"a worker ({kind}) killed at {moment_s:.3f} s (exit code {end.code})")
    trial.note_kept()
    return True


def _kill_at_call(trial: Trial) -> bool:
    """Kill the run on entry to a system call, before the call has had any effect."""
    call, number = random_call(trial.rng, trial.undisturbed.calls, _CALLS)
    run = trial.start(held=True)
    tracer = Tracer(run.pid, f"{call}:signal=SIGKILL:when={number}")
    run.begin()
    end = run.end()
    run.signal(signal.SIGKILL)
    tracer.wait()
    del end
    return _count(trial, run, f"killed at {call} number {number}")


def random_call(rng: random.Random, counts: dict[str, int], calls: tuple[str, ...]) -> tuple[str, int]:
    """A random kind of system call that a command makes, each equally likely, and the number of one such call."""
    call = rng.choice([call for call in calls if counts.get(call)] or calls)
    return call, rng.randint(1, counts.get(call, 1))
