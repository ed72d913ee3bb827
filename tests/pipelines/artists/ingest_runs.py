"""Small runs of `pipelines.ingest`, and readers of their output."""

import json
import os
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from conf.command import command
from pipelines.ingest import ingest_config, run
from training.data.dataset import read_card, read_manifests
from training.data.sequence import StoredSequence, read_sequences


def ingest(*overrides: object) -> int:
    """Run the command in this process, whose environment stays as it is; returns the exit code."""
    with mock.patch.dict(os.environ):
        return command("ingest", ingest_config, run, "A test.", ["size=64", "val_fraction=0", *map(str, overrides)])


def sequences(out: Path) -> dict[str, StoredSequence]:
    """All sequences of a data set, by the name of their source."""
    manifests = read_manifests(out, read_card(out).shards)
    stored = [sequence for manifest in manifests for sequence in read_sequences(out, manifest)]
    return {sequence.facts["source"]["id"]: sequence for sequence in stored}


def refused(out: Path) -> dict[str, str]:
    """Reasons of refusal, by the name of the refused source."""
    rows: list[dict[str, Any]] = [json.loads(line) for line in (out / "quarantine.jsonl").read_text().splitlines()]
    return {row["source"]: row["reason"] for row in rows}


def stages(count: int, height: int = 90, width: int = 80, seed: int = 0) -> list[NDArray[np.uint8]]:
    """(H, W, 3) stages of a painting: four patches of colour are added to a coloured ground at each stage."""
    rng = np.random.default_rng(seed)
    ground = cv2.resize(rng.integers(120, 200, (6, 5, 3)).astype(np.uint8), (width, height))
    painted = [ground.astype(np.uint8)]
    while len(painted) < count:
        picture = painted[-1].copy()
        for _ in range(4):
            y, x = int(rng.integers(0, height - 16)), int(rng.integers(0, width - 16))
            picture[y : y + 16, x : x + 16] = rng.integers(0, 255, 3)
        painted.append(picture)
    return painted


def save(path: Path, picture: NDArray[np.uint8]) -> Path:
    """Write a picture file, and make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)
    return path


def sheet_of(
    cells: list[NDArray[np.uint8]], rows: int, columns: int, order: str, line_px: int = 0, colour: int = 0,
    around_px: int = 0,
) -> NDArray[np.uint8]:  # fmt: skip
    """A picture of a grid of cells, laid out independently of the code under test."""
    height, width = cells[0].shape[:2]
    tall, wide = rows * height + (rows - 1) * line_px, columns * width + (columns - 1) * line_px
    sheet = np.full((tall + 2 * around_px, wide + 2 * around_px, 3), colour, np.uint8)
    for number, cell in enumerate(cells):
        row, column = divmod(number, columns)
        if order == "boustrophedon" and row % 2 == 1:
            column = columns - 1 - column
        top, left = around_px + row * (height + line_px), around_px + column * (width + line_px)
        sheet[top : top + height, left : left + width] = cell
    return sheet
