"""Grid pictures: the stages of a painting side by side in one picture, with or without lines between them."""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from conf.errors import ConfigError
from pipelines.artists.footage import Footage, Frame
from pipelines.artists.frames import read_picture
from pipelines.sources.source import RefusedPicture

_PAIR = re.compile(r"(?<!\d)(\d{1,2})x(\d{1,2})(?!\d|(?i:(?:in|[ _-]?(?:inch|inches|ft|cm|mm|px))(?![a-z])))")
"""Rows and columns in a name; with a unit (`12x18in`) it is the size of the painting."""
_SUB_IMAGES = re.compile(
    r"\s*(?P<rows>\d{1,2})\s*[*x]\s*(?P<columns>\d{1,2}) of \d{1,3} sub-?images\s*,?", re.IGNORECASE
)
_LORA = re.compile(r"\s--lora_up\s+\d+\s*$")

_UNIFORM = 40  # levels of 255 that the colour of a line across the grid varies by at most, even after JPEG
_REACH = 0.06  # share of a cell: largest distance of a line from where equal cells would meet, and its largest width
_SOFT_PX = 1  # width of the soft edges of a line that was resampled
_SLACK_PX = 2  # largest difference between the sizes of cells


@dataclass(frozen=True, kw_only=True)
class GridConfig:
    """How a grid is read.

    Attributes:
        rows, columns: 1 to 32; None to take them from the file's name (`boat_2x3.png`: 2 rows of 3).
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


def read_grid(path: str, config: GridConfig, caption: str = "") -> Footage:
    """The cells of a grid picture, in the order in which they were painted; lines between and around them are cut off.

    Their number is given by the configuration, else by the picture's name or its caption.

    Raises:
        RefusedPicture: if it cannot be read, its number of cells is unknown, or it does not divide into equal cells, or
            name and caption contradict each other.
    """
    name = posixpath.basename(path)
    rows, columns = config.rows, config.columns
    if rows is None or columns is None:
        rows, columns = _shape(name, caption)
    grid_picture = read_picture(path, name)
    tops = cell_spans(grid_picture, rows, "rows")
    lefts = cell_spans(grid_picture.transpose(1, 0, 2), columns, "columns")
    order = reading_order(rows, columns, config.order)
    cells = [grid_picture[slice(*tops[row]), slice(*lefts[column])] for row, column in order]
    height, width = grid_picture.shape[0] // rows, grid_picture.shape[1] // columns
    before = [
        grid_picture[row * height : (row + 1) * height, column * width : (column + 1) * width] for row, column in order
    ]
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
    pairs = _PAIR.findall(posixpath.splitext(name)[0])
    rows, columns = (int(number) for number in pairs[-1]) if pairs else (0, 0)
    if not (1 <= rows <= 32 and 1 <= columns <= 32 and rows * columns > 1):
        raise RefusedPicture("its name does not say how many rows and columns it has (boat_2x3.png, or grid.rows=)")
    return rows, columns


def _shape(name: str, caption: str) -> tuple[int, int]:
    """(rows, columns) by the name, else by a caption `2*2 of 4 sub-images, ...`; refused if these contradict."""
    stated = _SUB_IMAGES.match(caption)
    try:
        rows, columns = shape_in_name(name)
    except RefusedPicture:
        if stated is None:
            raise
        return shape_in_name(f"{stated['rows']}x{stated['columns']}")
    if stated is not None and (rows, columns) != (int(stated["rows"]), int(stated["columns"])):
        both = f"its name says {rows}x{columns}, but its caption {stated['rows']}*{stated['columns']}"
        raise RefusedPicture(f"{both}: rename it, or set grid.rows= and grid.columns=")
    return rows, columns


def without_instructions(caption: str) -> str:
    """A caption of MakeAnything without the parts that tell its model the grid and the LoRA.

    https://github.com/showlab/MakeAnything, "Settings for dataset": `3*3 of 9 sub-images, ..., 1 girl --lora_up 6`.
    """
    return _LORA.sub("", _SUB_IMAGES.sub("", caption, count=1)).strip(" ,")


def reading_order(rows: int, columns: int, order: str) -> list[tuple[int, int]]:
    """(row, column) of every cell, earliest first."""
    cells = []
    for row in range(rows):
        across = range(columns)
        cells += [(row, column) for column in (reversed(across) if order == "boustrophedon" and row % 2 else across)]
    return cells


def cell_spans(grid_picture: Frame, count: int, what: str) -> list[tuple[int, int]]:
    """[start, end) of the cells along the first axis of a grid picture, all of the same length.

    Lines are searched near the places where equal cells would meet. If all lines are found, the cells lie between them;
    if not, the picture must divide evenly.

    Args:
        grid_picture: (L, M, 3).
        count: number of cells.
        what: `rows` or `columns`, for the message.

    Raises:
        RefusedPicture: if it does not divide.
    """
    length = len(grid_picture)
    if length < 16 * count:
        raise RefusedPicture(f"{length} px are too few for {count} {what}")
    bands = _bands(grid_picture, length / count)
    places = [round(length * at / count) for at in range(1, count)]
    for lines in _matching_lines(bands, places, length / count):
        spans = _spans_between(lines, *_outer_lines(bands, lines, length, length / count), length / count)
        if spans is not None:
            return spans
    if length % count:
        raise RefusedPicture(f"{length} px do not divide into {count} {what}, and no lines between them were found")
    size = length // count
    return [(at * size, (at + 1) * size) for at in range(count)]


@dataclass(frozen=True)
class _Band:
    """[start, end): adjacent rows of pixels of a single colour, too few to be the ground of a cell."""

    start: int
    end: int
    colour: NDArray[np.float64]

    def is_like(self, other: "_Band") -> bool:
        return bool(np.abs(self.colour - other.colour).max() < _UNIFORM)


def _bands(grid_picture: Frame, cell: float) -> list[_Band]:
    """All bands of a single colour. If the ground beside a band is plain too, it ends where the colour changes."""
    plain = np.ptp(grid_picture, axis=1).max(-1) < _UNIFORM
    colours = grid_picture.mean(1)
    steps = np.abs(np.diff(colours, axis=0)).max(-1) >= _UNIFORM
    begins = np.flatnonzero(np.concatenate([[True], steps | (plain[1:] != plain[:-1])]))
    ends = np.append(begins[1:], len(grid_picture))
    return [
        _Band(int(start), int(end), colours[start:end].mean(0))
        for start, end in zip(begins, ends, strict=True)
        if plain[start] and end - start <= _reach(cell)
    ]


def _matching_lines(bands: list[_Band], places: list[int], cell: float) -> Iterator[list[_Band]]:
    """Candidates for all lines: a band near each place, all of one colour; broad first, as soft edges are bands too."""
    reach = _reach(cell)
    near = [[band for band in bands if place - reach <= band.start and band.end <= place + reach] for place in places]
    for model in sorted(near[0] if near else [], key=lambda band: band.start - band.end):
        matching = [[band for band in candidates if band.is_like(model)] for candidates in near]
        if all(matching):
            yield [
                min(candidates, key=lambda band: abs(band.start + band.end - 2 * place))
                for candidates, place in zip(matching, places, strict=True)
            ]


def _spans_between(lines: list[_Band], first: int, last: int, cell: float) -> list[tuple[int, int]] | None:
    """Spans of the same length between lines, or None if the lines are not equally spaced.

    The edge of the picture may cut off part of the first and the last cell; that part is then cut from all cells.
    """
    inner = [after.start - before.end for before, after in pairwise(lines)]
    outer = lines[0].start - first, last - lines[-1].end
    size = min(inner) if inner else max(outer)
    if max(inner, default=size) - size > _SLACK_PX or min(outer) < size - _reach(cell):
        return None
    missing_before, missing_after = (max(0, size - length) for length in outer)
    starts = [lines[0].start - size, *(line.end for line in lines)]
    return [(start + missing_before + _SOFT_PX, start + size - missing_after - _SOFT_PX) for start in starts]


def _outer_lines(bands: list[_Band], lines: list[_Band], length: int, cell: float) -> tuple[int, int]:
    """Start of the first cell and end of the last one, inside an outer frame that has the lines' colour, if any."""
    before = [band.end for band in bands if band.start == 0 and band.is_like(lines[0]) and band.end < _reach(cell)]
    after = [
        band.start
        for band in bands
        if band.end == length and band.is_like(lines[0]) and length - band.start < _reach(cell)
    ]
    return before[0] if before else 0, after[0] if after else length


def _reach(cell: float) -> int:
    return max(2, round(_REACH * cell))
