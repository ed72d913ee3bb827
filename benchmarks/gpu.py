"""What a GPU does: training, painting, encoding, segmenting and rasterising, in one table of at most eight minutes.

    python -m benchmarks.gpu                            # all rows, those first that take little time
    python -m benchmarks.gpu --seconds 200 --rows paint motion-4
    torchrun --standalone --nproc_per_node=8 -m benchmarks.gpu --ranks 8    # how training scales, after the table
    python -m benchmarks.gpu --trial                    # the same work, far smaller: to try it without a GPU

Networks have the shapes of Stable Diffusion 1.5 and AnimateDiff with random weights, which cost the same as trained
ones. Every row is a process of its own, and what it measured is kept in OUT/rows.json: a table that was cut off goes on
where it stopped. What was compiled is kept in OUT/compiled: the networks of Stable Diffusion take minutes, and a row
that was stopped at it takes less the next time. Training rows run the trainer's own loop on sequences that are read
from disk; nothing is saved.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

Values = dict[str, float]

COLUMNS = {"samples/s": "samples_per_s", "ms": "step_ms", "GiB": "peak_gib", "MFU %": "mfu", "wait %": "data_wait",
           "busy %": "computing"}  # fmt: skip
_MOST_SECONDS_A_ROW, _MOST_SECONDS_COMPILED = 100.0, 240.0
_FEWEST_SECONDS_A_ROW = 20.0


def train_row(stage: str, *overrides: str, steps: int = 16) -> Callable[[Path, bool], Values]:
    """A row that trains; `overrides` are keys of `training.train`."""

    def measure(out: Path, trial: bool) -> Values:
        return _train(out, [f"stage={stage}", *overrides], 4 if trial else steps, trial)

    return measure


def _motion(*overrides: str) -> Callable[[Path, bool], Values]:
    return train_row("motion", "model=sd15", "precision=bf16", *overrides)


def _base(*overrides: str) -> Callable[[Path, bool], Values]:
    return train_row("base", "model=tiny", "model.shape.channels=[96,192,192]", "batch_size=256", *overrides, steps=60)


def _paint_row(*options: str) -> Callable[[Path, bool], Values]:
    def measure(out: Path, trial: bool) -> Values:
        return _command(
            "benchmarks.paint", "--sd15-shaped", "--steps", "3" if trial else "12", *options, *_small(trial)
        )

    return measure


def _small(trial: bool) -> list[str]:
    return ["--dtypes", "fp32", "--size-px", "64", "--num-frames", "2"] if trial else ["--dtypes", "fp16"]


def _raster_row(out: Path, trial: bool) -> Values:
    small = [
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
    return _command("benchmarks.raster", *(small if trial else ["--no-cpu"]))


ROWS: Mapping[str, Callable[[Path, bool], Values]] = {
    "base-256": _base("precision=bf16"),
    "base-256-graph": _base("precision=bf16", "cuda_graphs=true"),
    "paint": _paint_row("--offloads", "none"),
    "motion-4": _motion("batch_size=4"),
    "raster": _raster_row,
    "base-256-graph-compiled": _base("precision=bf16", "cuda_graphs=true", "compile=true"),
    "motion-4-compiled": _motion("batch_size=4", "compile=true"),
    "paint-compiled": _paint_row("--offloads", "none", "--compile"),
    "motion-8-compiled": _motion("batch_size=8", "compile=true"),
    "motion-1-compiled": _motion("batch_size=1", "compile=true"),
    "motion-4-checkpointing": _motion("batch_size=4", "gradient_checkpointing=true"),
    "motion-8-checkpointing-compiled": _motion("batch_size=8", "gradient_checkpointing=true", "compile=true"),
    "sam": lambda out, trial: _segment(trial),
}


def main() -> int:
    """Measure what the time allows, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("outputs/gpu"), help="where data and results are kept")
    parser.add_argument("--seconds", type=float, default=480.0, help="for everything")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--ranks", type=int, default=1, help="processes that torchrun started: rows that train alone")
    parser.add_argument("--trial", action="store_true", help="small, on any machine")
    parser.add_argument("--row", choices=ROWS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.row is not None or arguments.ranks > 1:
        return _one(arguments)
    end = time.monotonic() + arguments.seconds
    _prepare(arguments.out, arguments.trial)
    results_file = arguments.out / "rows.json"
    measured: dict[str, Values] = json.loads(results_file.read_text("utf-8")) if results_file.is_file() else {}
    print(f"{'':<32}" + "".join(f"{name:>11}" for name in COLUMNS), flush=True)
    for row in arguments.rows:
        left = end - time.monotonic()
        if row not in measured and left > _FEWEST_SECONDS_A_ROW:
            most_s = _MOST_SECONDS_COMPILED if row.endswith("compiled") else _MOST_SECONDS_A_ROW
            values = _in_process(row, arguments, min(left, most_s))
            if values is not None:
                measured[row] = values
                results_file.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
        print(_line(row, measured.get(row)), flush=True)
    return 0


def _line(row: str, values: Values | None) -> str:
    if values is None:
        return f"{row:<32}  not measured: no time, or it failed"
    named = "".join(f"{values[key]:>11.4g}" if key in values else f"{'-':>11}" for key in COLUMNS.values())
    others = "  ".join(f"{key} {value:.5g}" for key, value in values.items() if key not in COLUMNS.values())
    return f"{row:<32}{named}  {others}"


def _in_process(row: str, arguments: argparse.Namespace, seconds: float) -> Values | None:
    options = ["--row", row, "--out", str(arguments.out), *(["--trial"] if arguments.trial else [])]
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str((arguments.out / "compiled").resolve())}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.gpu", *options],
            env=environment,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        print("\n".join(done.stderr.splitlines()[-6:]), file=sys.stderr)
        return None
    values: Values = json.loads(done.stdout.splitlines()[-1])
    return values


def _one(arguments: argparse.Namespace) -> int:
    """A row, in this process; or in each of the processes that torchrun started, of which the first speaks."""
    row = arguments.row or "motion-4-compiled"
    values = ROWS[row](arguments.out, arguments.trial)
    if os.environ.get("RANK", "0") == "0":
        print(json.dumps(values) if arguments.row else _line(f"{row}, {arguments.ranks} ranks", values))
    return 0


def _prepare(out: Path, trial: bool) -> None:
    """Sequences to train on, and a base of the real shapes."""
    size = 64 if trial else 512
    _scenes(out / "large", 8, size)
    _scenes(out / "small", 8 if trial else 600, 64 if trial else 128)
    base = out / "base"
    if not (base / "unet").is_dir():
        import torch

        from benchmarks.paint import sd15_shaped

        with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
            made = _tiny_sd15() if trial else sd15_shaped(torch.float32).base
        # The words of random weights do not matter, but a text encoder must know as many as its tokenizer.
        made.text_encoder.resize_token_embeddings(len(made.tokenizer))
        made.save(base)


def _tiny_sd15() -> Any:
    from tests.training.models.small_base import small_base

    return small_base()


def _scenes(folder: Path, num_sequences: int, size_px: int) -> None:
    """A data set of bundled scenes; of a few processes, for Ray may not be there."""
    if (folder / "dataset.json").is_file():
        return
    overrides = [
        f"out={folder}", f"num_sequences={num_sequences}", f"size={size_px}", "renderer=small", "gallery=false",
        "val_fraction=0", "cluster=inline",
    ]  # fmt: skip
    subprocess.run([sys.executable, "-m", "pipelines.synth", *overrides], check=True, stdout=subprocess.DEVNULL)


def _train(out: Path, overrides: list[str], steps: int, trial: bool) -> Values:
    """The second half of so many steps of the trainer's loop."""
    from conf.compose import compose
    from training.run import loop
    from training.config import train_config
    from training.train import run

    class Unsaved(loop.Training):
        def _save(self) -> None:
            self._saved_step = self.step

        def _save_weights(self) -> None:
            pass

    sd15 = "model=sd15" in overrides
    data = out / ("large" if sd15 else "small")
    overrides = [
        override
        for override in overrides
        if not (trial and override.startswith(("batch_size", "precision", "compile", "model.shape")))
    ]
    given = [
        f"data={data}", f"max_steps={steps}", f"log_every={steps // 2}", "validate_every=0", "sample_every=0",
        "tracker=none", f"num_workers={0 if trial else 8}", *(["batch_size=2"] if trial else []),
        *([f"model.path={out / 'base'}"] if sd15 else []),
    ]  # fmt: skip
    folder = out / "run"  # the same for all ranks
    if first := os.environ.get("RANK", "0") == "0":
        shutil.rmtree(folder, ignore_errors=True)
    with mock.patch.object(loop, "Training", Unsaved):
        run(train_config(compose("train", [*overrides, *given, f"out={folder}"])))
    if not first:
        return {}
    line = json.loads((folder / "log.jsonl").read_text("utf-8").splitlines()[-1])
    named = {"samples_per_s": 1.0, "step_s": 1000.0, "peak_memory_gib": 1.0, "mfu": 100.0, "data_wait_share": 100.0,
             "compute_share": 100.0}  # fmt: skip
    keys = dict(zip(named, COLUMNS.values(), strict=True))
    return {keys[key]: line[f"perf/{key}"] * factor for key, factor in named.items() if f"perf/{key}" in line}


def _command(module: str, *options: str) -> Values:
    """A benchmark with a table of its own: printed as it is, with the last number of its last line."""
    done = subprocess.run([sys.executable, "-m", module, *options], capture_output=True, text=True, check=False)
    print(done.stdout, file=sys.stderr)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return {"last": float(done.stdout.split()[-1])}


def _segment(trial: bool) -> Values:
    """Segment Anything's vit_b with random weights: seconds of one automatic segmentation of 512 px."""
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
    sys.exit(main())
