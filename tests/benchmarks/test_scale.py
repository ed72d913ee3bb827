"""No step needs memory that grows with the size of a data set."""

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from benchmarks.scale import STEPS, make
from training.data import tables

FEW, MANY = 2_000, 12_000
BYTES_A_SEQUENCE = 100  # rows of manifests would take thousands


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Path]]:
    """Data sets of few and of many sequences, with tables of small groups of rows. Do not change them."""
    folder = tmp_path_factory.mktemp("scale")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "ROWS_A_GROUP", 500)
        for count in (FEW, MANY):
            make(folder / str(count), count)
            STEPS["tables"](folder / str(count), count)
        yield {count: folder / str(count) for count in (FEW, MANY)}


def peak_bytes(take: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        take()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("step", [step for step in STEPS if step != "plan"])
def test_no_step_keeps_what_the_manifests_hold(step: str, roots: dict[int, Path]) -> None:
    STEPS[step](roots[FEW], FEW)  # what is imported or cached once is not counted
    gc.collect()
    few, many = (peak_bytes(partial(STEPS[step], roots[count], count)) for count in (FEW, MANY))
    assert many - few < BYTES_A_SEQUENCE * (MANY - FEW)
