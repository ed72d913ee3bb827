"""Throw hostile bytes at every reader for a while.

    FUZZ_SECONDS=600 python -m tests.fuzz [TARGET ...]
    FUZZ_SEED=12345 python -m tests.fuzz TARGET          # the same again
    python -m tests.fuzz --file FILE TARGET              # one file that was kept

Every target has a process of its own, which gets an equal share of the time and 3 GB of memory; a crash of a library
ends only that one. What fails is told with its seed, and the smallest file that fails is kept in `outputs/fuzz`.
"""

import contextlib
import faulthandler
import hashlib
import os
import random
import resource
import subprocess
import sys
import time
import traceback
import warnings
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

_MEMORY_BYTES = 3 * 2**30
_ROUND = 200  # examples between two looks at the clock
_FAILED_FILES = Path("outputs/fuzz")


def _fuzz(name: str, seconds: float, first_seed: int) -> int:
    """Fuzz one target in this process; returns the exit code."""
    from tests.fuzz.targets import TARGETS

    target, num_tried, current = TARGETS[name], 0, b""
    target.prepare()
    current_file = _FAILED_FILES / f"{name}.last"
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY_BYTES, _MEMORY_BYTES))
    end = time.monotonic() + seconds
    for number in range(first_seed, first_seed + 1_000_000):

        @seed(number)
        @settings(
            max_examples=_ROUND, database=None, deadline=None, suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink), print_blob=False,
        )  # fmt: skip
        @given(target.files())
        def one_round(data: bytes) -> None:
            nonlocal num_tried, current
            num_tried, current = num_tried + 1, data
            current_file.write_bytes(data)  # so that the file is there after a crash of the process
            target.stands(data)

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                one_round()
        except BaseException as error:
            failed_file = _FAILED_FILES / f"{name}-{hashlib.sha256(current).hexdigest()[:12]}.bin"
            failed_file.write_bytes(current)
            print("".join(traceback.format_tb(error.__traceback__)[-8:]))
            reason = " ".join(str(error).split())[:300]
            print(f"{name}: FAILED with FUZZ_SEED={number} after {num_tried} files: {type(error).__name__} ({reason})")
            print(f"kept: {failed_file}", flush=True)
            return 1
        if time.monotonic() > end:
            current_file.unlink(missing_ok=True)
            print(f"{name}: {num_tried} files, seeds {first_seed} to {number}", flush=True)
            return 0
    return 0


def main(names: list[str]) -> int:
    """Fuzz the named targets, or all, one after the other."""
    from tests.fuzz.targets import TARGETS

    chosen = names or sorted(TARGETS)
    seconds = float(os.environ.get("FUZZ_SECONDS", "600")) / len(chosen)
    first_seed = int(os.environ.get("FUZZ_SEED") or random.SystemRandom().randrange(2**31))
    print(f"{len(chosen)} targets, {seconds:.0f} s each, FUZZ_SEED={first_seed}", flush=True)
    _FAILED_FILES.mkdir(parents=True, exist_ok=True)
    failed = []
    for name in chosen:
        command = [
            sys.executable,
            "-X",
            "faulthandler",
            "-m",
            "tests.fuzz",
            "--one",
            name,
            str(seconds),
            str(first_seed),
        ]
        completed = subprocess.run(command, stderr=subprocess.PIPE, check=False)
        if completed.returncode:
            if completed.returncode < 0:  # a crash: faulthandler says where
                sys.stderr.write(completed.stderr.decode(errors="replace")[-6000:])
                print(f"{name}: exit code {completed.returncode}; the file is {_FAILED_FILES / name}.last", flush=True)
            failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "all stand", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        faulthandler.enable()
        with contextlib.suppress(KeyboardInterrupt):
            sys.exit(_fuzz(sys.argv[2], float(sys.argv[3]), int(sys.argv[4])))
    if sys.argv[1:2] == ["--file"]:
        from tests.fuzz.targets import TARGETS

        TARGETS[sys.argv[3]].stands(Path(sys.argv[2]).read_bytes())
        sys.exit(0)
    sys.exit(main(sys.argv[1:]))
