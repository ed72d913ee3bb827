"""What a GPU does: training, painting, encoding, segmenting and rasterising, in one table of at most eight minutes.

    python -m benchmarks.gpu                            # all rows, those first that decide
    python -m benchmarks.gpu --seconds 200 --rows paint motion-4
    torchrun --standalone --nproc_per_node=8 -m benchmarks.gpu --ranks 8    # how training scales, after the table
    python -m benchmarks.gpu --trial                    # the same work, far smaller: to try it without a GPU

Networks have the shapes of Stable Diffusion 1.5 and AnimateDiff with random weights, which cost the same as trained
ones. Every row is a process of its own, and what it measured is kept in OUT/rows.json: a table that was cut off goes on
where it stopped. What was compiled is kept in OUT/compiled: the networks of Stable Diffusion take minutes, and a row
that was stopped at it takes less the next time. Training rows run the trainer's own loop on sequences that are read
from disk, as frames or as the latents of `pipelines.encode`; nothing is saved.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from pathlib import Path
from unittest import mock

from benchmarks.command_line import from_1, run_benchmark
from benchmarks.gpu_data import Kind, Prepared, make_once

Values = dict[str, float]

COLUMNS = {"samples/s": "samples_per_s", "ms": "step_ms", "GiB": "peak_gib", "MFU %": "mfu", "wait %": "data_wait",
           "busy %": "computing"}  # fmt: skip
_MOST_SECONDS_A_ROW, _MOST_SECONDS_COMPILED = 100.0, 240.0
_FEWEST_SECONDS_A_ROW = 20.0
_ROW_OF_RANKS = "motion-4-latents-compiled"
_NAME_WIDTH = 40
_RUN = "run"


def _motion(kind: Kind, *overrides: str) -> Callable[[Path, bool], Values]:
    def measure(out: Path, trial: bool) -> Values:
        prepared = _prepared(out, trial)
        keys = ["stage=motion", "model=sd15", f"model.path={prepared.base}", "precision=bf16", *overrides]
        return _train(prepared, kind, keys, 16)

    return measure


def _base(*overrides: str) -> Callable[[Path, bool], Values]:
    keys = ["stage=base", "model=tiny", "model.shape.channels=[96,192,192]", "batch_size=256", *overrides]

    def measure(out: Path, trial: bool) -> Values:
        prepared = _prepared(out, trial)
        # Workers read two batches each while the network is loaded; the first half of the steps uses these up.
        return _train(prepared, "small", keys, max(60, 4 * num_workers(prepared.num_ranks)))

    return measure


def _prepared(out: Path, trial: bool) -> Prepared:
    return Prepared(out=out, trial=trial, num_ranks=int(os.environ.get("WORLD_SIZE", "1")))


def _paint_row(*options: str) -> Callable[[Path, bool], Values]:
    def measure(out: Path, trial: bool) -> Values:
        return _command(
            "benchmarks.paint", "--sd15-shaped", "--steps", "3" if trial else "12", *options, *_size_options(trial)
        )

    return measure


def _size_options(trial: bool) -> list[str]:
    return ["--dtypes", "fp32", "--size-px", "64", "--num-frames", "2"] if trial else ["--dtypes", "fp16"]


def _raster_row(out: Path, trial: bool) -> Values:
    trial_options = [
        "--device",
        "cpu",
        "--batch",
        "2",
        "--strokes",
        "20",
        "--size",
        "64",
        "--sequences",
        "2",
        "--seconds",
        "0.1",
    ]
    return _command("benchmarks.raster", *(trial_options if trial else ["--no-cpu"]))


ROWS: Mapping[str, Callable[[Path, bool], Values]] = {
    "base-256": _base("precision=bf16"),
    "base-256-graph": _base("precision=bf16", "cuda_graphs=true"),
    "paint": _paint_row("--offloads", "none"),
    "motion-4": _motion("large", "batch_size=4"),
    "raster": _raster_row,
    "motion-4-latents-compiled": _motion("latents", "batch_size=4", "compile=true"),
    "paint-compiled": _paint_row("--offloads", "none", "--compile"),
    "motion-8-latents-compiled": _motion("latents", "batch_size=8", "compile=true"),
    "base-256-graph-compiled": _base("precision=bf16", "cuda_graphs=true", "compile=true"),
    "motion-4-compiled": _motion("large", "batch_size=4", "compile=true"),
    "motion-1-latents-compiled": _motion("latents", "batch_size=1", "compile=true"),
    "motion-4-latents-checkpointing": _motion("latents", "batch_size=4", "gradient_checkpointing=true"),
    "motion-8-latents-checkpointing-compiled": _motion(
        "latents", "batch_size=8", "gradient_checkpointing=true", "compile=true"
    ),
    "sam": lambda out, trial: _segment(trial),
}


def main() -> int:
    """Measure what the time allows, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("outputs/gpu"), help="where data and results are kept")
    parser.add_argument("--seconds", type=float, default=480.0, help="for everything")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--ranks", type=from_1, default=1, help="processes of torchrun: rows that train alone")
    parser.add_argument("--trial", action="store_true", help="small, on any machine")
    parser.add_argument("--row", choices=ROWS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.row is not None or arguments.ranks > 1:
        return _measure_row(arguments)
    end = time.monotonic() + arguments.seconds
    Prepared(out=arguments.out, trial=arguments.trial, num_ranks=1).make(kinds_of(arguments.rows))
    results_file = arguments.out / "rows.json"
    measured: dict[str, Values] = json.loads(results_file.read_text("utf-8")) if results_file.is_file() else {}
    print(f"{'':<{_NAME_WIDTH}}" + "".join(f"{name:>11}" for name in COLUMNS), flush=True)
    for row in arguments.rows:
        left_s = end - time.monotonic()
        if row not in measured and left_s > _FEWEST_SECONDS_A_ROW:
            most_s = _MOST_SECONDS_COMPILED if row.endswith("compiled") else _MOST_SECONDS_A_ROW
            values = _measure_in_process(row, arguments, min(left_s, most_s))
            if values is not None:
                measured[row] = values
                results_file.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
        print(_line(row, measured.get(row)), flush=True)
    return 0


def kinds_of(rows: Sequence[str]) -> Set[Kind]:
    """The kinds of data that these rows are trained on."""
    kinds: set[Kind] = set()
    for row in rows:
        if row.startswith("motion"):
            kinds.add("latents" if "latents" in row else "large")
        elif row.startswith("base"):
            kinds.add("small")
    return kinds


def num_workers(num_ranks: int) -> int:
    """Reading workers of each rank: all cores but two, since one core reads 1,000 pictures of 128 px a second."""
    return max(1, ((os.cpu_count() or 1) - 2) // num_ranks)


def _line(row: str, values: Values | None) -> str:
    if values is None:
        return f"{row:<{_NAME_WIDTH}}  not measured: no time, or it failed"
    cells = "".join(f"{values[key]:>11.4g}" if key in values else f"{'-':>11}" for key in COLUMNS.values())
    others = "  ".join(f"{key} {value:.5g}" for key, value in values.items() if key not in COLUMNS.values())
    return f"{row:<{_NAME_WIDTH}}{cells}  {others}"


def _measure_in_process(row: str, arguments: argparse.Namespace, seconds: float) -> Values | None:
    options = ["--row", row, "--out", str(arguments.out), *(["--trial"] if arguments.trial else [])]
    command = [sys.executable, "-m", "benchmarks.gpu", *options]
    completed = output_of(command, {**os.environ, **compiler_settings(arguments.out, 1)}, seconds)
    if completed is None:
        return None
    if completed.returncode:
        print("\n".join(completed.stderr.splitlines()[-6:]), file=sys.stderr)
        return None
    values: Values = json.loads(completed.stdout.splitlines()[-1])
    return values


def output_of(
    command: Sequence[str], environment: Mapping[str, str], seconds: float
) -> subprocess.CompletedProcess[str] | None:
    """Run a command; None if it takes too long. Every process that it started is killed when it ends."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, env=dict(environment), stdout=pipe, stderr=pipe, text=True, start_new_session=True
    ) as process:
        try:
            printed, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(command, process.returncode, printed, errors)


def compiler_settings(out: Path, num_ranks: int) -> dict[str, str]:
    """Variables that torch's compiler reads when it is imported: ranks share one cache and divide the cores."""
    return {
        "TORCHINDUCTOR_CACHE_DIR": str((out / "compiled").resolve()),
        "TORCHINDUCTOR_COMPILE_THREADS": str(max(1, (os.cpu_count() or 1) // num_ranks)),
    }


def _measure_row(arguments: argparse.Namespace) -> int:
    """Measure a row in this process, or in each process that torchrun started; only the first of these prints."""
    row = arguments.row or _ROW_OF_RANKS
    if arguments.ranks > 1:
        os.environ.update(compiler_settings(arguments.out, arguments.ranks))
        prepared = Prepared(out=arguments.out, trial=arguments.trial, num_ranks=arguments.ranks)
        make_once(prepared, kinds_of([row]), [arguments.out / _RUN])
    values = ROWS[row](arguments.out, arguments.trial)
    if os.environ.get("RANK", "0") == "0":
        print(json.dumps(values) if arguments.ranks == 1 else _line(f"{row}, {arguments.ranks} ranks", values))
    return 0


def _train(prepared: Prepared, kind: Kind, overrides: list[str], steps: int) -> Values:
    """Measure the second half of the steps of the trainer's loop."""
    from conf.compose import compose
    from training.run import loop
    from training.config import train_config
    from training.train import run

    class Unsaved(loop.Training):
        def _save(self, pending: Sequence[str] = ()) -> None:
            self._saved_step = self.step

        def _save_weights(self) -> None:
            pass

    trial, folder = prepared.trial, prepared.out / _RUN  # all ranks use the same folder
    workers = 0 if trial else num_workers(prepared.num_ranks)
    data = ",".join(f"{{path: {part}}}" for part in prepared.parts(kind))
    half = 2 if trial else steps // 2
    overrides = [
        override
        for override in overrides
        if not (trial and override.startswith(("batch_size", "precision", "compile", "model.shape")))
    ]
    settings = [
        f"data=[{data}]", f"max_steps={2 * half}", f"log_every={half}", "validate_every=0", "sample_every=0",
        "tracker=none", f"num_workers={workers}", *(["batch_size=2"] if trial else []),
    ]  # fmt: skip
    if prepared.num_ranks == 1:  # with more ranks, `make_once` has removed it
        shutil.rmtree(folder, ignore_errors=True)
    with mock.patch.object(loop, "Training", Unsaved):
        run(train_config(compose("train", [*overrides, *settings, f"out={folder}"])))
    if os.environ.get("RANK", "0") != "0":
        return {}
    line = json.loads((folder / "log.jsonl").read_text("utf-8").splitlines()[-1])
    factors = {"samples_per_s": 1.0, "step_s": 1000.0, "peak_memory_gib": 1.0, "mfu": 100.0, "data_wait_share": 100.0,
             "compute_share": 100.0}  # fmt: skip
    keys = dict(zip(factors, COLUMNS.values(), strict=True))
    return {keys[key]: line[f"perf/{key}"] * factor for key, factor in factors.items() if f"perf/{key}" in line}


def _command(module: str, *options: str) -> Values:
    """Run a benchmark that prints its own table, print that table, and return its last number."""
    completed = subprocess.run([sys.executable, "-m", module, *options], capture_output=True, text=True, check=False)
    print(completed.stdout, file=sys.stderr)
    if completed.returncode:
        raise SystemExit(completed.stderr[-2000:])
    return {"last": float(completed.stdout.split()[-1])}


def _segment(trial: bool) -> Values:
    """Milliseconds of one automatic segmentation of 512 px, by Segment Anything's vit_b with random weights."""
    import numpy as np
    import torch
    from segment_anything import SamAutomaticMaskGenerator, sam_model_registry

    device = "cuda" if torch.cuda.is_available() else "cpu"
    generator = SamAutomaticMaskGenerator(
        sam_model_registry["vit_b"]().to(device), points_per_side=1 if trial else 16, points_per_batch=256
    )
    picture = np.random.default_rng(0).integers(0, 256, (64 if trial else 512,) * 2 + (3,), dtype=np.uint8)
    generator.generate(picture)
    start = time.perf_counter()
    for _ in range(1 if trial else 5):
        generator.generate(picture)
    return {"step_ms": (time.perf_counter() - start) * 1000 / (1 if trial else 5)}


if __name__ == "__main__":
    run_benchmark(main)
