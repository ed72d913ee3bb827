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

_SUB_IMAGES = re.compile(
    r"\s*(?P<rows>\d{1,2})\s*[*x]\s*(?P<columns>\d{1,2}) of \d{1,3} sub-?images\s*,?", re.IGNORECASE
)
_LORA = re.compile(r"\s--lora_up\s+\d+\s*$")

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


def read_grid(path: str, config: GridConfig, caption: str = "") -> Footage:
    """The cells of a grid picture, in the order in which they were painted; lines between and around them are cut off.

    How many there are is said by the configuration, else by the picture's name, else by its caption.

    Raises:
        RefusedPicture: if it cannot be read, its shape is not known, or it does not divide into equal cells.
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
    pairs = re.findall(r"(?<!\d)(\d{1,2})x(\d{1,2})(?!\d)", posixpath.splitext(name)[0])
    rows, columns = (int(number) for number in pairs[-1]) if pairs else (0, 0)
    if not (1 <= rows <= 32 and 1 <= columns <= 32 and rows * columns > 1):
        raise RefusedPicture("its name does not say how many rows and columns it has (boat_2x3.png, or grid.rows=)")
    return rows, columns


def _shape(name: str, caption: str) -> tuple[int, int]:
    """The same, where the name does not say of a caption `2*2 of 4 sub-images, ...`."""
    stated = _SUB_IMAGES.match(caption)
    try:
        return shape_in_name(name)
    except RefusedPicture:
        if stated is None:
            raise
        return shape_in_name(f"{stated['rows']}x{stated['columns']}")


def without_instructions(caption: str) -> str:
    """A caption of MakeAnything without what tells its model the grid and which of its LoRAs to use.

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
    """Where cells begin and end along the first axis of a grid picture: spans of one length.

    Lines are looked for where equal cells would meet. When every one is found, cells are what is left between them;
    when not, the picture must divide evenly.

    Args:
        grid_picture: (L, M, 3).
        count: how many cells.
        what: `rows` or `columns`, for the message.

    Raises:
        RefusedPicture: if it does not divide.
    """
    length = len(grid_picture)
    if length < 16 * count:
        raise RefusedPicture(f"{length} px are too few for {count} {what}")
    bands = _bands(grid_picture, length / count)
    places = [round(length * at / count) for at in range(1, count)]
    for lines in _alike_lines(bands, places, length / count):
        spans = _between(lines, *_outer_lines(bands, lines, length, length / count), length / count)
        if spans is not None:
            return spans
    if length % count:
        raise RefusedPicture(f"{length} px do not divide into {count} {what}, and no lines between them were found")
    size = length // count
    return [(at * size, (at + 1) * size) for at in range(count)]


@dataclass(frozen=True)
class _Band:
    """[start, end): neighbouring lines across the picture that have one colour, and are too few to be ground."""

    start: int
    end: int
    colour: NDArray[np.float64]

    def is_like(self, other: "_Band") -> bool:
        return bool(np.abs(self.colour - other.colour).max() < _UNIFORM)


def _bands(grid_picture: Frame, cell: float) -> list[_Band]:
    """All bands of one colour. Where the ground is plain, too, a band ends where the colour changes."""
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


def _alike_lines(bands: list[_Band], places: list[int], cell: float) -> Iterator[list[_Band]]:
    """One band near every place, all of one colour; the broadest first, since soft edges are bands, too."""
    reach = _reach(cell)
    near = [[band for band in bands if place - reach <= band.start and band.end <= place + reach] for place in places]
    for model in sorted(near[0] if near else [], key=lambda band: band.start - band.end):
        alike = [[band for band in candidates if band.is_like(model)] for candidates in near]
        if all(alike):
            yield [
                min(candidates, key=lambda band: abs(band.start + band.end - 2 * place))
                for candidates, place in zip(alike, places, strict=True)
            ]


def _between(lines: list[_Band], first: int, last: int, cell: float) -> list[tuple[int, int]] | None:
    """Spans of one length between lines, or None where these do not stand in equal steps.

    The first and the last cell may be cut by the edge of the picture; as much is then cut from all.
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
    """Where the first cell begins and the last one ends, within a frame of the lines' own colour."""
    before = [band.end for band in bands if band.start == 0 and band.is_like(lines[0]) and band.end < _reach(cell)]
    after = [
        band.start
        for band in bands
        if band.end == length and band.is_like(lines[0]) and length - band.start < _reach(cell)
    ]
    return before[0] if before else 0, after[0] if after else length


def _reach(cell: float) -> int:
    return max(2, round(_NEAR * cell))
