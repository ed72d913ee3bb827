"""Reads and writes attempts, one JSON object a line, and makes a table of them."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

SOUND = "sound"


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """An attempt and its outcome.

    Attributes:
        name: such as `kill-17`; with the seed it determines all random choices.
        seed: seed of the series.
        command, fault: the command, and what was done to it.
        what: details of what was done.
        kills: number of runs that were killed at work.
        outcome: `sound`, or the promise that did not hold.
        why: the observation, if a promise did not hold.
        took_s: wall seconds.
    """

    name: str
    seed: int
    command: str
    fault: str
    what: str
    kills: int
    outcome: str
    why: str
    took_s: float


def read_attempts(path: Path) -> list[Attempt]:
    """The attempts of a file; of an attempt that was made several times, the last one."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    attempts = [Attempt(**json.loads(line)) for line in lines if line.endswith("\n")]
    return list({attempt.name: attempt for attempt in attempts}.values())


def add_attempt(path: Path, attempt: Attempt) -> None:
    """Append an attempt to a file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(attempt)) + "\n")


def table(attempts: Sequence[Attempt]) -> str:
    """A text table of kills by command, faults by kind, and promises that did not hold."""
    kills = [attempt for attempt in attempts if attempt.fault == "kill"]
    faults = [attempt for attempt in attempts if attempt.fault != "kill"]
    parts = [
        _rows(("killed command", "attempts", "kills", "broken"), kills, lambda attempt: attempt.command),
        _rows(("fault", "attempts", "kills", "broken"), faults, lambda attempt: attempt.fault),
        _rows(("command under faults", "attempts", "kills", "broken"), faults, lambda attempt: attempt.command),
    ]
    outcomes = Counter(attempt.outcome for attempt in attempts)
    seeds = ", ".join(str(seed) for seed in sorted({attempt.seed for attempt in attempts}))
    parts.append(
        f"seeds {seeds}: {sum(attempt.kills for attempt in attempts)} kills, {len(faults)} faults; "
        + ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
    )
    parts += [
        f"{attempt.name} (seed {attempt.seed}), {attempt.command}, {attempt.fault}: {attempt.what}\n"
        f"    {attempt.outcome}: {attempt.why}"
        for attempt in attempts
        if attempt.outcome != SOUND
    ]
    return "\n\n".join(part for part in parts if part)


def _rows(head: Sequence[str], attempts: Iterable[Attempt], by: Callable[[Attempt], str]) -> str:
    groups: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        groups.setdefault(by(attempt), []).append(attempt)
    rows = [
        (name, len(group), sum(attempt.kills for attempt in group), sum(attempt.outcome != SOUND for attempt in group))
        for name, group in sorted(groups.items())
    ]
    if not rows:
        return ""
    attempts_made, kills, broken = (sum(values) for values in zip(*(row[1:] for row in rows), strict=True))
    rows.append(("all", attempts_made, kills, broken))
    return "\n".join(f"{row[0]:<32}" + "".join(f"{value:>10}" for value in row[1:]) for row in (tuple(head), *rows))
