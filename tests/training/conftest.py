"""A small data set for all tests of training."""

from pathlib import Path

import pytest

from tests.pipelines.small_dataset import small_dataset


@pytest.fixture(scope="session")
def sequences(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 sequences to train on, 6 to validate with; 8 frames of 16 px."""
    captions = [f"picture {number}" for number in range(18)]
    return small_dataset(tmp_path_factory.mktemp("data") / "pictures", captions=captions, size_px=(16, 16))
