"""SVG: other programs draw it as the painting, stroke by stroke."""

import io
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pipelines.exports import svg
from pipelines.exports.inputs import Replay, from_dataset
from pipelines.exports.outline import outline
from pipelines.exports.process import Process
from pipelines.exports.strokes import strokes_of
from renderers import brush
from renderers.brush.canvas import program_arrays
from renderers.brush.stroke import FAR_RED, NUM_BRUSH_COLUMNS
from renderers.brush.texture import BrushTexture
from renderers.painting import StrokeProgram
from tests.pipelines.exports.runs import of_strokes, psnr, rastered, settings
from tests.pipelines.pages.gallery_visit import a_chromium

_SVG = "{http://www.w3.org/2000/svg}"
_AS_STORED = Replay(num_frames=None, size=None)


def stored(painted: dict[str, Path], name: str) -> Process:
    return from_dataset(painted[name], "00000000", _AS_STORED)


def written(process: Process, path: Path, *, animated: bool = False) -> Path:
    svg.write(process, settings(animated=animated), path)
    return path


def stroke(*numbers: float) -> NDArray[np.float32]:
    """One row: three points, two radii, two opacities; black."""
    return np.array([[*numbers, 0, 0, 0]], np.float32)


def test_smooth_strokes_are_drawn_alike_by_resvg(painted: dict[str, Path], tmp_path: Path) -> None:
    process = stored(painted, "bezier")
    assert psnr(rastered(written(process, tmp_path / "a.svg")), process.frames[-1].picture) > 35


@pytest.mark.skipif(shutil.which("rsvg-convert") is None, reason="librsvg is not on this machine")
def test_smooth_strokes_are_drawn_alike_by_librsvg(painted: dict[str, Path], tmp_path: Path) -> None:
    process = stored(painted, "bezier")
    path = written(process, tmp_path / "a.svg")
    subprocess.run(["rsvg-convert", path, "-o", tmp_path / "a.png"], check=True)
    drawn = np.asarray(Image.open(tmp_path / "a.png").convert("RGB"))
    assert psnr(drawn, process.frames[-1].picture) > 35


@pytest.mark.parametrize(("name", "least_db"), [("oil", 25), ("studio", 25), ("ink", 18)])
def test_textured_strokes_lose_texture_and_keep_the_picture(
    painted: dict[str, Path], tmp_path: Path, name: str, least_db: float
) -> None:
    """The blank canvas is the contrast: what is kept must be far more than that."""
    process = stored(painted, name)
    drawn = rastered(written(process, tmp_path / "a.svg"))
    finished = process.frames[-1].picture
    assert psnr(drawn, finished) > max(least_db, psnr(process.frames[0].picture, finished) + 6)


def test_ink_darkens_what_is_below_and_paint_hides_it(painted: dict[str, Path], tmp_path: Path) -> None:
    for name, multiplied in {"ink": True, "oil": False}.items():
        text = written(stored(painted, name), tmp_path / f"{name}.svg").read_text(encoding="utf-8")
        assert ("mix-blend-mode:multiply" in text) == multiplied


def test_an_amount_of_ink_above_1_is_drawn_as_it_is_painted() -> None:
    """Data sets hold such amounts; replaying them takes 1 for them."""
    mark = BrushTexture(np.full((1, 8, 16), 255, np.uint8), np.zeros((1, 8, 16), np.uint8))
    one = np.zeros((1, NUM_BRUSH_COLUMNS), np.float32)
    one[0, : FAR_RED + 3] = (0.2, 0.5, 0.5, 0.5, 0.8, 0.5, 0.3, 0.3, 1, 1, 0.35, 0.5, 0.9, 0.7, 1.0, 1.8)
    program = StrokeProgram(
        family="brush", strokes=one, canvas=(1, 1, 1), height_px=64, width_px=64, arrays=program_arrays(mark, 1.0, 0.0)
    )
    (canvas,) = brush.RENDERER.replay(program, [1])
    (drawn,) = strokes_of(program)
    for stop in drawn.stops:
        np.testing.assert_allclose(stop.rgb, canvas[int(stop.at.imag), int(stop.at.real)], atol=0.03)


def test_every_stroke_is_there_in_order_in_the_group_of_its_frame(painted: dict[str, Path], tmp_path: Path) -> None:
    process = stored(painted, "studio")
    root = ElementTree.parse(written(process, tmp_path / "a.svg")).getroot()
    assert process.program is not None
    groups = root.findall(f"{_SVG}g")
    steps = [frame.step or 0 for frame in process.frames]
    added = [number for number in np.diff(steps) if number]
    assert [len(group.findall(f"{_SVG}path")) for group in groups] == added
    paths = [path.get("d") for group in groups for path in group.findall(f"{_SVG}path")]
    assert paths == [outline(one) for one in strokes_of(process.program)]
    labels = [group.get("{http://www.inkscape.org/namespaces/inkscape}label") for group in groups]
    assert labels == [
        process.label(number) for number in range(len(steps)) if number and steps[number] > steps[number - 1]
    ]


@trials(max_examples=60, deadline=None)
@given(
    points=st.lists(st.floats(0.1, 0.9), min_size=6, max_size=6),
    radius=st.floats(0.0, 0.2),
    taper=st.floats(0.0, 1.0),
)
def test_the_outline_of_any_stroke_is_what_our_rasteriser_fills(
    points: list[float], radius: float, taper: float
) -> None:
    """Hairpins, dots, and strokes wider than they are long included; those that turn back are of one width."""
    x0, y0, x1, y1, x2, y2 = points
    turns_back = (x1 - x0) * (x2 - x1) + (y1 - y0) * (y2 - y1) < 0
    process = of_strokes(stroke(*points, radius, radius * (1 if turns_back else taper), 1, 1), 96, 96)
    drawn = rastered("".join(svg._lines(process, settings()))).astype(int)
    different = np.abs(drawn - process.frames[-1].picture).max(axis=2)
    assert (different > 128).mean() < 0.004  # of pixels that one draws and the other does not
    assert different.mean() < 3


@pytest.mark.parametrize(
    "numbers",
    [
        (0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.2, 0.1),  # a dot
        (0.2, 0.5, 0.9, 0.5, 0.2, 0.5, 0.1, 0.1),  # there and back
        (0.2, 0.5, 0.9, 0.5, 0.4, 0.5, 0.1, 0.1),  # and not quite back
        (0.2, 0.2, 0.2, 0.2, 0.8, 0.8, 0.1, 0.1),  # begins standing still
        (0.3, 0.3, 0.8, 0.31, 0.3, 0.32, 0.12, 0.12),  # a hairpin
    ],
)
def test_strokes_that_turn_on_the_spot_have_no_holes(numbers: tuple[float, ...]) -> None:
    process = of_strokes(stroke(*numbers, 1, 1), 96, 96)
    drawn = rastered("".join(svg._lines(process, settings()))).astype(int)
    different = np.abs(drawn - process.frames[-1].picture).max(axis=2)
    assert (different > 128).mean() < 0.004


def test_opacity_goes_from_one_end_to_the_other() -> None:
    process = of_strokes(stroke(0.1, 0.5, 0.5, 0.5, 0.9, 0.5, 0.1, 0.1, 0.1, 0.9))
    drawn = rastered("".join(svg._lines(process, settings()))).astype(int)
    np.testing.assert_allclose(drawn[32], process.frames[-1].picture[32], atol=5)
    assert drawn[32, 8, 0] > drawn[32, 32, 0] + 50 > drawn[32, 56, 0] + 100


def test_an_animated_svg_hides_each_stroke_until_its_time(painted: dict[str, Path], tmp_path: Path) -> None:
    process = stored(painted, "bezier")
    path = written(process, tmp_path / "a.svg", animated=True)
    still = written(process, tmp_path / "b.svg")
    times = [float(time) for time in re.findall(r'begin="again.begin" dur="([0-9.]+)s"', path.read_text())]
    assert len(times) == 150 and times == sorted(times) and times[0] > 0 and times[-1] == pytest.approx(2, abs=0.01)
    assert 'begin="0s;again.end" dur="3.00s"' in path.read_text()  # and again after the finished one was held
    np.testing.assert_array_equal(rastered(path), rastered(still))  # for whoever does not play it


def test_what_strangers_say_of_a_painting_is_text_and_nothing_else(tmp_path: Path) -> None:
    process = of_strokes(stroke(0.1, 0.5, 0.5, 0.5, 0.9, 0.5, 0.1, 0.1, 1, 1))
    hostile = '</title><script>hacked=1</script> & "quoted" <!--'
    frames = (process.frames[0], replace(process.frames[1], doing=hostile))
    path = written(replace(process, caption=hostile, credit=hostile, frames=frames), tmp_path / "a.svg")
    root = ElementTree.parse(path).getroot()
    assert {element.tag.removeprefix(_SVG) for element in root.iter()} == {"svg", "title", "desc", "rect", "g", "path"}
    assert root.findtext(f"{_SVG}desc") == hostile


@pytest.mark.browser
def test_a_browser_plays_the_animated_svg_again_and_again(painted: dict[str, Path], tmp_path: Path) -> None:
    process = stored(painted, "bezier")
    path = written(process, tmp_path / "a.svg", animated=True)
    with a_chromium() as browser:
        page = browser.new_context(viewport={"width": 128, "height": 128}).new_page()
        page.goto(path.as_uri())

        def at(second: float) -> NDArray[np.uint8]:
            page.evaluate(
                "t => { const s = document.documentElement; s.pauseAnimations(); s.setCurrentTime(t); }", second
            )
            return np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))

        blank, half, finished, again = at(0.001), at(1), at(2.5), at(3.001)
    np.testing.assert_allclose(blank.astype(int), process.frames[0].picture, atol=2)
    assert psnr(finished, process.frames[-1].picture) > 35
    assert psnr(half, process.frames[2].picture) > 30  # of five frames in two seconds
    np.testing.assert_array_equal(again, blank)
