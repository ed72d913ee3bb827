"""How fast a stage trains on this machine, and in how much memory, eager and compiled.

    python -m benchmarks.train stage=motion model=tiny data=DIR base=DIR
    python -m benchmarks.train --steps 60 stage=motion model=sd15 model.path=DIR data=DIR precision=bf16 batch_size=1
    python -m benchmarks.train --ways eager stage=motion model=tiny data=DIR base=DIR
    CUDA_VISIBLE_DEVICES= python -m benchmarks.train ...        # on the CPU of a machine with a GPU

The key=value arguments are those of `training.train`. Each way runs in a process of its own. The figures are those of
the second half of its steps, when kernels have been compiled and workers have read ahead.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from benchmarks.command_line import from_1, run_benchmark

WAYS = {"eager": "compile=false", "compiled": "compile=true"}
COLUMNS = {
    "samples/s": "perf/samples_per_s",
    "frames/s": "perf/frames_per_s",
    "step s": "perf/step_s",
    "peak GiB": "perf/peak_memory_gib",
    "data-wait": "perf/data_wait_share",
    "TFLOP/s": "perf/tflops_per_device",
    "MFU": "perf/mfu",
}


def main() -> int:
    """Run both ways and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=from_1, default=40, help="of each way, an even number")
    parser.add_argument("--ways", type=_ways, default=list(WAYS), help=f"some of {','.join(WAYS)}; both by default")
    parser.add_argument("words", nargs="*", metavar="key=value", help="as for training.train")
    arguments = parser.parse_intermixed_args()
    print(f"{'':>10}" + "".join(f"{name:>12}" for name in COLUMNS))
    losses = {}
    for way in arguments.ways:
        lines = _run([*arguments.words, WAYS[way]], arguments.steps)
        if lines is None:
            return 1
        row = [lines[-1].get(key) for key in COLUMNS.values()]
        print(f"{way:>10}" + "".join(f"{'-' if value is None else format(value, '.4g'):>12}" for value in row))
        losses[way] = [line["train/loss"] for line in lines]
    if len(losses) == 2:
        eager, compiled = losses.values()
        difference = max(abs(one - other) / abs(one) for one, other in zip(eager, compiled, strict=True))
        print(f"losses of {arguments.steps} steps, compiled against eager: at most {difference:.2e} apart, relatively")
    return 0


def _ways(text: str) -> list[str]:
    ways = text.split(",")
    if not set(ways) <= WAYS.keys():
        raise argparse.ArgumentTypeError(f"{text}: not some of {', '.join(WAYS)}, with a comma between")
    return ways


def _run(overrides: list[str], steps: int) -> list[dict[str, Any]] | None:
    """Train in a temporary folder; returns two lines of the log, one for each half of the steps, or None on failure."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        run_overrides = [
            f"out={out}", f"max_steps={steps}", f"log_every={steps // 2}", f"checkpoint_every={steps}",
            "validate_every=0", "sample_every=0", "tracker=none",
        ]  # fmt: skip
        completed = subprocess.run(
            [sys.executable, "-m", "training.train", *overrides, *run_overrides], capture_output=True, text=True
        )
        if completed.returncode:
            print(completed.stderr, file=sys.stderr)
            return None
        return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


if __name__ == "__main__":
    run_benchmark(main)
