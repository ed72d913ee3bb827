"""Data sets and short training runs for tests of stages, made once in a session."""

from pathlib import Path

import pytest

from tests.pipelines.small_dataset import small_dataset
from tests.training.stages.parents import untrained_parents
from tests.training.stages.runs import train


@pytest.fixture(scope="session")
def base(sequences: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a base. Do not change it."""
    out = tmp_path_factory.mktemp("stages") / "base"
    train(sequences, out, stage="base", base="null", max_steps=3)
    return out


@pytest.fixture(scope="session")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """6 sequences to train on, 3 to validate with; 8 frames of 32 px."""
    captions = [f"picture {number}" for number in range(9)]
    return small_dataset(tmp_path_factory.mktemp("data") / "larger", captions=captions, size_px=(32, 32))


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of a base and of a motion model. Do not change them."""
    return untrained_parents(tmp_path_factory.mktemp("parents"))
