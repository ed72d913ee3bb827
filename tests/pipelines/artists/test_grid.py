"""Grid pictures: every cell where it was, in the order of painting, without the lines between them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from conf.errors import ConfigError
from pipelines.artists.borders import without_mats
from pipelines.artists.cells import cell_shifts, laid_together
from pipelines.artists.footage import Footage
from pipelines.artists.grid import GridConfig, read_grid, reading_order, shape_in_name
from pipelines.sources.source import RefusedPicture
from tests.pipelines.artists.ingest_runs import ingest, save, sequences, sheet_of, stages

GREY = 128


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
    assert shape_in_name("boat_2x3inks.png") == (2, 3)
    for name in (
        "boat.png",
        "boat_1x1.png",
        "boat_1920x1080.png",
        "boat_40x2.png",
        "12x18in_1.png",
        "9x12cm.png",
        "a_12x18_inches.png",
        "9x12 cm.png",
    ):
        with pytest.raises(RefusedPicture, match="rows and columns"):
            shape_in_name(name)


def test_a_name_and_a_caption_that_contradict_each_other_are_refused_unless_the_shape_is_set(tmp_path: Path) -> None:
    sheet, caption = sheet_of(stages(9), 3, 3, "boustrophedon"), "3*3 of 9 sub-images, a boat"
    for name in ("p 3x3.png", "set 12x18in portrait.png", "p.png", "p_40x2.png"):
        assert len(read_grid(str(save(tmp_path / name, sheet)), GridConfig(), caption)) == 9
    path = str(save(tmp_path / "p 4x4.png", sheet))
    with pytest.raises(
        RefusedPicture, match=r"name says 4x4, but its caption 3\*3: .*set grid\.rows= and grid\.columns="
    ):
        read_grid(path, GridConfig(), caption)
    assert len(read_grid(path, GridConfig(rows=3, columns=3), caption)) == 9


def test_a_grid_that_does_not_divide_is_refused_with_its_numbers(tmp_path: Path) -> None:
    path = save(tmp_path / "odd.png", sheet_of(stages(6), 2, 3, "row_major")[:, :-1])
    with pytest.raises(RefusedPicture, match=r"239 px do not divide into 3 columns"):
        read_grid(str(path), GridConfig(rows=2, columns=3))


def things_on_grey(count: int, height: int = 90, width: int = 80, seed: int = 0) -> list[NDArray[np.uint8]]:
    """One coloured thing after another on a plain grey ground, which every edge of a picture shows."""
    rng = np.random.default_rng(seed)
    pictures = [np.full((height, width, 3), GREY, np.uint8)]
    while len(pictures) < count + 1:
        picture = pictures[-1].copy()
        y, x = int(rng.integers(14, height - 40)), int(rng.integers(14, width - 40))
        colour = rng.integers(256, size=3).tolist()
        cv2.ellipse(picture, (x + 13, y + 13), (12, 7), float(rng.integers(180)), 0, 360, colour, -1)
        pictures.append(picture)
    return pictures[1:]


@pytest.mark.parametrize("cut_px", [0, 3])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("colour", [0, 255])
def test_lines_on_a_plain_ground_are_cut_off_even_where_the_sheet_ends_too_early(
    tmp_path: Path, colour: int, soft: bool, cut_px: int
) -> None:
    """The ground of an illustration is plain, too: a line begins and ends where the colour changes."""
    painted = things_on_grey(9)
    sheet = sheet_of(painted, 3, 3, "boustrophedon", line_px=4, colour=colour)
    if soft:
        sheet = cv2.GaussianBlur(sheet, (3, 3), 0.5)
    height, width = sheet.shape[:2]
    path = save(tmp_path / "lamp_3x3.png", sheet[: height - cut_px, : width - cut_px])
    frames = read_grid(str(path), GridConfig()).frames
    for frame, cell in zip(frames, painted, strict=True):
        whole = cell[1 : 89 - cut_px, 1 : 79 - cut_px]
        assert frame.shape == whole.shape
        assert np.abs(frame.astype(int) - whole).mean() < (2 if soft else 1e-9)
        for edge in (frame[0], frame[-1], frame[:, 0], frame[:, -1]):
            assert np.abs(edge.astype(int) - GREY).max() < (24 if soft else 1)


@settings(max_examples=15)
@given(
    st.integers(0, 1000),
    st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=3, max_size=6),
)
def test_cells_that_were_pasted_some_pixels_off_are_laid_onto_the_last(
    seed: int, offsets: list[tuple[int, int]]
) -> None:
    painted = stages(len(offsets) + 3, 112, 108, seed=seed)[2:]
    off = [
        picture[8 - down : 104 - down, 8 - across : 100 - across]
        for picture, (down, across) in zip(painted, [*offsets, (0, 0)], strict=True)
    ]
    assert cell_shifts(off) == [(-down, -across) for down, across in offsets] + [(0, 0)]
    laid = laid_together(Footage(frames=off, before=off, numbers=range(len(off))))
    assert len({frame.shape for frame in laid.frames}) == 1
    top, left = (max(0, *(-offset[axis] for offset in offsets)) for axis in (0, 1))
    height, width = laid.frames[0].shape[:2]
    for frame, picture in zip(laid.frames, painted, strict=True):
        np.testing.assert_array_equal(frame, picture[8 + top : 8 + top + height, 8 + left : 8 + left + width])


@settings(max_examples=15)
@given(st.integers(0, 1000), st.integers(2, 6))
def test_cells_in_their_place_stay_there_however_much_is_painted(seed: int, count: int) -> None:
    for painted in (stages(count, seed=seed), things_on_grey(count, seed=seed)):
        footage = Footage(frames=painted, before=painted, numbers=range(count))
        assert laid_together(footage) is footage


def test_a_thing_on_a_plain_ground_keeps_its_ground_and_a_picture_between_bars_loses_them() -> None:
    thing = np.full((90, 80, 3), GREY, np.uint8)
    thing[20:70, 16:64] = (200, 40, 40)  # in the middle, as a mat would have it
    cv2.circle(thing, (40, 45), 30, (30, 30, 200), -1)
    footage = Footage(frames=[thing, thing], before=[thing, thing], numbers=range(2))
    assert without_mats(footage) is footage
    barred = np.pad(thing, ((14, 14), (0, 0), (0, 0)))
    footage = Footage(frames=[barred, barred], before=[barred, barred], numbers=range(2))
    np.testing.assert_array_equal(without_mats(footage).frames[0], thing[2:-2])


def test_a_grid_on_grey_ground_becomes_frames_without_lines_in_one_place(tmp_path: Path) -> None:
    painted = things_on_grey(9, 100, 100)
    moved = [np.roll(cell, (0, 3) if number == 3 else (0, 0), (0, 1)) for number, cell in enumerate(painted)]
    sheet = sheet_of(moved, 3, 3, "boustrophedon", line_px=4)
    save(tmp_path / "sheets" / "lamp_3x3.png", sheet[:-3, :-3])
    out = tmp_path / "out"
    assert ingest(f"source.path={tmp_path / 'sheets'}", "layout=grid", "num_frames=9", "size=96", f"out={out}") == 0
    (stored,) = sequences(out).values()
    assert stored.facts["footage"]["cell_shifts_px"][3] == [0, -3]
    frames = stored.frames().astype(int)
    for edge in (frames[:, 0], frames[:, -1], frames[:, :, 0], frames[:, :, -1]):
        assert np.abs(edge - GREY).max() < 8
    kept = (np.abs(frames[2] - GREY).max(-1) > 40) & (np.abs(frames[4] - frames[2]).max(-1) < 20)
    assert kept.any() and np.abs(frames[3] - frames[2])[kept].mean() < 8


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
