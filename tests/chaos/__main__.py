"""Kill and disturb commands, at random but by seed, and see that nothing is lost, repeated or silent.

    python -m tests.chaos --kills 1000 --faults 1000 --seed 1     # goes on where it was; tries again what failed
    python -m tests.chaos --seconds 3600 --seed 7
    python -m tests.chaos --seed 1 --only fault-17                # one attempt again; its folder stays if it fails

Exit code 0: everything that was promised held; 1: something did not, and is listed.
"""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"  # a process with threads cannot be forked
os.environ.update(CUDA_VISIBLE_DEVICES="", RAY_USAGE_STATS_ENABLED="0", HF_HUB_OFFLINE="1")

import argparse  # noqa: E402
import random  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Generator, Sequence  # noqa: E402
from pathlib import Path  # noqa: E402

import cv2  # noqa: E402

from tests.chaos.commands import SUBJECTS, Subject  # noqa: E402
from tests.chaos.faults import FAULTS, possible_faults  # noqa: E402
from tests.chaos.inputs import make_inputs  # noqa: E402
from tests.chaos.judge import Broken, Undisturbed, trial, undisturbed  # noqa: E402
from tests.chaos.kills import kill_again_and_again  # noqa: E402
from tests.chaos.machine import Tracer, call_counts, can_trace  # noqa: E402
from tests.chaos.running import Running, adopt_orphans  # noqa: E402
from tests.chaos.table import SOUND, Attempt, add_attempt, read_attempts, table  # noqa: E402


class Workshop:
    """The folder of all attempts, and the results of undisturbed commands."""

    def __init__(self, root: Path, subjects: Sequence[Subject]) -> None:
        self.root = root.resolve()
        self._undisturbed: dict[str, Undisturbed] = {}
        make_inputs(self.root, subjects)

    def undisturbed(self, subject: Subject) -> Undisturbed:
        """The result of a command without disturbance, measured once."""
        if subject.name not in self._undisturbed:
            self._undisturbed[subject.name] = undisturbed(
                self.root / "undisturbed", self.root / "in", subject, self._calls
            )
        return self._undisturbed[subject.name]

    def _calls(self, run: Running) -> dict[str, int]:
        counts = self.root / "calls.txt"
        tracer = Tracer(run.pid, count=counts) if can_trace() else None
        run.begin()
        run.end()
        if tracer is None:
            return {}
        tracer.wait()
        return call_counts(counts)

    def attempt(self, name: str, seed: int, subjects: Sequence[Subject], faults: dict[str, float]) -> Attempt:
        """Make one attempt; its name and the seed determine all random choices."""
        rng = random.Random(f"{seed} {name}")
        (subject,) = rng.choices(subjects, [subject.share for subject in subjects])
        (fault,) = ("kill",) if name.startswith("kill") else rng.choices(list(faults), list(faults.values()))
        start, outcome, why, what, kills = time.monotonic(), SOUND, "", "", 0
        try:
            folder, inputs, expected = self.root / "now" / f"{seed}-{name}", self.root / "in", self.undisturbed(subject)
            with trial(folder, inputs, subject, expected, rng) as running:
                try:
                    (kill_again_and_again if fault == "kill" else FAULTS[fault])(running)
                finally:
                    what, kills = "; ".join(running.what), running.kills
        except Broken as broken:
            outcome, why = broken.breach, broken.why
        return Attempt(
            name=name, seed=seed, command=subject.name, fault=fault, what=what, kills=kills, outcome=outcome, why=why,
            took_s=round(time.monotonic() - start, 2),
        )  # fmt: skip


def _names(options: argparse.Namespace, done: Sequence[Attempt]) -> Generator[str, Attempt, None]:
    """Names of attempts to make, kills and faults in turn, until there are enough or the time is over."""
    kills = sum(attempt.kills for attempt in done if attempt.fault == "kill")
    names, number, start = {attempt.name for attempt in done}, 0, time.monotonic()
    faults = sum(attempt.fault != "kill" for attempt in done)
    while time.monotonic() - start < options.seconds if options.seconds else True:
        names_of_round = [
            f"{kind}-{number}"
            for kind, enough in (("kill", kills >= options.kills), ("fault", faults >= options.faults))
            if options.seconds or not enough
        ]
        if not names_of_round:
            return
        for name in names_of_round:
            if name not in names:
                attempt = yield name
                kills += attempt.kills if attempt.fault == "kill" else 0
                faults += attempt.fault != "kill"
        number += 1


def main() -> int:
    """Make the attempts and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000, help="runs to kill at work")
    parser.add_argument("--faults", type=int, default=1000, help="other faults")
    parser.add_argument("--seconds", type=float, default=0.0, help="instead of numbers: how long")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="one attempt, such as fault-17")
    parser.add_argument("--commands", help="only these, by a comma")
    parser.add_argument("--out", type=Path, default=Path("outputs/chaos"), help="where everything happens")
    options = parser.parse_args()
    names = set(options.commands.split(",")) if options.commands else {subject.name for subject in SUBJECTS}
    if unknown := names - {subject.name for subject in SUBJECTS}:
        parser.error(f"--commands: {', '.join(sorted(unknown))}; allowed: {', '.join(one.name for one in SUBJECTS)}")
    adopt_orphans()
    cv2.setNumThreads(1)
    subjects = [subject for subject in SUBJECTS if subject.name in names]
    workshop = Workshop(options.out, subjects)
    records = workshop.root / f"attempts-{options.seed}.jsonl"
    if options.only:
        attempt = workshop.attempt(options.only, options.seed, subjects, possible_faults())
        print(table([attempt]))
        return int(attempt.outcome != SOUND)
    attempts = [attempt for attempt in read_attempts(records) if attempt.outcome == SOUND]  # failed ones are made again
    names_to_try = _names(options, attempts)
    name = next(names_to_try, None)
    while name is not None:
        attempt = workshop.attempt(name, options.seed, subjects, possible_faults())
        add_attempt(records, attempt)
        attempts.append(attempt)
        print(f"{attempt.name} {attempt.command}, {attempt.fault}: {attempt.what}: {attempt.outcome}", flush=True)
        try:
            name = names_to_try.send(attempt)
        except StopIteration:
            name = None
    print(table(attempts))
    return int(any(attempt.outcome != SOUND for attempt in attempts))


if __name__ == "__main__":
    sys.exit(main())
