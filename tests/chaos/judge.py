"""One attempt: a command in a folder of its own, what is done to it, and whether what was promised held."""

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
_ORPHANS_S = 12.0  # torch looks every five seconds whether a reader's trainer lives

Breach = Literal["lost", "repeated", "silent", "traceback", "unclear", "hung", "left behind"]


class Broken(Exception):
    """A promise that did not hold."""

    def __init__(self, breach: Breach, why: str) -> None:
        self.breach, self.why = breach, why
        super().__init__(f"{breach}: {why}")


@dataclass(frozen=True, kw_only=True)
class Undisturbed:
    """A command that nobody disturbed: its exit code, its result, seconds it takes, and system calls it makes."""

    code: int
    result: Result
    took_s: float
    calls: dict[str, int]


class Trial:
    """A command's folder, and everything that is known of what has happened in it.

    Attributes:
        what: done to it so far, in words, for the record.
        kills: how many runs were killed at work.
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
        self._given = self._inputs()

    @property
    def disk(self) -> Path:
        """What the command writes to."""
        return self.folder / "disk"

    @property
    def out(self) -> Path:
        """The folder that it makes."""
        return self.folder / OUT

    def start(self, prepare: Callable[[], None] | None = None, *, held: bool = False) -> Running:
        """Begin a run."""
        run = Running(self.subject.words, self.folder, prepare, held=held)
        self._runs.append(run)
        return run

    def run(self, prepare: Callable[[], None] | None = None) -> End:
        """A run, to its end."""
        return self.start(prepare).end()

    def moment_s(self) -> float:
        """A moment of an undisturbed run."""
        return self.rng.uniform(0.0, self.undisturbed.took_s)

    def note_kept(self) -> None:
        """From here on, what is committed now must stay."""
        if self.out.is_dir():
            self._kept.update(self._still_kept())

    def _still_kept(self) -> Kept:
        return self.subject.kept(self.out)

    def is_right(self, end: End) -> bool:
        """Whether a run ended as an undisturbed one, with the same result."""
        return end.code == self.undisturbed.code and not self.differences(end)

    def differences(self, end: End) -> list[str]:
        """Names of what is not as in an undisturbed run."""
        try:
            result = self.result(end)
        except (OSError, ValueError, KeyError) as error:
            return [f"cannot be read: {error}"]
        wanted = self.undisturbed.result
        return sorted(name for name in result.keys() | wanted.keys() if result.get(name) != wanted.get(name))

    def result(self, end: End) -> Result:
        """What the command made, or said."""
        return {"said": end.out} if self.subject.tells else self.subject.result(self.out)

    def must_be_right(self, end: End, after: str) -> None:
        """The command ended as if nobody had disturbed it.

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
        """However it ended: it ended, and not in a traceback; what it refused it said in one line.

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
        """It says that one of its processes was lost, and ended without the work of that one."""
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
        """See that no process is left, and that nothing of the user's was touched.

        Raises:
            Broken: if not.
        """
        for run in self._runs:
            if left := run.left_after(_ORPHANS_S):
                raise Broken("left behind", f"a process: {left[0][:200]}")
        if self._inputs() != self._given:
            raise Broken("lost", "inputs were changed")

    def forget_inputs(self) -> None:
        """The inputs were changed by us: what they are now must stay."""
        self._given = self._inputs()

    def _inputs(self) -> Result:
        return all_files(self.folder / "in") if (self.folder / "in").exists() else {}


@contextmanager
def trial(
    folder: Path, inputs: Path, subject: Subject, undisturbed: Undisturbed, rng: random.Random
) -> Iterator[Trial]:
    """A trial in a new folder, which goes when all was well and stays to be looked at when not."""
    shutil.rmtree(folder, ignore_errors=True)
    one = Trial(folder, inputs, subject, undisturbed, rng)
    yield one
    one.close()
    shutil.rmtree(folder)


def undisturbed(
    folder: Path, inputs: Path, subject: Subject, calls: Callable[[Running], dict[str, int]]
) -> Undisturbed:
    """Run a command twice: the second time its caches are warm, and it must do the same.

    Raises:
        Broken: if it does not do the same twice, or fails.
    """
    ends = []
    results: list[Result] = []
    for _ in range(2):
        shutil.rmtree(folder, ignore_errors=True)
        one = Trial(folder, inputs, subject, Undisturbed(code=0, result={}, took_s=0, calls={}), random.Random(0))
        ends.append(one.start().end(FIRST_RUN_S))
        one.must_be_honest(ends[-1])
        results.append(one.result(ends[-1]))
        one.close()
    if ends[1].code == REFUSED or ends[0].code != ends[1].code or results[0] != results[1]:
        names = [name for name in results[0] if results[0][name] != results[1].get(name)]
        raise Broken("silent", f"{subject.name} undisturbed: {ends[1].code}, {names[:5]}: {ends[1].err[-500:]}")
    shutil.rmtree(folder, ignore_errors=True)
    one = Trial(folder, inputs, subject, Undisturbed(code=0, result={}, took_s=0, calls={}), random.Random(0))
    counted = calls(one.start(held=True))
    shutil.rmtree(folder)
    return Undisturbed(code=ends[1].code, result=results[1], took_s=ends[1].took_s, calls=counted)
