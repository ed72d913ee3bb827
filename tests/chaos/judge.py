"""One attempt: a command in a folder of its own, what is done to it, and whether its promises held."""

import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.chaos.commands import OUT, Subject
from tests.chaos.results import Kept, Result, all_files
from tests.chaos.running import FIRST_RUN_S, HUNG, End, Running

REFUSED, PARTIAL = 2, 3
_TRACEBACK = "Traceback (most recent call last)"
_LOST_RANK = "multiprocessing.errors.ChildFailedError"
_ORPHANS_S = 12.0  # a data worker of torch checks every five seconds whether its parent is alive

Breach = Literal["lost", "repeated", "silent", "traceback", "unclear", "hung", "left behind"]


class Broken(Exception):
    """A promise that did not hold."""

    def __init__(self, breach: Breach, why: str) -> None:
        self.breach, self.why = breach, why
        super().__init__(f"{breach}: {why}")


@dataclass(frozen=True, kw_only=True)
class Undisturbed:
    """An undisturbed run of a command: its exit code, its result, its wall seconds, and counts of its system calls."""

    code: int
    result: Result
    took_s: float
    calls: dict[str, int]


class Trial:
    """The folder of a command, and the record of what has happened in it.

    Attributes:
        what: descriptions of what has been done so far, for the record.
        kills: number of runs that were killed at work.
    """

    def __init__(self, folder: Path, inputs: Path, subject: Subject, undisturbed: Undisturbed, rng: random.Random):
        self.folder, self.subject, self.undisturbed, self.rng = folder, subject, undisturbed, rng
        self.what: list[str] = []
        self.kills = 0
        self._runs: list[Running] = []
        self._kept: dict[str, tuple[int, int]] = {}
        self._begun: Result = {}
        folder.mkdir(parents=True)
        for need in subject.needs:
            shutil.copytree(inputs / need, folder / "in" / need)
        self.disk.mkdir()
        if subject.begun is not None:
            shutil.copytree(inputs / subject.begun, self.out)
        self._inputs_before = self._inputs()

    @property
    def disk(self) -> Path:
        """The folder that the command writes to."""
        return self.folder / "disk"

    @property
    def out(self) -> Path:
        """The folder that the command makes."""
        return self.folder / OUT

    def start(self, prepare: Callable[[], None] | None = None, *, held: bool = False) -> Running:
        """Begin a run."""
        run = Running(self.subject.words, self.folder, prepare, held=held)
        self._runs.append(run)
        return run

    def run(self, prepare: Callable[[], None] | None = None) -> End:
        """Run the command to its end."""
        return self.start(prepare).end()

    def moment_s(self) -> float:
        """A random moment within the seconds of an undisturbed run."""
        return self.rng.uniform(0.0, self.undisturbed.took_s)

    def note_kept(self) -> None:
        """Note what is committed now: it must stay."""
        if self.out.is_dir():
            self._kept.update(self._still_kept())

    def _still_kept(self) -> Kept:
        return self.subject.kept(self.out)

    def is_right(self, end: End) -> bool:
        """Whether a run ended like an undisturbed one, with the same exit code and result."""
        return end.code == self.undisturbed.code and not self.differences(end)

    def differences(self, end: End) -> list[str]:
        """Names of the parts of the result that differ from those of an undisturbed run."""
        try:
            result = self.result(end)
        except (OSError, ValueError, KeyError) as error:
            return [f"cannot be read: {error}"]
        wanted = self.undisturbed.result
        return sorted(name for name in result.keys() | wanted.keys() if result.get(name) != wanted.get(name))

    def result(self, end: End) -> Result:
        """What the command made, or what it printed if that is its result."""
        return {"said": end.out} if self.subject.tells else self.subject.result(self.out)

    def must_be_right(self, end: End, after: str) -> None:
        """Check that the command ended like an undisturbed one.

        Raises:
            Broken: if not.
        """
        self.must_be_honest(end)
        if end.code == REFUSED:
            raise Broken("lost", f"{after}, the same command is refused: {end.err.strip()[-300:]}")
        if end.code != self.undisturbed.code:
            raise Broken("unclear", f"{after}, exit code {end.code}: {(end.out + end.err).strip()[-300:]}")
        if self.subject.begun is None and (stale := sorted(self.disk.rglob(".*.tmp"))):
            raise Broken("left behind", f"{after}: {stale[0].relative_to(self.folder)}")
        if differences := self.differences(end):
            raise Broken("silent", f"{after}, exit code {end.code}, but other: {', '.join(differences[:5])}")
        self._must_have_kept()

    def must_be_honest(self, end: End) -> None:
        """Check that the command ended, without a traceback, and with one line of explanation if it refused.

        Raises:
            Broken: if not.
        """
        if end.code == HUNG:
            raise Broken("hung", f"{end.took_s:.0f} s: {(end.out + end.err).strip()[-300:]}")
        if self.lost_a_worker(end) and end.err.count(_TRACEBACK) == end.err.count(_LOST_RANK):
            return
        if _TRACEBACK in end.out + end.err:
            raise Broken("traceback", end.err.strip()[-1500:])
        errors = [line for line in end.err.splitlines() if line.startswith("error: ")]
        if end.code == REFUSED and len(errors) != 1:
            raise Broken("unclear", f"exit code 2 with {len(errors)} lines that say why: {end.err.strip()[-300:]}")
        if end.code not in (0, REFUSED, PARTIAL, -9) and not (self.subject.tells and end.code == 1):
            raise Broken("unclear", f"exit code {end.code}: {(end.out + end.err).strip()[-300:]}")

    def lost_a_worker(self, end: End) -> bool:
        """Whether the command reported the loss of one of its processes, and ended without that one's work."""
        if self.subject.launched:
            return end.code == 1 and _LOST_RANK in end.err
        return end.code == PARTIAL and "worker lost" in end.out

    def _must_have_kept(self) -> None:
        now = self._still_kept()
        for path, identity in self._kept.items():
            if path not in now:
                raise Broken("lost", path)
            if now[path] != identity:
                raise Broken("repeated", f"{path} was committed, and made again")

    def close(self) -> None:
        """Check that no process is left, and that the inputs are unchanged.

        Raises:
            Broken: if not.
        """
        for run in self._runs:
            if left := run.left_after(_ORPHANS_S):
                raise Broken("left behind", f"a process: {left[0][:200]}")
        if self._inputs() != self._inputs_before:
            raise Broken("lost", "inputs were changed")

    def forget_inputs(self) -> None:
        """Note the inputs as they are now, after the trial itself has changed them: they must stay."""
        self._inputs_before = self._inputs()

    def _inputs(self) -> Result:
        return all_files(self.folder / "in") if (self.folder / "in").exists() else {}


@contextmanager
def trial(
    folder: Path, inputs: Path, subject: Subject, undisturbed: Undisturbed, rng: random.Random
) -> Iterator[Trial]:
    """A trial in a new folder, which is removed if all promises held, and otherwise stays for inspection."""
    shutil.rmtree(folder, ignore_errors=True)
    attempt = Trial(folder, inputs, subject, undisturbed, rng)
    yield attempt
    attempt.close()
    shutil.rmtree(folder)


def undisturbed(
    folder: Path, inputs: Path, subject: Subject, calls: Callable[[Running], dict[str, int]]
) -> Undisturbed:
    """Run a command twice: the second time with warm caches, when it must give the same result.

    Raises:
        Broken: if the two results differ, or if a run fails.
    """
    ends = []
    results: list[Result] = []
    for _ in range(2):
        shutil.rmtree(folder, ignore_errors=True)
        attempt = Trial(folder, inputs, subject, Undisturbed(code=0, result={}, took_s=0, calls={}), random.Random(0))
        ends.append(attempt.start().end(FIRST_RUN_S))
        attempt.must_be_honest(ends[-1])
        results.append(attempt.result(ends[-1]))
        attempt.close()
    if ends[1].code == REFUSED or ends[0].code != ends[1].code or results[0] != results[1]:
        names = [name for name in results[0] if results[0][name] != results[1].get(name)]
        raise Broken("silent", f"{subject.name} undisturbed: {ends[1].code}, {names[:5]}: {ends[1].err[-500:]}")
    shutil.rmtree(folder, ignore_errors=True)
    attempt = Trial(folder, inputs, subject, Undisturbed(code=0, result={}, took_s=0, calls={}), random.Random(0))
    counted = calls(attempt.start(held=True))
    shutil.rmtree(folder)
    return Undisturbed(code=ends[1].code, result=results[1], took_s=ends[1].took_s, calls=counted)
