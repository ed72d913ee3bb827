"""Runs of the toy stage: in this process, in one of its own, or in several under torchrun."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from conf.command import Summary
from conf.compose import compose
from tests.training.toy import make_toy_stage
from training.config import TrainConfig, train_config
from training.train import run

ROOT = Path(__file__).resolve().parents[2]
_TIMEOUT_S = 200


def words(data: Path, out: Path, /, **options: Any) -> list[str]:
    """Overrides of a short run that logs every step and has no tracker; `options` take precedence."""
    values: dict[str, Any] = {
        "data": data, "out": out, "base": data, "model": "tiny", "max_steps": 8, "batch_size": 4, "num_workers": 0,
        "log_every": 1, "checkpoint_every": 2, "validate_every": 0, "sample_every": 0, "tracker": "none",
        "optimizer.warmup_steps": 0, **options,
    }  # fmt: skip
    return [f"{key}={value}" for key, value in values.items()]


def config(data: Path, out: Path, /, **options: Any) -> TrainConfig:
    """The typed configuration of a short run."""
    return train_config(compose("train", words(data, out, **options)))


def train(data: Path, out: Path, /, **options: Any) -> Summary:
    """Run a short training in this process."""
    return run(config(data, out, **options), make_toy_stage)


def spawn(
    arguments: Sequence[str],
    environment: Mapping[str, str] | None = None,
    ranks: int = 1,
    module: str = "tests.training.toy",
) -> "subprocess.Popen[str]":
    """Start a run in processes of its own; several ranks compute on the CPU, as each would need a GPU.

    `module` is `training.train` for a stage that is not the toy one.
    """
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={ranks}"] if ranks > 1 else []
    return subprocess.Popen(
        [sys.executable, *torchrun, "-m", module, *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            **({"CUDA_VISIBLE_DEVICES": ""} if ranks > 1 else {}),
            **(environment or {}),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Wait for a run; returns its exit code, stdout and stderr."""
    try:
        out, err = process.communicate(timeout=_TIMEOUT_S)
    finally:
        if process.poll() is None:
            kill_all(process)
    return process.returncode, out, err


def kill_at(process: "subprocess.Popen[str]", out: Path, step: int) -> None:
    """SIGKILL to all processes of a run as soon as it has logged a step."""
    wait_for(process, out, step)
    kill_all(process)
    process.communicate()


def kill_all(process: "subprocess.Popen[str]") -> None:
    """SIGKILL to a process and all its descendants; torchrun gives its workers sessions of their own."""
    for child in psutil.Process(process.pid).children(recursive=True):
        child.kill()
    process.kill()


def kill_rank(process: "subprocess.Popen[str]", rank: int) -> None:
    """SIGKILL to one of the processes that torchrun started."""
    for child in psutil.Process(process.pid).children(recursive=True):
        if child.environ().get("RANK") == str(rank):
            child.kill()


def wait_for(process: "subprocess.Popen[str]", out: Path, step: int) -> None:
    """Wait until a run has logged a step."""
    deadline = time.monotonic() + _TIMEOUT_S
    while max((line["step"] for line in log(out)), default=0) < step:
        if process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"ended before step {step}: {process.communicate()}")
        time.sleep(0.02)


def log(out: Path) -> list[dict[str, Any]]:
    """The whole lines of a run's log."""
    path = out / "log.jsonl"
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def losses(out: Path, prefix: str = "train/") -> list[dict[str, float]]:
    """The logged values of a run that do not depend on the clock."""
    return [
        {key: line[key] for key in line if key == "step" or key.startswith((prefix, "data/"))}
        for line in log(out)
        if any(key.startswith(prefix) for key in line)
    ]


def seen(notes: Path) -> dict[int, str]:
    """Position -> key of all samples that the toy network was trained on, in however many processes.

    Fails if a position ever held two different sequences.
    """
    key_of_position: dict[int, str] = {}
    for path in notes.parent.glob(f"{notes.name}.*"):
        for line in path.read_text().splitlines():
            position, key = line.split(" ")
            assert key_of_position.setdefault(int(position), key) == key
    return key_of_position
