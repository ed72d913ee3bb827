"""A base that was trained for a moment, once."""

from pathlib import Path

import pytest

from tests.training.stages.runs import train


@pytest.fixture(scope="session")
def base(sequences: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a base. Do not change it."""
    out = tmp_path_factory.mktemp("stages") / "base"
    train(sequences, out, stage="base", base="null", max_steps=3)
    return out
