"""Stroke programs of strangers: numbers, and no more of them than the file holds; kernels look at no bounds."""

import io
import tracemalloc
import zipfile
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from renderers import renderer
from renderers.painting import StrokeProgram
from tests.fuzz.datasets import program_arrays
from tests.fuzz.mutations import npz

FAMILIES = ("bezier", "brush", "agent", "region")


def replayed(arrays: dict[str, Any]) -> None:
    program = StrokeProgram.from_bytes(npz(arrays))
    list(renderer(program.family).replay(program, [0, len(program.strokes)]))


@pytest.mark.parametrize("family", FAMILIES)
def test_sound_programs_are_replayed(family: str) -> None:
    replayed(program_arrays(family))


@pytest.mark.parametrize(
    ("family", "columns"),
    [(family, columns) for family in FAMILIES for columns in (0, 1, 3, 12, 40) if family != "region" or columns < 2],
)
def test_strokes_of_too_few_or_too_many_numbers_reach_no_kernel(family: str, columns: int) -> None:
    strokes = np.zeros((50_000, columns), "<f4")
    with pytest.raises(ValueError, match=r"numbers|label map"):
        replayed({**program_arrays(family), "strokes": strokes})


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 3e38, -3e38, 1e9, 70_000.5])
def test_numbers_that_are_none_or_beyond_any_canvas_reach_no_kernel(family: str, number: float) -> None:
    strokes = program_arrays(family)["strokes"].copy()
    strokes[:, 0] = number
    with pytest.raises(ValueError, match=r"finite|beyond|\[0, 1\]|label map"):
        replayed({**program_arrays(family), "strokes": strokes})


def test_radii_below_nothing_reach_no_kernel() -> None:
    for family in ("bezier", "brush"):
        strokes = program_arrays(family)["strokes"].copy()
        strokes[0, 6] = -1
        with pytest.raises(ValueError, match="negative radius"):
            replayed({**program_arrays(family), "strokes": strokes})


@pytest.mark.parametrize(
    "square", [(0, 0, 1e-9), (0, 0, 0), (0, 0, -1), (-1, 0, 1), (5, 0, 1), (0, 1, 0.5), (0, 0, 2)], ids=str
)
def test_squares_beside_the_canvas_or_too_small_are_refused(square: tuple[float, ...]) -> None:
    strokes = program_arrays("agent")["strokes"].copy()
    strokes[:, 13:] = square
    with pytest.raises(ValueError, match="squares that are outside the canvas"):
        replayed({**program_arrays("agent"), "strokes": strokes})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("strokes", np.zeros((2, 13), object)),
        ("strokes", np.zeros((2, 13), complex)),
        ("strokes", np.zeros((2, 13), "<f8")),
        ("strokes", np.zeros((2, 13), "V4")),
        ("strokes", np.zeros((2, 13), "datetime64[s]")),
        ("strokes", np.zeros((2, 13, 1), "<f4")),
        ("strokes", np.zeros(13, "<f4")),
        ("canvas", np.array([0.5, np.nan, 0.5], "<f4")),
        ("canvas", np.array([0.5, 1e30, 0.5], "<f4")),
        ("canvas", np.ones(4, "<f4")),
        ("size_px", np.array([0, 24], "<i4")),
        ("size_px", np.array([-5, 24], "<i4")),
        ("size_px", np.array([2**31 - 1, 24], "<i4")),
        ("size_px", np.array([20, 24, 3], "<i4")),
        ("family_x", np.array([{"a": 1}], object)),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_arrays_of_other_kinds_shapes_and_ranges_are_refused(name: str, value: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match="not a stroke program"):
        StrokeProgram.from_bytes(npz({**program_arrays("bezier"), name: value}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("family_relief", np.float32(1e30)),
        ("family_density", np.float32(-1)),
        ("family_density", np.zeros(2, "<f4")),
        ("family_brush_cover", np.zeros((0, 4, 4), np.uint8)),
        ("family_brush_cover", np.zeros((2, 1, 8), np.uint8)),
        ("family_brush_relief", np.zeros((2, 6, 9), np.uint8)),
        ("family_brush_cover", np.zeros((2, 6, 8), np.float32)),
    ],
)
def test_brushes_that_are_none_are_refused(name: str, value: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match=r"texture|relief|density|cover"):
        replayed({**program_arrays("brush"), name: np.asarray(value)})


def label_png(height: int, width: int, label: int = 0) -> NDArray[np.uint8]:
    encoded: NDArray[np.uint8] = cv2.imencode(".png", np.full((height, width), label, np.uint8))[1].ravel()
    return encoded


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("family_labels", label_png(21, 24)),
        ("family_labels", label_png(20, 24, 7)),
        ("family_labels", np.frombuffer(b"P5 24 20 255 " + bytes(480), np.uint8)),
        ("family_picture", label_png(2000, 2000)),
        ("family_fill", np.array("reboot")),
        ("strokes", np.zeros((0, 2), "<f4")),
    ],
)
def test_regions_that_are_none_are_refused(name: str, value: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match=r"label map|decoded|filled|steps of regions"):
        replayed({**program_arrays("region"), name: value})


def test_archives_that_unpack_to_more_than_they_are_are_refused_unread() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in program_arrays("bezier").items():
            archive.writestr(f"{name}.npy", npz({name: array}))
        archive.writestr("family_bomb.npy", bytes(200_000_000))
    tracemalloc.start()
    with pytest.raises(ValueError, match="longer than the file"):
        StrokeProgram.from_bytes(buffer.getvalue())
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


def test_arrays_whose_header_says_more_than_there_is_take_no_room() -> None:
    data = npz({**program_arrays("bezier"), "family_x": np.zeros(7, "<f4")})
    lying = data.replace(b"'shape': (7,), }", b"'shape': (9**9,)"[:16].replace(b"9**9", b"9999"))
    assert lying != data
    with pytest.raises(ValueError, match="not a stroke program"):
        StrokeProgram.from_bytes(lying)
