"""A data set, and a copy of it that tests may damage."""

import os
import shutil
from pathlib import Path

import pytest

from tests.pipelines.runs import PAINT_FAST, save_picture, synth


@pytest.fixture(scope="package")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures painted and two refused, in three shards to train on and one to validate."""
    root = tmp_path_factory.mktemp("verify")
    (root / "pictures").mkdir()
    for number in range(6):
        save_picture(root / "pictures" / f"{number}.png", number)
    for name in ("empty.png", "torn.png"):
        (root / "pictures" / name).write_bytes(b"\x89PNG"[: len(name) - 5])
    overrides = (*PAINT_FAST, "shard_size=2", "cluster=inline", "source=folder", "val_fraction=0.3", "gallery=false")
    assert synth(*overrides, f"source.path={root / 'pictures'}", f"out={root / 'data'}") == 3
    return root / "data"


@pytest.fixture
def data(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # these tests need no protection from power failures
    return Path(shutil.copytree(made, tmp_path / "data"))
