"""Drawings of "Quick, Draw!" (.ndjson), one in each line; their strokes are drawn point by point, black on white.

Both published forms are read, simplified and raw: https://github.com/googlecreativelab/quickdraw-dataset. The times of
raw points are ignored: each point of the pen is one moment.
"""

import hashlib
import io
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from conf.errors import UserError
from pipelines.artists.footage import Footage, Frame, gather
from pipelines.sources.captions import Annotation, text_line
from pipelines.sources.reading import PatientFile, read_patiently
from pipelines.sources.source import RefusedPicture, SourceEntry, StorageFault
from pipelines.sources.stored import printable
from training.data.storage import open_storage

DRAWING_EXTENSIONS = (".ndjson",)

Stroke = NDArray[np.float64]
"""(N, 2) positions of the pen: x (right) and y (down)."""

_MOST_LINE_BYTES = 1 << 22
_MOST_POINTS = 100_000
_MARGIN = 0.08  # share of the canvas on each side of the drawing
_PEN_WIDTH = 1 / 64  # share of the canvas
_SHIFT = 4  # fractional bits of coordinates for cv2


@dataclass(frozen=True, kw_only=True)
class _Line:
    """A line of a file: its bytes, their offset, and its number from 1."""

    data: bytes
    offset: int
    number: int

    def fields(self) -> dict[str, Any]:
        """The JSON object in it; empty if there is none."""
        try:
            fields = json.loads(self.data)
        except (ValueError, RecursionError):
            return {}
        return fields if isinstance(fields, dict) else {}


def drawings_in(path: str, name: str, note: Annotation, most: int | None) -> tuple[list[SourceEntry], int]:
    """The first `most` drawings of a file (all, if None), and the number of those that the game did not recognise.

    Unrecognised drawings are left out. The caption is the word that was to be drawn. A line that is not a drawing is
    refused when it is loaded.

    Args:
        path: path or URL of the file.
        name: name of the file in ids.
        note: annotation beside the file, which takes precedence over the word.

    Raises:
        UserError: if the storage fails, or a line is longer than a drawing can be.
    """
    entries: list[SourceEntry] = []
    unrecognised = 0
    for line in _lines(path):
        if len(entries) == most:
            break
        fields = line.fields()
        if fields.get("recognized") is False:
            unrecognised += 1
            continue
        word, key = fields.get("word"), fields.get("key_id")
        id_ = key if isinstance(key, str) and key.isalnum() else f"line {line.number}"
        entries.append(
            SourceEntry(
                id=f"{printable(name)}:{id_}",
                sha256=hashlib.sha256(line.data).hexdigest(),
                locator=json.dumps({"file": path, "offset": line.offset, "length": len(line.data)}),
                caption=note.caption or (text_line(word) if isinstance(word, str) else None),
                licence=note.licence,
                fault=note.fault,
            )
        )
    return entries, unrecognised


def read_drawing(entry: SourceEntry, canvas_px: int, num_frames: range) -> Footage:
    """White paper, and the drawing after each point of the pen.

    Args:
        entry: one of `drawings_in`.
        canvas_px, num_frames: see `footage.gather`.

    Raises:
        RefusedPicture: if it is no drawing, or has changed since the run was planned.
        StorageFault: if the storage fails.
    """
    place = json.loads(entry.locator)
    filesystem, path = open_storage(place["file"])
    end = place["offset"] + place["length"]
    data = read_patiently(lambda: bytes(filesystem.cat_file(path, start=place["offset"], end=end)), place["file"])
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise RefusedPicture("changed since the run was planned")
    return gather(_canvases(strokes_of(data), canvas_px), canvas_px, num_frames)


def strokes_of(data: bytes) -> list[Stroke]:
    """The strokes of a line of a file, in the order in which they were drawn.

    Raises:
        RefusedPicture: if it is no drawing.
    """
    drawing = _Line(data=data, offset=0, number=0).fields().get("drawing")
    if not isinstance(drawing, list) or not drawing:
        raise RefusedPicture("not a drawing of Quick, Draw!: no strokes")
    try:
        strokes = [np.array([stroke[0], stroke[1]], np.float64).T for stroke in drawing]
    except (ValueError, TypeError, IndexError, KeyError, OverflowError):
        raise RefusedPicture("not a drawing of Quick, Draw!: a stroke is not two lists of numbers") from None
    if any(stroke.ndim != 2 or not len(stroke) or not (np.abs(stroke) < 1e6).all() for stroke in strokes):
        raise RefusedPicture("not a drawing of Quick, Draw!: a stroke has no points, or places beyond any canvas")
    if sum(map(len, strokes)) > _MOST_POINTS:
        raise RefusedPicture(f"more than {_MOST_POINTS} points")
    return strokes


def _canvases(strokes: list[Stroke], side_px: int) -> Iterator[Frame]:
    points = np.concatenate(strokes)
    lowest, extent = points.min(0), np.ptp(points, axis=0)
    scale = (1 - 2 * _MARGIN) * side_px / max(float(extent.max()), 1e-6)
    start = (side_px - scale * extent) / 2
    canvas = np.full((side_px, side_px, 3), 255, np.uint8)
    yield canvas
    for stroke in strokes:
        placed = np.rint((start + (stroke - lowest) * scale) * (1 << _SHIFT)).astype(int).tolist()
        for before, after in itertools.pairwise([placed[0], *placed]):
            canvas = canvas.copy()
            thickness = max(1, round(_PEN_WIDTH * side_px))
            cv2.line(canvas, before, after, (0, 0, 0), thickness, cv2.LINE_AA, _SHIFT)
            yield canvas


def _lines(path: str) -> Iterator[_Line]:
    filesystem, locator = open_storage(path)
    try:
        with read_patiently(lambda: filesystem.open(locator, "rb"), path) as opened:
            file = io.BufferedReader(PatientFile(opened, path), 1 << 20)
            offset = 0
            for number in itertools.count(1):
                data = file.readline(_MOST_LINE_BYTES + 1)
                if not data:
                    return
                if len(data) > _MOST_LINE_BYTES:
                    raise UserError(f"{path}, line {number}: longer than {_MOST_LINE_BYTES} bytes")
                if data.strip():
                    yield _Line(data=data, offset=offset, number=number)
                offset += len(data)
    except StorageFault as fault:
        raise UserError(str(fault)) from fault
    except RefusedPicture as refused:
        raise UserError(f"{path}: {refused}") from refused
