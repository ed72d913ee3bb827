"""Plotter SVG: lines in millimetres, on the page, and nothing filled."""

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.exports import plotter
from pipelines.exports.inputs import Replay, from_dataset
from tests.pipelines.exports.runs import of_strokes, rastered, settings

_SVG = "{http://www.w3.org/2000/svg}"
_NUMBER = r"(-?[0-9.]+)"
_PATH = re.compile(rf"M{_NUMBER} {_NUMBER}Q{_NUMBER} {_NUMBER} {_NUMBER} {_NUMBER}")


def test_nothing_is_filled_and_all_lines_stay_within_the_margins(painted: dict[str, Path], tmp_path: Path) -> None:
    process = from_dataset(painted["bezier"], "00000000", Replay(num_frames=None, size=None))
    plotter.write(process, settings(page="a5", margin_mm=20), tmp_path / "a.svg")
    root = ElementTree.parse(tmp_path / "a.svg").getroot()
    assert (root.get("width"), root.get("height"), root.get("viewBox")) == ("148.0mm", "210.0mm", "0 0 148.0 210.0")
    assert root.get("fill") == "none" and root.get("stroke-width") == "0.3"
    kinds = {element.tag.removeprefix(_SVG) for element in root.iter()}
    assert kinds == {"svg", "title", "desc", "g", "path"}
    paths = list(root.iter(f"{_SVG}path"))
    assert not any(path.get("fill") or path.get("style") for path in paths) and len(paths) > 100
    along = np.linspace(0, 1, 33)[:, None]
    for path in paths:
        match = _PATH.fullmatch(path.get("d") or "")
        assert match is not None
        first, middle, last = np.array([float(number) for number in match.groups()]).reshape(3, 2)
        line = (1 - along) ** 2 * first + 2 * along * (1 - along) * middle + along**2 * last
        assert (line >= 20).all() and (line <= (148 - 20, 210 - 20)).all()
    assert rastered(tmp_path / "a.svg").std() > 0  # resvg sees lines


def test_a_wide_picture_lies_on_a_wide_page(tmp_path: Path) -> None:
    rows = np.array([[0.1, 0.5, 0.5, 0.5, 1.9, 0.5, 0.1, 0.1, 1, 1, 1, 0, 0]], np.float32)
    plotter.write(of_strokes(rows, 32, 64), settings(), tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text()
    assert 'width="297.0mm" height="210.0mm"' in text and 'stroke="#ff0000"' in text


@given(points=st.lists(st.floats(-20, 30), min_size=6, max_size=6))
def test_pieces_of_a_curve_are_all_of_it_that_is_inside(points: list[float]) -> None:
    """The oracle walks along the curve and looks where it is."""
    curve = (complex(*points[0:2]), complex(*points[2:4]), complex(*points[4:6]))
    pieces = list(plotter.inside(curve, 10, 8))

    def length(path: list[complex]) -> float:
        return float(np.abs(np.diff(path)).sum())

    along = np.linspace(0, 1, 4001)
    walked = [plotter._at(curve, float(t)) for t in along]
    within = [0 <= point.real <= 10 and 0 <= point.imag <= 8 for point in walked]
    expected = sum(
        abs(end - start) for start, end, a, b in zip(walked, walked[1:], within, within[1:], strict=False) if a and b
    )
    drawn = [[plotter._at(piece, float(t)) for t in np.linspace(0, 1, 200)] for piece in pieces]
    for path in drawn:
        assert all(-1e-6 <= p.real <= 10 + 1e-6 and -1e-6 <= p.imag <= 8 + 1e-6 for p in path)
    assert sum(map(length, drawn)) == pytest.approx(expected, abs=0.2)
