"""A lesson for teachers, as PDF: the finished painting, a palette with mixes, then each step in pictures and words.

It is typeset by reportlab.
"""

import io
import string
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from conf.errors import ConfigError
from pipelines.exports.palette import WHITE, Colour, Rgb, colours_in, palette_of, visibly_changed, without_colour
from pipelines.exports.process import Paint, Picture, Process
from pipelines.exports.settings import Settings
from pipelines.exports.sheet import refused_font
from renderers.raster.ribbon import R0, R2
from training.data.pixels import png_of

if TYPE_CHECKING:
    from reportlab.platypus import Flowable, Table

_NUM_COLOURS = 8
_FADED = 0.25  # opacity of what earlier steps painted, in the picture that shows what is new
_SWATCH_MM = 9.0
_GAP_MM = 4.0  # between the two pictures of a step
_LEAST_ROOM_MM = 80.0  # between the margins: then 24 mm are left for the palette's column of mixes, enough for words
_TALLEST_STEP_SHARE = 0.6  # of the height between the margins: title, facts and swatches are on the same page
_LEAST_PICTURE_SHARE = 0.2  # of the same height, even if the text would leave less
_PADDING_MM = 9.0  # padding that reportlab keeps around the text of a page and of a table
_GROUND = "toning the ground"
_GROUND_SHARE = 0.5  # of a blank canvas: a step that changes more lays a ground
_OUTLINE = "#999999"  # colour around swatches and pictures, which may be white
_LEAST_ACTIVITY = 0.15  # share of a step's strokes that names an activity in its title
_PAGES = "On the pages that follow, the left picture is the painting after a step, and the right one what is new in it."
_MIXES = (
    "Mixes are computed (Kubelka and Munk) from rough values of common paints and the colours of a screen: a "
    "beginning, to be tried on scrap paper."
)
_CAVEATS = {"opaque": f"{_PAGES} {_MIXES}", "transparent": f"{_PAGES} {_MIXES} White is the paper.", "dry": _PAGES}


@dataclass(frozen=True, kw_only=True)
class _Step:
    """What the lesson says about one step.

    Attributes:
        new: (H, W), True where the step changed the picture.
        facts: sentences about the step.
        colours: labels and colours of the swatches; labels are numbers of the palette, or letters for colours that
            only this step has.
        mixes: a line for each colour that only this step has.
    """

    title: str
    new: NDArray[np.bool_]
    facts: str
    colours: list[tuple[str, Rgb]]
    mixes: list[str]


def write(process: Process, settings: Settings, path: Path) -> None:
    """Write one process.

    Raises:
        ConfigError: if the margins leave no room, or the font cannot be read.
    """
    from reportlab.lib.units import mm
    from reportlab.platypus import KeepTogether, PageBreak, SimpleDocTemplate

    width_mm, height_mm = settings.page_mm(wide=False)
    room_mm = width_mm - 2 * settings.margin_mm
    if room_mm < _LEAST_ROOM_MM:
        allowed = f"0 to {(width_mm - _LEAST_ROOM_MM) / 2:g}, for a lesson on {settings.page}"
        raise ConfigError("margin_mm", settings.margin_mm, allowed)
    styles = _styles(settings, process)
    colours = _palette(process)
    inner_mm = height_mm - 2 * settings.margin_mm
    story: list[Flowable] = [*_cover(process, colours, styles, room_mm, inner_mm), PageBreak()]
    for number in range(1, len(process.frames)):
        story.append(KeepTogether(_step_flowables(process, number, colours, styles, room_mm, inner_mm)))
    document = SimpleDocTemplate(
        str(path), pagesize=(width_mm * mm, height_mm * mm), title=process.title, author="process-painter",
        leftMargin=settings.margin_mm * mm, rightMargin=settings.margin_mm * mm,
        topMargin=settings.margin_mm * mm, bottomMargin=settings.margin_mm * mm,
        invariant=1,  # without a date and a random id
    )  # fmt: skip
    document.build(story)


def _styles(settings: Settings, process: Process) -> dict[str, Any]:
    """Paragraph styles by name; a font of the user is tried first.

    Raises:
        ConfigError: if the font cannot be read, or has no sound outlines for the letters of the process.
    """
    from reportlab.lib.styles import ParagraphStyle

    plain, bold = "Helvetica", "Helvetica-Bold"
    if settings.font is not None:
        plain = bold = "own"
        try:
            _register(plain, settings.font, _letters(process))
        except Exception as error:  # struct.error, KeyError and more: reportlab does not check what it reads
            raise refused_font(settings.font, error) from error
    return {
        "title": ParagraphStyle("title", fontName=bold, fontSize=20, leading=25, spaceAfter=8),
        "step": ParagraphStyle("step", fontName=bold, fontSize=13, leading=17, spaceBefore=6, spaceAfter=4),
        "text": ParagraphStyle("text", fontName=plain, fontSize=10, leading=14),
        "small": ParagraphStyle("small", fontName=plain, fontSize=8, leading=11, textColor="#666666", spaceBefore=6),
    }


def _register(name: str, font: Path, letters: str) -> None:
    """Make a font file known to reportlab, after a document with these letters could be made with it.

    Raises:
        Exception: of any kind, if the file is damaged.
    """
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont
    from reportlab.pdfgen.canvas import Canvas

    pdfmetrics.registerFont(TTFont(name, str(font)))
    canvas = Canvas(io.BytesIO())
    canvas.setFont(name, 10)
    canvas.drawString(0, 0, letters)
    canvas.save()  # only this reads the outlines


def _letters(process: Process) -> str:
    """All letters that a lesson may contain."""
    texts = (process.title, process.credit, *(frame.doing for frame in process.frames))
    return "".join(sorted({*string.ascii_letters, *string.digits, *string.punctuation, " ", *"".join(texts)}))


def _cover(
    process: Process, colours: list[Colour], styles: dict[str, Any], room_mm: float, height_mm: float
) -> list["Flowable"]:
    """The finished painting, as large as the palette leaves room for, and the palette."""
    from reportlab.platypus import Paragraph

    steps = len(process.frames) - 1
    last = process.frames[-1].step
    strokes = "" if last is None else f", {last} {process.step_word}s"
    plural = "" if len(colours) == 1 else "s"
    title = Paragraph(escape(process.title), styles["title"])
    below = [
        Paragraph(f"{steps} steps{strokes}. {len(colours)} main colour{plural}:", styles["step"]),
        _palette_table(colours, process.paint, styles, room_mm),
        Paragraph(_CAVEATS[process.paint], styles["small"]),
        Paragraph(escape(process.credit), styles["small"]),
    ]
    picture_mm = _width_mm(process, room_mm, _picture_height_mm([title, *below], room_mm, height_mm))
    return [title, _image(process.frames[-1].picture, picture_mm), *below]


def _palette(process: Process) -> list[Colour]:
    """The main colours of the finished painting; of paint that does not cover, without the bare paper."""
    colours = palette_of(process.frames[-1].picture, _NUM_COLOURS)
    if process.paint == "opaque":
        return colours
    return without_colour(colours, np.median(process.frames[0].picture.reshape(-1, 3), axis=0)) or colours


def _palette_table(colours: list[Colour], paint: Paint, styles: dict[str, Any], room_mm: float) -> "Table":
    """A row for each colour: its number, a swatch of it, its share, the tubes to mix, and a swatch of the mix."""
    from reportlab.lib.units import mm
    from reportlab.platypus import Paragraph, Table

    heads = ("", "colour", "share", *(("mix", "gives") if paint != "dry" else ("", "")))
    rows: list[list[Any]] = [[Paragraph(text, styles["small"]) for text in heads]]
    fills: list[tuple[Any, ...]] = [("VALIGN", (0, 0), (-1, -1), "MIDDLE")]
    for number, colour in enumerate(colours, 1):
        mix = Paragraph(_mixed(colour, paint), styles["text"])
        rows.append([str(number), "", f"{100 * colour.share:.0f} %", mix, ""])
        fills += _filled(1, number, colour.rgb)
        if paint != "dry":
            fills += _filled(4, number, colour.mix.rgb)
    fixed = [6, 18, 14, room_mm - 6 - 18 - 14 - 18, 18]
    return Table(rows, [side * mm for side in fixed], style=[*fills, ("TOPPADDING", (0, 0), (-1, -1), 1)], repeatRows=1)


def _step_flowables(
    process: Process,
    number: int,
    colours: list[Colour],
    styles: dict[str, Any],
    room_mm: float,
    height_mm: float,
) -> list["Flowable"]:
    """The painting after the step, what is new in it, and text."""
    from reportlab.lib.units import mm
    from reportlab.platypus import Paragraph, Spacer, Table

    step = _step(process, number, colours)
    picture = process.frames[number].picture
    faded = np.where(step.new[..., None], picture, 255 - _FADED * (255 - picture.astype(np.float32)))
    title = Paragraph(escape(step.title), styles["step"])
    below = [
        Paragraph(escape(step.facts), styles["text"]),
        *_swatches(step.colours),
        *(Paragraph(escape(line), styles["text"]) for line in step.mixes),
        Spacer(1, 8 * mm),
    ]
    tallest_mm = min(_TALLEST_STEP_SHARE * height_mm, _picture_height_mm([title, *below], room_mm, height_mm))
    half = _width_mm(process, (room_mm - _GAP_MM) / 2, tallest_mm)
    outlined = [("BOX", (column, 0), (column, 0), 0.25, _OUTLINE) for column in (0, 2)]  # white ends somewhere
    pictures = Table(
        [[_image(picture, half), "", _image(faded.astype(np.uint8), half)]],
        [half * mm, _GAP_MM * mm, half * mm],
        style=[*((f"{side}PADDING", (0, 0), (-1, -1), 0) for side in ("LEFT", "RIGHT", "TOP", "BOTTOM")), *outlined],
    )
    return [title, pictures, *below]


def _swatches(colours: list[tuple[str, Rgb]]) -> list["Flowable"]:
    """A row of colours with their labels; nothing if there are none."""
    from reportlab.lib.units import mm
    from reportlab.platypus import Table

    if not colours:
        return []
    style = [part for at, (_, rgb) in enumerate(colours) for part in _filled(at, 0, rgb)]
    style += [("TEXTCOLOR", (at, 0), (at, 0), _ink_on(rgb)) for at, (_, rgb) in enumerate(colours)]
    return [Table([[label for label, _ in colours]], [_SWATCH_MM * mm] * len(colours), hAlign="LEFT", style=style)]


def _step(process: Process, number: int, colours: list[Colour]) -> _Step:
    frame, before = process.frames[number], process.frames[number - 1]
    new = visibly_changed(before.picture, frame.picture)
    percent = f"{100 * new.mean():.0f}" if new.mean() >= 0.01 else "less than 1"
    facts = [f"The step changes {percent} % of the picture."]
    if frame.step is not None and before.step is not None:
        count = frame.step - before.step
        facts.insert(0, f"{count} {process.step_word}{'' if count == 1 else 's'}, {frame.step} in all.")
        width = _median_width(process, before.step, frame.step)
        if width is not None:
            facts.insert(1, f"Their median width is {width:.1f} % of the short side.")
    used, own = colours_in(frame.picture[new], colours) if new.any() else ([], [])
    doing = _doing(process, number, float(new.mean()))
    title = f"Step {number} of {len(process.frames) - 1}" + (f": {doing}" if doing else "")
    lettered = list(zip("abc", own, strict=False))
    swatches = [(str(index + 1), colours[index].rgb) for index in used]
    swatches += [(letter, colour.rgb) for letter, colour in lettered]
    mixes = [f"{letter}: {mix}" for letter, colour in lettered if (mix := _mixed(colour, process.paint))]
    return _Step(title=title, new=new, facts=" ".join(facts), colours=swatches, mixes=mixes)


def _doing(process: Process, number: int, share: float) -> str:
    """What a step does, with a capital letter: the activities of its strokes in their order, without rare ones.

    A ground is added where hardly a stroke laid it.
    """
    frame, before = process.frames[number], process.frames[number - 1]
    strokes = process.doing_between(before, frame)
    counts = Counter(strokes)
    least = min(_LEAST_ACTIVITY * len(strokes), max(counts.values(), default=0))
    activities = [doing for doing, count in counts.items() if count >= least] or [frame.doing]
    if before.phase == "blank" and share > _GROUND_SHARE and _GROUND not in activities:
        activities.insert(0, _GROUND)
    doing = ", then ".join(activities)
    return doing[:1].upper() + doing[1:]


def _mixed(colour: Colour, paint: Paint) -> str:
    """What to mix, and how far the mix is from the colour if it is far; nothing for a medium that is not mixed."""
    if paint == "dry":
        return ""
    mix = str(colour.mix) if paint == "opaque" else str(colour.mix).replace(WHITE, "water")
    return mix + (f" (dE {colour.distance:.0f} off)" if colour.distance >= 5 else "")


def _median_width(process: Process, start: int, end: int) -> float | None:
    """The median width of some strokes, in percent of the short side; None if widths are unknown."""
    program = process.program
    if program is None or program.family not in ("bezier", "brush", "studio") or end <= start:
        return None
    rows = program.strokes[start:end]
    return float(100 * np.median(rows[:, R0] + rows[:, R2]))


def _width_mm(process: Process, widest_mm: float, tallest_mm: float) -> float:
    """The width at which a frame is printed, so that it exceeds neither the widest nor the tallest size."""
    height, width = process.size_px
    return min(widest_mm, tallest_mm * width / height)


def _picture_height_mm(flowables: list["Flowable"], room_mm: float, height_mm: float) -> float:
    """The height that is left for a picture on one page with these flowables, but at least the least share."""
    from reportlab.lib.units import mm

    heights = (flowable.wrap((room_mm - _PADDING_MM) * mm, height_mm * mm)[1] for flowable in flowables)
    gaps = (flowable.getSpaceBefore() + flowable.getSpaceAfter() for flowable in flowables)
    text_mm: float = (sum(heights) + sum(gaps)) / mm
    return max(_LEAST_PICTURE_SHARE * height_mm, height_mm - _PADDING_MM - text_mm)


def _image(picture: Picture, width_mm: float) -> "Flowable":
    from reportlab.lib.units import mm
    from reportlab.platypus import Image

    height, width = picture.shape[:2]
    image: Flowable = Image(io.BytesIO(png_of(picture)), width_mm * mm, width_mm * mm * height / width)
    return image


def _filled(column: int, row: int, rgb: Rgb) -> list[tuple[Any, ...]]:
    """The background of a cell, and its outline."""
    from reportlab.lib.colors import Color

    cell = ((column, row), (column, row))
    return [("BACKGROUND", *cell, Color(*(value / 255 for value in rgb))), ("BOX", *cell, 0.5, _OUTLINE)]


def _ink_on(rgb: Rgb) -> str:
    """Black or white, whichever is more readable on a colour."""
    return "black" if 0.3 * rgb[0] + 0.6 * rgb[1] + 0.1 * rgb[2] > 128 else "white"
