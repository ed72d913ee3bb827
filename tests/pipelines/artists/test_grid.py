"""Grid pictures: every cell where it was, in the order of painting, without the lines between them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conf.errors import ConfigError
from pipelines.artists.borders import without_mats
from pipelines.artists.footage import Footage
from pipelines.artists.grid import GridConfig, read_grid, reading_order, shape_in_name
from pipelines.sources.base import RefusedPicture
from tests.pipelines.artists.ingest_runs import save, sheet_of, stages


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.integers(1, 4),
    columns=st.integers(1, 4),
    order=st.sampled_from(["boustrophedon", "row_major"]),
    line_px=st.sampled_from([0, 2, 4]),
    colour=st.sampled_from([0, 255]),
    around_px=st.sampled_from([0, 3]),
)
def test_cells_come_back_as_they_were_laid_out(
    tmp_path: Path, rows: int, columns: int, order: str, line_px: int, colour: int, around_px: int
) -> None:
    if rows * columns == 1:
        return
    around_px = around_px if line_px and rows > 1 and columns > 1 else 0  # a frame is known by the lines' colour
    painted = stages(rows * columns, seed=rows + 10 * columns)
    path = save(tmp_path / "sheet.png", sheet_of(painted, rows, columns, order, line_px, colour, around_px))
    config = GridConfig(rows=rows, columns=columns, order=order)  # type: ignore[arg-type]
    footage = read_grid(str(path), config)
    soft = 1 if line_px else 0  # beside a line, one pixel of every cell goes with it
    down, across = soft if rows > 1 else 0, soft if columns > 1 else 0
    assert len(footage) == rows * columns
    for found, cell in zip(footage.frames, painted, strict=True):
        assert np.array_equal(found, cell[down : 90 - down, across : 80 - across])


@given(st.integers(1, 6), st.integers(1, 6), st.sampled_from(["boustrophedon", "row_major"]))
def test_every_cell_is_read_once_and_a_snake_never_jumps(rows: int, columns: int, order: str) -> None:
    cells = reading_order(rows, columns, order)
    assert sorted(cells) == [(row, column) for row in range(rows) for column in range(columns)]
    if order == "boustrophedon":
        steps = np.abs(np.diff(cells, axis=0)).sum(1) if len(cells) > 1 else np.array([])
        assert (steps == 1).all()


def test_the_name_says_rows_then_columns() -> None:
    assert shape_in_name("boat_2x3.png") == (2, 3)
    assert shape_in_name("scan 600x800 4x1.jpg") == (4, 1)
    for name in ("boat.png", "boat_1x1.png", "boat_1920x1080.png", "boat_40x2.png"):
        with pytest.raises(RefusedPicture, match="rows and columns"):
            shape_in_name(name)


def test_a_grid_that_does_not_divide_is_refused_with_its_numbers(tmp_path: Path) -> None:
    path = save(tmp_path / "odd.png", sheet_of(stages(6), 2, 3, "row_major")[:, :-1])
    with pytest.raises(RefusedPicture, match=r"239 px do not divide into 3 columns"):
        read_grid(str(path), GridConfig(rows=2, columns=3))


@pytest.mark.parametrize("colour", [0, 255])
def test_a_mat_around_every_cell_is_cut_off_and_white_paper_is_not(colour: int) -> None:
    painted = stages(4)
    matted = [np.pad(cell, ((0, 0), (12, 12), (0, 0)), constant_values=colour) for cell in painted]
    trimmed = without_mats(Footage(frames=matted, before=matted, numbers=range(4)))
    for frame, cell in zip(trimmed.frames, painted, strict=True):
        assert np.array_equal(frame, cell[:, 2:-2])  # two pixels of a soft edge go with it
    assert trimmed.notes["mat_px"] == {"top": 0, "bottom": 0, "left": 14, "right": 14}

    paper = [np.full((90, 104, 3), 255, np.uint8) for _ in painted]
    for sheet, cell in zip(paper, painted, strict=True):
        sheet[14:64, 30:90] = cell[20:70, :60]  # a drawing, not in the middle of its paper
    same = without_mats(Footage(frames=paper, before=paper, numbers=range(4)))
    assert same.frames is paper


@pytest.mark.parametrize(
    ("values", "key"), [({"rows": 0, "columns": 2}, "rows"), ({"rows": 2}, "rows"), ({"rows": 1, "columns": 1}, "rows")]
)
def test_a_shape_that_cannot_be_is_refused(values: dict[str, int], key: str) -> None:
    with pytest.raises(ConfigError) as told:
        GridConfig(**values)  # type: ignore[arg-type]
    assert told.value.key == key
