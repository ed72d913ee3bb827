"""What the tests of stages train on."""

from pathlib import Path

import pytest

from tests.pipelines.small_dataset import small_dataset
from tests.training.stages.real_runs import parents


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """6 sequences to train on, 3 to validate with; 8 frames of 32 px."""
    captions = [f"picture {number}" for number in range(9)]
    return small_dataset(tmp_path_factory.mktemp("data") / "pictures", captions=captions, size_px=(32, 32))


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Of a base and of a motion model."""
    return parents(tmp_path_factory.mktemp("parents"))
