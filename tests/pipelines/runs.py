"""Small runs of `pipelines.synth`, and what they left on disk, for all tests of the command."""

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
    """Everything of a data set that must be the same however it was made: files by name, and the rows of its table.

    Left out are what tells of the run and not of the data: `timings/`, `wandb/`, and the column `seconds`.
    """
    found: dict[str, object] = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_dir() or name.startswith(("timings/", "wandb/")):
            continue
        found[name] = rows(path) if path.suffix == ".parquet" else path.read_bytes()
    return found


def rows(path: Path) -> list[dict[str, object]]:
    """The rows of a `samples.parquet`, without `seconds`."""
    table = pq.read_table(path)
    return [dict(row) for row in table.drop_columns(["seconds"]).to_pylist()]


def assert_same(one: Mapping[str, object], two: Mapping[str, object]) -> None:
    """The same names and bytes; the message names files instead of printing tars."""
    assert sorted(one) == sorted(two)
    different = [name for name in one if one[name] != two[name]]
    assert not different


def save_picture(path: Path, number: int) -> None:
    """A picture of its own for every number, in the format that the name says."""
    rng = np.random.default_rng(number)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 7, 3), np.uint8))
    coarse.resize((140, 100), Image.Resampling.BICUBIC).save(path)
