"""The main job: what each phase takes, what everything but rendering adds, and how it scales with workers.

    python -m benchmarks.synth [--sequences 96] [--preset std] [--pictures DIR]

Rendering is painting and replaying the frames. The last column is a phase's share of that.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from benchmarks.command_line import from_1, pictures_in, run_benchmark
from benchmarks.yardstick import yardstick_s
from conf.compose import compose
from pipelines.synthesis.cluster import num_workers, render_shards
from pipelines.synthesis.config import SynthConfig, synth_config
from pipelines.synthesis.run_config import ClusterConfig
from pipelines.synthesis.plan import make_plan
from pipelines.synthesis.shard import ShardReport
from pipelines.synthesis.sequence import RenderSettings
from training.data.layout import shards_folder, timings_folder

_SHARD_SIZE = 4


def main() -> None:
    """Run and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=from_1, default=96)
    parser.add_argument("--preset", default="std", choices=["fast", "std", "best"])
    parser.add_argument("--pictures", type=Path, help="paint the pictures of this folder instead of scenes")
    arguments = parser.parse_args()
    source = ["source=scenes"]
    if arguments.pictures is not None and pictures_in(arguments.pictures):  # else Ray would start for nothing
        source = ["source=folder", f"source.path={arguments.pictures}"]
    overrides = [
        *source,
        "renderer=bezier",
        f"renderer.preset={arguments.preset}",
        f"num_sequences={arguments.sequences}",
    ]
    config = synth_config(compose("synth", overrides))
    list(_reports(synth_config(compose("synth", [*overrides[:-1], "num_sequences=2"])), "inline", 1))  # compile
    print(f"yardstick {min(yardstick_s() for _ in range(3)):.3f} CPU-s; ", end="")
    print(f"{arguments.sequences} sequences, 256 px, 8 frames, {arguments.preset}\n")
    _print_phases(config)
    print()
    print_scaling(overrides[:-1], arguments.sequences)


def print_scaling(overrides: list[str], num_sequences: int) -> None:
    """Sequences a second with one Ray worker and with two."""
    config = synth_config(compose("synth", [*overrides, f"num_sequences={num_sequences}"]))
    rates = {workers: _rate(config, workers) for workers in (1, 2) if workers <= num_workers(None)}
    for workers, rate in rates.items():
        print(f"{workers} Ray workers: {rate:6.2f} sequences/s, {rate / rates[1]:.2f} times one")


def _print_phases(config: SynthConfig) -> None:
    """Print wall milliseconds of each phase in one process; orchestration is the time outside of all phases."""
    assert config.num_sequences is not None
    seconds: dict[str, float] = {}
    start = time.perf_counter()
    for report in _reports(config, "inline", 1):
        for phase, spent in report.seconds.items():
            seconds[phase] = seconds.get(phase, 0.0) + spent
    seconds["orchestration"] = time.perf_counter() - start - sum(seconds.values())
    bare_s = seconds["paint"] + seconds["frames"]
    for phase, spent in seconds.items():
        print(f"{phase:>14} {1e3 * spent / config.num_sequences:8.2f} ms a sequence {100 * spent / bare_s:7.1f} %")
    added_s = sum(seconds[phase] for phase in ("encode", "write", "orchestration"))
    print(f"encoding, writing and orchestration add {100 * added_s / bare_s:.1f} % to bare rendering   target 15 %")


def _rate(config: SynthConfig, workers: int) -> float:
    """Sequences per second on Ray, measured after as many shards to warm up as there are workers."""
    counted, start = 0, 0.0
    for number, report in enumerate(_reports(config, "local", workers)):
        counted += report.num_samples if number >= workers else 0
        if number == workers - 1:
            start = time.perf_counter()
    return counted / (time.perf_counter() - start)


def _reports(config: SynthConfig, kind: Literal["local", "inline"], workers: int) -> Iterator[ShardReport]:
    """Make the data set in a temporary folder, and yield the report of each shard."""
    entries = config.source.index(config.num_sequences)
    plan = make_plan(entries, [1.0], config.num_sequences, _SHARD_SIZE, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        shards_folder(root).mkdir()
        timings_folder(root).mkdir()
        settings = RenderSettings(
            root=root, source=config.source, renderers=config.renderers, framing=config.framing,
            schedule=config.schedule, frame_format=config.frame_format, seed=config.seed, config_hash="",
            code_version="",
        )  # fmt: skip
        for report in render_shards(plan.shards(), settings, ClusterConfig(kind=kind), workers):
            if report.error is not None:
                raise RuntimeError(report.error)
            yield report


if __name__ == "__main__":
    run_benchmark(main)
