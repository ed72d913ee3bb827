"""Printed sheets and lessons, converted back into pictures and text."""

import io
import time
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from conf.errors import ConfigError
from pipelines.exports import lesson, sheet
from pipelines.exports.inputs import Replay, from_dataset
from pipelines.exports.palette import TUBES, WHITE, Rgb, colours_in, mix_of, palette_of
from pipelines.exports.process import Frame, Process
from pipelines.exports.settings import PAGES_MM, PageName
from pipelines.exports.sheet import fitted, font_of
from renderers.painting import StrokeProgram
from tests.pipelines.exports.runs import Picture, grown, optional, settings


def a_font() -> bytes:
    """A sound TrueType file: the one that comes with Pillow."""
    font = ImageFont.load_default(10)
    assert isinstance(font, ImageFont.FreeTypeFont) and isinstance(font.path, io.BytesIO)
    return font.path.getvalue()


def pages(path: Path, dpi: int = 72) -> tuple[list[Picture], str]:
    """The pages of a PDF as pictures, and all its text."""
    document = optional("pypdfium2").PdfDocument(path)
    pictures = [np.asarray(page.render(scale=dpi / 72).to_pil().convert("RGB")) for page in document]
    return pictures, "\n".join(texts(path))


def texts(path: Path) -> list[str]:
    """The text of each page of a PDF."""
    return [page.get_textpage().get_text_range() for page in optional("pypdfium2").PdfDocument(path)]


def num_pictures(page: Picture, least_px: int) -> int:
    """The number of dark areas of a white page that have at least this width and height."""
    _, _, boxes, _ = cv2.connectedComponentsWithStats((page < 250).any(axis=2).astype(np.uint8))
    large = (boxes[1:, cv2.CC_STAT_WIDTH] >= least_px) & (boxes[1:, cv2.CC_STAT_HEIGHT] >= least_px)
    return int(large.sum())


def test_a_png_sheet_has_the_size_of_its_page(tmp_path: Path) -> None:
    sheet.write(grown(), settings(page="a5", dpi=100), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as page:
        assert sorted(page.size) == [round(148 / 25.4 * 100), round(210 / 25.4 * 100)]
        assert page.info["dpi"] == pytest.approx((100, 100), abs=0.01)


def test_a_pdf_sheet_is_one_page_of_the_paper_with_every_frame(tmp_path: Path) -> None:
    process = grown(6, phases=False)
    for frame in process.frames:
        frame.picture[:] = frame.picture // 2  # no white
    sheet.write(process, settings(page="letter", dpi=100), tmp_path / "a.pdf")
    pictures, _ = pages(tmp_path / "a.pdf", 100)
    assert len(pictures) == 1
    assert sorted(pictures[0].shape[:2]) == pytest.approx([850, 1100], abs=1)
    assert num_pictures(pictures[0], 100) == 6
    border = round(11 / 25.4 * 100)  # the margin is 12 mm
    inner = pictures[0][border:-border, border:-border]
    assert pictures[0].min(axis=2)[:border].min() > 250 and inner.min() < 150


@pytest.mark.parametrize(("num_frames", "width"), [(2, 64), (4, 64), (2, 1024)])
def test_a_sheet_states_the_licence_whole_whatever_its_frames_leave_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_frames: int, width: int
) -> None:
    written: list[tuple[float, str]] = []
    draw = ImageDraw.ImageDraw.text

    def noted(self: ImageDraw.ImageDraw, place: tuple[float, float], text: str, *rest: object) -> None:
        written.append((place[0], text))
        draw(self, place, text, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", noted)
    credit = "licence CC-BY-NC-SA-4.0, source " + "folder/" * 90 + "picture.jpg"
    process = replace(grown(num_frames, 1024, width, phases=False), credit=credit)
    sheet.write(process, settings(page="a5", margin_mm=40), tmp_path / "a.png")
    left, foot = written[-1]
    assert foot.startswith("licence CC-BY-NC-SA-4.0, source folder/") and foot.endswith("...")
    font = font_of(settings(), round(2.6 / 25.4 * 72))
    with Image.open(tmp_path / "a.png") as page:
        assert left >= 40 / 25.4 * 72 - 1 and left + font.getlength(foot) <= page.width - 40 / 25.4 * 72 + 1


_SHAPES = ((64, 1024), (64, 192), (64, 64), (173, 64), (192, 64), (1024, 64))  # as slender as `export` takes them


@pytest.mark.parametrize("page", PAGES_MM)
def test_a_lesson_has_room_for_pictures_of_every_shape(tmp_path: Path, page: PageName) -> None:
    optional("reportlab")
    for margin_mm in (0, 34):
        for height, width in _SHAPES:
            process = grown(3, height, width, phases=False)
            lesson.write(process, settings(page=page, margin_mm=margin_mm), tmp_path / "a.pdf")
            with_steps = [text for text in texts(tmp_path / "a.pdf") if "Step " in text]
            assert sum(text.count("Step ") for text in with_steps) == 2
            for text in with_steps:  # the facts of a step stand on its page, below its title and its pictures
                assert text.count("The step changes") == text.count("Step ")


@pytest.mark.parametrize("page", PAGES_MM)
def test_a_sheet_has_room_for_pictures_of_every_shape(tmp_path: Path, page: PageName) -> None:
    for height, width in _SHAPES:
        process = grown(5, height, width)
        for frame in process.frames:
            frame.picture[:] = frame.picture // 2  # no white
        sheet.write(process, settings(page=page, dpi=100), tmp_path / "a.png")
        least_px = round(5 / 25.4 * 100) - 1
        assert num_pictures(np.asarray(Image.open(tmp_path / "a.png")), least_px) == 5


def test_margins_that_leave_no_room_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="margin_mm=60"):
        sheet.write(grown(40, 200, 400), settings(page="a5", margin_mm=60), tmp_path / "a.pdf")
    for margin_mm in (35, 60):
        with pytest.raises(ConfigError, match=f"margin_mm={margin_mm}: not allowed; allowed: 0 to 34, .* on a5"):
            lesson.write(grown(), settings(page="a5", margin_mm=margin_mm), tmp_path / "a.pdf")


def test_a_font_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.ttf").write_text("no font")
    for made in (sheet, lesson):
        with pytest.raises(ConfigError, match=r"a\.ttf"):
            made.write(grown(), settings(font=tmp_path / "a.ttf"), tmp_path / "a.pdf")


@pytest.mark.parametrize("made", [sheet, lesson])
def test_a_damaged_font_is_one_line_that_names_it(tmp_path: Path, made: ModuleType) -> None:
    if made is lesson:
        optional("reportlab")
    font, process, sound = tmp_path / "a.ttf", grown(2), a_font()
    font.write_bytes(sound)
    made.write(process, settings(font=font), tmp_path / "a.pdf")
    random, num_refused = np.random.default_rng(0), 0
    for number in range(24):
        data = bytearray(sound)
        if number % 2:
            del data[random.integers(len(data)) :]
        else:
            for place in random.integers(0, len(data), 300):
                data[place] = random.integers(256)
        font.write_bytes(data)
        try:
            made.write(process, settings(font=font), tmp_path / "a.pdf")
        except ConfigError as error:
            num_refused += 1
            assert str(error).startswith(f"font={font}: not allowed") and "\n" not in str(error)
    assert num_refused >= 10


def test_a_sheet_of_a_very_long_caption_is_made_in_a_second(tmp_path: Path) -> None:
    text, font = "wide and narrow " * 1250, font_of(settings(), 20)
    start = time.perf_counter()
    for width_px in (0, 5, 50, 500, 5000):
        shown = fitted(text, font, width_px)
        cut = shown.removesuffix("...")
        assert text.startswith(cut) and shown != cut
        assert font.getlength(shown) <= max(width_px, font.getlength("..."))
        assert font.getlength(text[: len(cut) + 1] + "...") > width_px  # one more letter does not fit
    sheet.write(replace(grown(), caption=text, credit=text), settings(), tmp_path / "a.png")
    assert time.perf_counter() - start < 1
    assert fitted("short", font, 500) == "short"


def test_a_lesson_says_every_step_its_strokes_and_its_colours(painted: dict[str, Path], tmp_path: Path) -> None:
    optional("reportlab")
    process = from_dataset(painted["studio"], "00000000", Replay(num_frames=None, size=None))
    lesson.write(process, settings(), tmp_path / "a.pdf")
    pictures, text = pages(tmp_path / "a.pdf")
    assert len(pictures) >= 3 and all(picture.std() > 10 for picture in pictures)
    flat = " ".join(text.split())
    steps = [frame.step or 0 for frame in process.frames]
    for number, (before, after) in enumerate(pairwise(process.frames), 1):
        strokes = process.doing_between(before, after)
        assert len(strokes) == steps[number] - steps[number - 1] and strokes[-1] == after.doing
        title = flat.partition(f"Step {number} of {len(steps) - 1}: ")[2].partition(f" {len(strokes)} stroke")[0]
        assert Counter(strokes).most_common(1)[0][0] in title.lower()  # and not only what the last stroke does
        assert f"{steps[number] - steps[number - 1]} stroke" in flat and f"{steps[number]} in all" in flat
    assert process.title in flat and process.credit in flat and "median width" in flat
    assert any(tube in flat for tube in TUBES)


def test_a_lesson_mixes_what_its_medium_is_mixed_from() -> None:
    """Opaque paint has white tubes; transparent paint has water, and the bare paper is none of its colours."""
    picture = Image.new("RGB", (100, 100), (240, 238, 230))
    blank = np.asarray(picture)
    ImageDraw.Draw(picture).rectangle((0, 0, 99, 49), (190, 190, 190))
    arrays = {"density": np.array(3, np.float32)}
    none = np.zeros((0, 26), np.float32)
    program = StrokeProgram(family="brush", strokes=none, canvas=(1, 1, 1), height_px=100, width_px=100, arrays=arrays)
    process = of_pictures(blank, np.asarray(picture))
    told = {
        medium: _cover_text(replace(process, caption=caption, program=strokes))
        for medium, caption, strokes in (
            ("oil", "a woman in pencil skirt", None), ("wash", "a", program),
            ("watercolour", "a, drawn and painted in watercolour", None), ("pencil", "a, drawn in pencil", None),
        )
    }  # fmt: skip
    assert told["watercolour"].replace("A, drawn and painted in watercolour", "A") == told["wash"]
    assert "2 main colours" in told["oil"] and WHITE in told["oil"] and "water" not in told["oil"]
    assert "1 main colour:" in told["wash"] and WHITE not in told["wash"] and "water" in told["wash"]
    assert "1 main colour:" in told["pencil"] and not any(tube in told["pencil"] for tube in TUBES)


def _cover_text(process: Process) -> str:
    """The text of a lesson's cover."""
    optional("reportlab")
    with TemporaryDirectory() as folder:
        lesson.write(process, settings(), Path(folder) / "a.pdf")
        return " ".join(pages(Path(folder) / "a.pdf")[1].split())


def test_a_lesson_of_frames_alone_says_no_more_than_it_knows(tmp_path: Path) -> None:
    optional("reportlab")
    lesson.write(grown(), settings(), tmp_path / "a.pdf")
    _, text = pages(tmp_path / "a.pdf")
    assert "Step 1 of 4: Doing 1 & more" in text and "Squares <here>" in text
    assert "stroke" not in text and "width" not in text


def test_main_colours_are_those_of_the_picture() -> None:
    picture = Image.new("RGB", (100, 100), (200, 30, 40))
    ImageDraw.Draw(picture).rectangle((0, 0, 99, 29), (20, 60, 200))
    colours = palette_of(np.asarray(picture), 8)
    assert [colour.rgb for colour in colours] == [(200, 30, 40), (20, 60, 200)]
    assert [colour.share for colour in colours] == [0.7, 0.3]


def test_a_tube_is_mixed_of_itself_and_a_tint_of_it_and_white() -> None:
    for name, (rgb, _) in TUBES.items():
        mix, distance = mix_of(rgb)
        assert set(mix.parts) == {name} and distance < 8
    mix, _ = mix_of((150, 150, 150))
    assert set(mix.parts) == {"titanium white", "ivory black"}
    assert str(mix).count("+") == 1 and sum(mix.parts.values()) <= 10


_PALE: dict[str, Rgb] = {
    "lavender sky": (208, 212, 232), "blue sky": (190, 215, 240), "pink": (235, 190, 200), "skin": (246, 220, 205),
    "pale leaves": (193, 218, 176), "lime": (182, 210, 42),
}  # fmt: skip


@pytest.mark.parametrize("name", _PALE)
def test_a_pale_colour_is_a_touch_of_a_strong_tube_in_much_white(name: str) -> None:
    mix, distance = mix_of(_PALE[name])
    assert distance < 6 and "with a touch of" in str(mix)


def test_colours_that_ten_parts_give_are_still_mixed_of_ten_parts() -> None:
    for rgb in ((150, 150, 150), (120, 80, 60), (60, 90, 50), (200, 120, 90), (90, 130, 170), (230, 200, 90)):
        mix, distance = mix_of(rgb)
        assert distance < 3.5 and sum(mix.parts.values()) <= 10


def test_colours_that_look_alike_are_listed_once() -> None:
    whites = np.linspace(250, 255, 96 * 96).astype(np.uint8).reshape(96, 96, 1).repeat(3, axis=2)
    whites[:8, :24] = (200, 30, 40)
    colours = palette_of(whites, 8)
    assert len(colours) == 2 and colours[1].rgb == (200, 30, 40)
    assert sum(colour.share for colour in colours) == pytest.approx(1)


def test_a_step_is_listed_under_colours_that_are_in_it() -> None:
    """A drawing in dark brown on a painting that ends in red and blue has neither of them."""
    finished = np.zeros((10, 10, 3), np.uint8)
    finished[:5], finished[5:] = (200, 30, 40), (20, 60, 200)
    palette = palette_of(finished, 8)
    numbers, own = colours_in(np.array([(60, 45, 35)] * 9 + [(20, 60, 200)], np.uint8), palette)
    assert [palette[number].rgb for number in numbers] == [(20, 60, 200)]
    assert [colour.rgb for colour in own] == [(60, 45, 35)] and own[0].mix.parts


def of_pictures(*pictures: Picture, doing: str = "", phase: str = "") -> Process:
    """A process of these pictures: the first has the phase `blank`, and all have the same description."""
    frames = [Frame(picture=one, phase=phase if at else "blank", doing=doing) for at, one in enumerate(pictures)]
    return Process(name="a", caption="", credit="", frames=tuple(frames))


def test_what_nobody_sees_is_not_what_is_new(tmp_path: Path) -> None:
    optional("reportlab")
    noise = np.random.default_rng(1).integers(0, 2, (64, 64, 3), np.uint8)
    base = np.full((64, 64, 3), 120, np.uint8)
    painted = base + noise
    painted[:16] = (200, 30, 40)
    lesson.write(of_pictures(base, painted, painted ^ 1), settings(), tmp_path / "a.pdf")
    _, text = pages(tmp_path / "a.pdf")
    assert "The step changes 25 % of the picture." in text
    assert "The step changes less than 1 % of the picture." in text


def test_a_step_that_lays_the_whole_ground_says_so(tmp_path: Path) -> None:
    optional("reportlab")
    white, ground = np.full((64, 64, 3), 255, np.uint8), np.full((64, 64, 3), 90, np.uint8)
    drawn = ground.copy()
    drawn[10:12] = 240
    process = of_pictures(white, drawn, ground, doing="drawing the upper right", phase="drawing")
    lesson.write(process, settings(), tmp_path / "a.pdf")
    _, text = pages(tmp_path / "a.pdf")
    assert "Step 1 of 2: Toning the ground, then drawing the upper right" in text
    assert "Step 2 of 2: Drawing the upper right" in text


def test_the_palette_of_a_tall_picture_stands_on_the_first_page(tmp_path: Path) -> None:
    optional("reportlab")
    hues = np.random.default_rng(3).integers(0, 256, (8, 1, 3), np.uint8)
    tall = hues.repeat(95, axis=0).repeat(230, axis=1)
    lesson.write(of_pictures(np.full_like(tall, 255), tall), settings(page="a5"), tmp_path / "a.pdf")
    first, second, *_ = texts(tmp_path / "a.pdf")
    assert "8 main colours" in first and "scrap paper" in first and "Step 1 of 1" in second


def test_a_white_swatch_has_an_outline(tmp_path: Path) -> None:
    optional("reportlab")
    white = np.full((64, 64, 3), 255, np.uint8)
    lesson.write(of_pictures(white, white), settings(), tmp_path / "a.pdf")
    (cover, *_), _ = pages(tmp_path / "a.pdf", 100)
    is_line = cv2.erode((cover < 240).all(axis=2).astype(np.uint8), np.ones((1, 50), np.uint8))
    assert is_line.any(), "no line is as long as a swatch is wide"
