"""Small runs of `pipelines.synth`, and readers of their output, for all tests of the command."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from conf.command import command
from pipelines.synth import run
from pipelines.synthesis.config import synth_config

REPOSITORY = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-m", "pipelines.synth")

PAINT_FAST = ("renderer=bezier", "renderer.num_strokes=20", "renderer.preset=fast", "size=64")
SMALL = (*PAINT_FAST, "num_sequences=6", "shard_size=2", "cluster=inline")


def synth(*overrides: object) -> int:
    """Run the command in this process, whose environment stays as it is; returns the exit code."""
    with mock.patch.dict(os.environ):
        return command("synth", synth_config, run, "A test.", [str(word) for word in overrides])


def contents(root: Path) -> dict[str, object]:
    """All of a data set that must not depend on the run: files by name, and the rows of its table.

    `timings/`, `wandb/` and the column `seconds` describe the run and are left out.
    """
    content_of_name: dict[str, object] = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_dir() or name.startswith(("timings/", "wandb/")):
            continue
        content_of_name[name] = rows(path) if path.suffix == ".parquet" else path.read_bytes()
    return content_of_name


def rows(path: Path) -> list[dict[str, object]]:
    """The rows of a `samples.parquet`, without `seconds`."""
    table = pq.read_table(path)
    return [dict(row) for row in table.drop_columns(["seconds"]).to_pylist()]


def assert_same(one: Mapping[str, object], two: Mapping[str, object]) -> None:
    """Check for the same names and bytes; a failure names files instead of printing tars."""
    assert sorted(one) == sorted(two)
    different = [name for name in one if one[name] != two[name]]
    assert not different


def save_picture(path: Path, number: int) -> None:
    """Write a picture that depends on the number, in the format of the suffix."""
    rng = np.random.default_rng(number)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 7, 3), np.uint8))
    coarse.resize((140, 100), Image.Resampling.BICUBIC).save(path)
