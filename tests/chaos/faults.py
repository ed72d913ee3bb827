"""Faults of the machine, of files, and of people: one attempt of each kind."""

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from conf.command import INTERRUPTED
from pipelines.hub.dataset_page import SHEET
from tests.chaos import machine
from tests.chaos.damage import damage
from tests.chaos.judge import REFUSED, Broken, Trial
from tests.chaos.kills import random_call
from tests.chaos.running import End
from training.data.own_page import README

Fault = Callable[[Trial], None]
_YEAR_S = 365 * 86400
_PAGES = {"timings", "gallery", README, SHEET}  # pages for people, without data


def _begun(trial: Trial, share: float = 0.5) -> None:
    """With probability `share`, kill a run first, so that the fault meets the folder that it has left."""
    if trial.rng.random() < share:
        moment_s = trial.moment_s()
        run = trial.start()
        if run.wait_until(moment_s):
            run.signal(signal.SIGKILL)
        if run.end().killed:
            trial.kills += 1
            trial.what.append(f"all killed at {moment_s:.3f} s")
        trial.note_kept()


def _then_right(trial: Trial, end: End) -> None:
    """A run under a fault must succeed or say what is wrong; without the fault, the same command must then succeed."""
    what = "; ".join(trial.what)
    trial.must_be_honest(end)
    if end.code == trial.undisturbed.code and (differences := trial.differences(end)):
        raise Broken("silent", f"under {what}: exit code {end.code}, but other: {', '.join(differences[:5])}")
    trial.what.append(f"exit code {end.code}")
    trial.note_kept()
    trial.must_be_right(trial.run(), f"after {what}")


def stopped(trial: Trial) -> None:
    """SIGSTOP and SIGCONT to all processes or to one."""
    run = trial.start()
    for moment_s in sorted(trial.moment_s() for _ in range(trial.rng.randint(1, 3))):
        if run.wait_until(moment_s):
            pids = run.processes()
            stopped_pids = pids if trial.rng.random() < 0.5 else [trial.rng.choice(pids or [run.pid])]
            run.signal(signal.SIGSTOP, stopped_pids)
            time.sleep(trial.rng.uniform(0.02, 0.4))
            run.signal(signal.SIGCONT, stopped_pids)
            trial.what.append(f"stopped at {moment_s:.3f} s")
    trial.must_be_right(run.end(), "; ".join(trial.what))


def told_to_stop(trial: Trial) -> None:
    """SIGTERM or SIGINT to all processes, as from a scheduler or a terminal."""
    _begun(trial, 0.2)
    moment_s, number = trial.moment_s(), trial.rng.choice((signal.SIGTERM, signal.SIGINT))
    run = trial.start()
    if run.wait_until(moment_s):
        run.signal(number)
    end = run.end()
    trial.what.append(f"{number.name} at {moment_s:.3f} s (exit code {end.code})")
    if end.code == INTERRUPTED and sum(line.startswith("interrupted") for line in end.err.splitlines()) != 1:
        raise Broken("unclear", f"exit code {end.code}: {end.err.strip()[-300:]}")
    # The signal itself may end the process, if it comes before the command begins or after its end.
    if end.code not in (-signal.SIGTERM, -signal.SIGINT, INTERRUPTED):
        trial.must_be_honest(end)
    trial.note_kept()
    trial.must_be_right(trial.run(), f"after {'; '.join(trial.what)}")


def two_at_once(trial: Trial) -> None:
    """The same command runs twice at once: one works, and the other is refused or finds the work done."""
    first = trial.start()
    delay_s = trial.rng.choice((0.0, trial.moment_s()))
    first.wait_until(delay_s)
    second = trial.start()
    trial.what.append(f"another run after {delay_s:.3f} s")
    ends = [first.end(), second.end()]
    for end in ends:
        trial.must_be_honest(end)
    if all(end.code == REFUSED for end in ends) and trial.subject.begun is None:
        raise Broken("lost", f"two at once, and both are refused: {ends[0].err[-300:]} {ends[1].err[-300:]}")
    trial.note_kept()
    trial.must_be_right(trial.run(), f"after {'; '.join(trial.what)}")


def full_disk(trial: Trial) -> None:
    """The disk may be too small for the result; afterwards it is larger."""
    num_bytes = sum(len(data) for data in trial.undisturbed.result.values() if isinstance(data, bytes))
    size = trial.rng.randint(0, 2 * num_bytes)
    trial.what.append(f"a disk of {size} free bytes")
    with machine.small_disk(trial.disk, size):
        end = trial.run()
    _then_right(trial, end)


def short_files(trial: Trial) -> None:
    """No file grows beyond some size, as under a quota."""
    _begun(trial, 0.3)
    size = int(2 ** trial.rng.uniform(12, 18))  # at least 4 kB, because messages are written to files too
    trial.what.append(f"no file beyond {size} bytes")
    _then_right(trial, trial.run(partial(_but_for_messages, size)))


def _but_for_messages(size: int) -> None:
    machine.short_files(size)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def read_only_mount(trial: Trial) -> None:
    """The disk is mounted read-only."""
    _begun(trial)
    trial.what.append("mounted read-only")
    _then_right(trial, trial.run(partial(machine.read_only, trial.disk)))


def forbidden_folder(trial: Trial) -> None:
    """A folder that the command writes to is not writable."""
    _begun(trial)
    folders = [trial.disk, *(path for path in trial.disk.rglob("*") if path.is_dir())]
    chosen = trial.rng.choice(folders)
    trial.what.append(f"{chosen.relative_to(trial.folder)} may not be written")
    mode = chosen.stat().st_mode
    chosen.chmod(0o555)
    end = trial.run(machine.obey_permissions)
    if chosen.exists():
        chosen.chmod(mode)
    _then_right(trial, end)


def forbidden_file(trial: Trial) -> None:
    """A file of the inputs is not readable."""
    files = sorted(path for path in _read(trial).rglob("*") if path.is_file())
    chosen = trial.rng.choice(files) if files else None
    if chosen is not None:
        mode = chosen.stat().st_mode
        chosen.chmod(0)
        trial.what.append(f"{chosen.relative_to(trial.folder)} may not be read")
    end = trial.run(machine.obey_permissions)
    if chosen is not None and chosen.exists():
        chosen.chmod(mode)
    _then_right_or_refused(trial, end, chosen)


def _then_right_or_refused(trial: Trial, end: End, path: Path | None) -> None:
    """Like `_then_right`, but a picture that is not readable may be quarantined, like one that cannot be decoded."""
    quarantine = trial.out / "quarantine.jsonl"
    if path is not None and quarantine.exists() and _is_in(quarantine.read_text() + end.out, path):
        trial.must_be_honest(end)
        shutil.rmtree(trial.disk)
        trial.disk.mkdir()
        trial.must_be_right(trial.run(), f"in a new folder, after {'; '.join(trial.what)}")
    else:
        _then_right(trial, end)


def few_handles(trial: Trial) -> None:
    """The limit of open files is low."""
    _begun(trial, 0.3)
    count = trial.rng.randint(5, 40)
    trial.what.append(f"{count} file handles")
    _then_right(trial, trial.run(partial(machine.few_handles, count)))


def no_shared_memory(trial: Trial) -> None:
    """/dev/shm is not writable, as in some containers."""
    trial.what.append("no /dev/shm")
    _then_right(trial, trial.run(machine.without_shared_memory))


def clock_jumps(trial: Trial) -> None:
    """The clock jumps by years during the run, and some files have times from 1970 to 2050."""
    _begun(trial)
    for path in trial.folder.rglob("*"):
        if trial.rng.random() < 0.5:
            moment = trial.rng.uniform(0, 80 * _YEAR_S)
            os.utime(path, (moment, moment))
    trial.note_kept()
    trial.what.append("the clock jumps")
    trial.must_be_right(trial.run(partial(_jumping_clock, trial.rng.getrandbits(32))), "; ".join(trial.what))


def _jumping_clock(seed: int) -> None:
    rng, real_time, shift = random.Random(seed), time.time, [0.0]

    def jumping() -> float:
        if rng.random() < 0.2:
            shift[0] = rng.uniform(-50 * _YEAR_S, 50 * _YEAR_S)
        return max(0.0, real_time() + shift[0])

    time.time = jumping
    time.time_ns = lambda: int(jumping() * 1e9)


def failing_call(trial: Trial) -> None:
    """One system call that changes the disk fails."""
    _begun(trial, 0.3)
    call, number = random_call(trial.rng, trial.undisturbed.calls, ("fsync", "rename", "mkdir", "unlink", "rmdir"))
    error = trial.rng.choice(("ENOSPC", "EIO", "EDQUOT", "EROFS"))
    trial.what.append(f"{call} number {number} fails with {error}")
    run = trial.start(held=True)
    tracer = machine.Tracer(run.pid, f"{call}:error={error}:when={number}")
    run.begin()
    end = run.end()
    tracer.wait()
    _then_right(trial, end)


def storage_that_hiccups(trial: Trial) -> None:
    """Reading a file of the inputs fails once, or always."""
    files = sorted(path for path in _read(trial).rglob("*") if path.is_file())
    path, once = trial.rng.choice(files or [trial.disk]), trial.rng.random() < 0.5
    call = trial.rng.choice(("openat", "read"))
    error = trial.rng.choice(("EIO", "ESTALE", "ETIMEDOUT") if call == "openat" else ("EIO", "ESTALE"))
    name = path.relative_to(trial.folder)
    trial.what.append(f"{call} of {name} fails with {error} {'once' if once else 'always'}")
    run = trial.start(held=True)
    tracer = machine.Tracer(run.pid, f"{call}:error={error}:when={1 if once else '1+'}", path=name)
    run.begin()
    end = run.end()
    tracer.wait()
    _then_right(trial, end)


def damaged_input(trial: Trial) -> None:
    """A file of the inputs is damaged, and restored afterwards."""
    folder = _read(trial)
    if not folder.exists():
        return damaged_output(trial)
    sound = trial.folder / "sound"
    shutil.copytree(folder, sound)
    damaged = damage(folder, trial.rng)
    if damaged is None:
        return trial.must_be_right(trial.run(), "nothing")
    what, path = damaged
    trial.what.append(f"{path.relative_to(trial.folder)}: {what}")
    end = trial.run()
    trial.must_be_honest(end)
    _judge_damage(trial, end, what, path)
    shutil.rmtree(folder)
    sound.rename(folder)
    if trial.subject.begun is None:
        shutil.rmtree(trial.disk)  # it holds the result of other inputs
        trial.disk.mkdir()
    trial.what.append(f"exit code {end.code}")
    trial.must_be_right(trial.run(), f"after {'; '.join(trial.what)}")
    return None


def _judge_damage(trial: Trial, end: End, what: str, path: Path) -> None:
    """Damage that matters must be reported; damage that does not matter must not change the result."""
    name = path.relative_to(trial.folder).as_posix()
    if what == "nothing" or end.code == REFUSED:
        return
    if trial.subject.tells and _PAGES & set(path.parts):
        return  # users may change these pages
    if trial.subject.name == "verify":
        if end.code != 1:
            raise Broken("silent", f"verify passes {name}: {what}: {end.out.strip()[-300:]}")
        return
    if name.startswith("in/pictures/") or name.startswith("in/scans/") or name.startswith("in/videos/"):
        return  # other pictures make another data set; unreadable ones are quarantined
    if end.code != trial.undisturbed.code and (trial.subject.tells or _is_in(end.out + end.err, path)):
        return
    if differences := trial.differences(end):
        raise Broken("silent", f"{name}: {what}: exit code {end.code}, but other: {', '.join(differences[:5])}")


def _is_in(text: str, path: Path) -> bool:
    """Whether a text names a file, or the sequence to which it belongs."""
    return any(part in text for part in (path.name, path.parent.name, path.parent.parent.name))


def damaged_output(trial: Trial) -> None:
    """A file is damaged in a finished result or in what a killed run left; then the same command runs again."""
    if trial.subject.begun is not None:
        return damaged_input(trial)
    if trial.rng.random() < 0.5:
        trial.must_be_right(trial.run(), "nothing")
    else:
        _begun(trial, 1.0)
    damaged = damage(trial.disk, trial.rng)
    what, path = damaged if damaged is not None else ("nothing", trial.disk)
    trial.what.append(f"{path.relative_to(trial.folder)}: {what}")
    end = trial.run()
    trial.must_be_honest(end)
    trial.what.append(f"exit code {end.code}")
    if end.code != REFUSED:
        if end.code != trial.undisturbed.code:
            raise Broken("unclear", f"{'; '.join(trial.what)}: {(end.out + end.err).strip()[-300:]}")
        # A run reports a damaged log and continues, because the weights do not depend on it.
        is_reported_log = path.name == "log.jsonl" and f"{path.name}: not what was written" in end.err
        # A README that differs from the generated one counts as the user's own, and is not overwritten.
        is_readers_card = path.name == README and trial.differences(end) == [README]
        if (differences := trial.differences(end)) and not is_reported_log and not is_readers_card:
            raise Broken("silent", f"{'; '.join(trial.what)}, but other: {', '.join(differences[:5])}")
    return None


def _read(trial: Trial) -> Path:
    """The folder that the command reads."""
    return trial.out if trial.subject.begun is not None else trial.folder / "in"


FAULTS: dict[str, Fault] = {
    "stopped and continued": stopped,
    "told to stop": told_to_stop,
    "two at once": two_at_once,
    "full disk": full_disk,
    "files cut short by a quota": short_files,
    "read-only disk": read_only_mount,
    "folder that may not be written": forbidden_folder,
    "file that may not be read": forbidden_file,
    "few file handles": few_handles,
    "no /dev/shm": no_shared_memory,
    "clock jumps": clock_jumps,
    "failing system call": failing_call,
    "storage that hiccups": storage_that_hiccups,
    "damaged input": damaged_input,
    "damaged output": damaged_output,
}
_NEED_MOUNTS = {"full disk", "read-only disk", "no /dev/shm"}
_NEED_STRACE = {"failing system call", "storage that hiccups"}
_SHARES = {"damaged input": 4.0, "damaged output": 4.0}


def possible_faults() -> dict[str, float]:
    """Name -> share of each fault that is possible on this machine."""
    impossible = (set() if machine.can_mount() else _NEED_MOUNTS) | (set() if machine.can_trace() else _NEED_STRACE)
    return {name: _SHARES.get(name, 1.0) for name in FAULTS if name not in impossible}
