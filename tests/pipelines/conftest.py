"""A data set to read, made once."""

from pathlib import Path

import pytest

from tests.pipelines.runs import SMALL, synth


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six sequences in four shards, made inline. Copy it before changing anything."""
    out = tmp_path_factory.mktemp("small") / "dataset"
    assert synth(*SMALL, f"out={out}") == 0
    return out
