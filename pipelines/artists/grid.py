"""Grid pictures: the stages of a painting side by side in one picture, with or without lines between them."""

import posixpath
import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from conf.errors import ConfigError
from pipelines.artists.footage import Footage, Frame
from pipelines.artists.frames import read_picture
from pipelines.sources.base import RefusedPicture

_UNIFORM = 40  # of 255: a line across the grid varies less than this, JPEG included
_NEAR = 0.06  # of a cell: lines are this near to where equal cells would meet, and thinner than this
_SOFT_PX = 1  # a line that was resampled has soft edges
_SLACK_PX = 2  # cells may differ by so much


@dataclass(frozen=True, kw_only=True)
class GridConfig:
    """How a grid is read.

    Attributes:
        rows, columns: 1 to 32; when None, the file's name says so (`boat_2x3.png`: 2 rows of 3).
        order: `row_major` reads every row from the left, `boustrophedon` every second row from the right.
    """

    rows: int | None = None
    columns: int | None = None
    order: Literal["boustrophedon", "row_major"] = "boustrophedon"

    def __post_init__(self) -> None:
        for key, value in (("rows", self.rows), ("columns", self.columns)):
            if value is not None and not 1 <= value <= 32:
                raise ConfigError(key, value, "1 to 32")
        if (self.rows is None) != (self.columns is None):
            raise ConfigError("rows", self.rows, "given together with grid.columns, or neither")
        if self.rows == self.columns == 1:
            raise ConfigError("rows", self.rows, "more than one cell")


def read_grid(path: str, config: GridConfig) -> Footage:
    """The cells of a grid picture, in the order in which they were painted; lines between and around them are cut off.

    Raises:
        RefusedPicture: if it cannot be read, its shape is not known, or it does not divide into equal cells.
    """
    name = posixpath.basename(path)
    rows, columns = config.rows, config.columns
    if rows is None or columns is None:
        rows, columns = shape_in_name(name)
    sheet = read_picture(path, name)
    tops = cell_spans(sheet, rows, "rows")
    lefts = cell_spans(sheet.transpose(1, 0, 2), columns, "columns")
    order = reading_order(rows, columns, config.order)
    cells = [sheet[slice(*tops[row]), slice(*lefts[column])] for row, column in order]
    height, width = sheet.shape[0] // rows, sheet.shape[1] // columns
    before = [sheet[row * height : (row + 1) * height, column * width : (column + 1) * width] for row, column in order]
    return Footage(
        frames=[np.ascontiguousarray(cell) for cell in cells],
        before=before,
        numbers=range(len(cells)),
        notes={"grid": {"rows": rows, "columns": columns, "order": config.order, "tops": tops, "lefts": lefts}},
    )


def shape_in_name(name: str) -> tuple[int, int]:
    """(rows, columns) of `boat_2x3.png`; the last such pair counts.

    Raises:
        RefusedPicture: if the name does not say.
    """
    pairs = re.findall(r"(?<!\d)(\d{1,2})x(\d{1,2})(?!\d)", posixpath.splitext(name)[0])
    rows, columns = (int(number) for number in pairs[-1]) if pairs else (0, 0)
    if not (1 <= rows <= 32 and 1 <= columns <= 32 and rows * columns > 1):
        raise RefusedPicture("its name does not say how many rows and columns it has (boat_2x3.png, or grid.rows=)")
    return rows, columns


def reading_order(rows: int, columns: int, order: str) -> list[tuple[int, int]]:
    """(row, column) of every cell, earliest first."""
    cells = []
    for row in range(rows):
        across = range(columns)
        cells += [(row, column) for column in (reversed(across) if order == "boustrophedon" and row % 2 else across)]
    return cells


def cell_spans(sheet: Frame, count: int, what: str) -> list[tuple[int, int]]:
    """Where cells begin and end along the first axis of a sheet: spans of one length.

    Lines are looked for where equal cells would meet. When every one is found, cells are what is left between them;
    when not, the sheet must divide evenly.

    Args:
        sheet: (L, M, 3).
        count: how many cells.
        what: `rows` or `columns`, for the message.

    Raises:
        RefusedPicture: if it does not divide.
    """
    length = len(sheet)
    if length < 16 * count:
        raise RefusedPicture(f"{length} px are too few for {count} {what}")
    plain = _plain_lines(sheet)
    lines = [_line_at(plain, round(length * at / count), length / count) for at in range(1, count)]
    found = [line for line in lines if line is not None]
    if found and len(found) == count - 1:
        first, last = _outer_lines(sheet, plain, found, length / count)
        starts = [first, *(end for _, end in found)]
        ends = [*(start for start, _ in found), last]
        sizes = [end - start for start, end in zip(starts, ends, strict=True)]
        if max(sizes) - min(sizes) <= _SLACK_PX:
            return [(start + _SOFT_PX, start + min(sizes) - _SOFT_PX) for start in starts]
    if length % count:
        raise RefusedPicture(f"{length} px do not divide into {count} {what}, and no lines between them were found")
    size = length // count
    return [(at * size, (at + 1) * size) for at in range(count)]


def _plain_lines(sheet: Frame) -> NDArray[np.bool_]:
    """(L,) whether all pixels of a line across have one colour."""
    plain: NDArray[np.bool_] = (np.ptp(sheet, axis=1).max(-1) < _UNIFORM).astype(bool)
    return plain


def _line_at(plain: NDArray[np.bool_], place: int, cell: float) -> tuple[int, int] | None:
    """[start, end) of the one line near a place, or None where there is none or it is too broad to be one."""
    reach = max(2, round(_NEAR * cell))
    low = place - reach
    near = np.flatnonzero(plain[low : place + reach])
    if not len(near):
        return None
    start, end = low + int(near[0]), low + int(near[-1]) + 1
    broad = end - start > reach or plain[start - 1] or plain[min(end, len(plain) - 1)]
    return None if broad or not plain[start:end].all() else (start, end)


def _outer_lines(
    sheet: Frame, plain: NDArray[np.bool_], found: list[tuple[int, int]], cell: float
) -> tuple[int, int]:  # fmt: skip
    """Where the first cell begins and the last one ends, within a frame of the lines' own colour."""
    colour = np.median([sheet[start:end].mean((0, 1)) for start, end in found], axis=0)
    alike = plain & (np.abs(sheet.mean(1) - colour).max(-1) < _UNIFORM)
    reach = max(2, round(_NEAR * cell))
    before = next((at for at in range(reach) if not alike[at]), 0)
    after = next((at for at in range(reach) if not alike[-1 - at]), 0)
    return before, len(sheet) - after
