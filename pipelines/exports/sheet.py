"""A print sheet: all frames of a process on one page, with their numbers of strokes, as PDF or PNG."""

from bisect import bisect_right
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from conf.errors import ConfigError
from pipelines.exports.process import Process
from pipelines.exports.settings import MM_PER_INCH, Settings

_TEXT_MM, _TITLE_MM, _GAP_MM = 2.6, 5.0, 3.0
_LEAST_MM = 5.0  # short side of a picture
_JPEG_QUALITY = 95
_BLACK, _GREY = (0, 0, 0), (110, 110, 110)
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def write(process: Process, settings: Settings, path: Path) -> None:
    """Write one process.

    Raises:
        ConfigError: if the margins leave no room, or the font cannot be read.
    """
    try:
        page = _page(process, settings)
    except OSError as error:  # a damaged font may load and fail only when letters are drawn; no other file is read
        if settings.font is None:
            raise
        raise refused_font(settings.font, error) from error
    if path.suffix.lower() == ".png":
        page.save(path, "PNG", dpi=(settings.dpi, settings.dpi))
    else:  # without dates, so that the bytes are always the same
        page.save(
            path, "PDF", resolution=settings.dpi, quality=_JPEG_QUALITY, title=process.title, creationDate=None,
            modDate=None,
        )  # fmt: skip


def _page(process: Process, settings: Settings) -> Image.Image:
    height, width = process.size_px
    dots = settings.dpi / MM_PER_INCH
    page_mm = max(
        (settings.page_mm(wide=wide) for wide in (False, True)),
        key=lambda size: _arranged(process, settings, size)[1],
    )
    columns, scale_mm = _arranged(process, settings, page_mm)
    if scale_mm * min(height, width) < _LEAST_MM:
        allowed = f"less, or a larger page: {settings.page} has no room for {len(process.frames)} such pictures"
        raise ConfigError("margin_mm", settings.margin_mm, allowed)
    page = Image.new("RGB", (round(page_mm[0] * dots), round(page_mm[1] * dots)), "white")
    draw = ImageDraw.Draw(page)
    text = font_of(settings, round(_TEXT_MM * dots))
    cell_width, cell_height = width * scale_mm * dots, height * scale_mm * dots
    gap, line = _GAP_MM * dots, 2 * _TEXT_MM * dots
    inner = columns * cell_width + (columns - 1) * gap
    left, top = (page.width - inner) / 2, settings.margin_mm * dots
    full_size = font_of(settings, round(_TITLE_MM * dots))
    shrunk = max(_TEXT_MM, _TITLE_MM * min(1.0, inner / max(1.0, full_size.getlength(process.title))))
    title = font_of(settings, int(shrunk * dots))
    draw.text((left, top), fitted(process.title, title, inner), _BLACK, title)
    top += 2 * _TITLE_MM * dots
    for number, frame in enumerate(process.frames):
        x, y = left + number % columns * (cell_width + gap), top + number // columns * (cell_height + line + gap)
        picture = Image.fromarray(frame.picture)
        page.paste(
            picture.resize((round(cell_width), round(cell_height)), Image.Resampling.LANCZOS), (round(x), round(y))
        )
        draw.text((x, y + cell_height + line / 4), fitted(process.label(number), text, cell_width), _BLACK, text)
    margin = settings.margin_mm * dots
    credit = fitted(process.credit, text, page.width - 2 * margin)  # frames may be narrower than a licence's name
    draw.text(
        (min(left, page.width - margin - text.getlength(credit)), page.height - margin - _TEXT_MM * dots),
        credit,
        _GREY,
        text,
    )
    return page


def _arranged(process: Process, settings: Settings, page_mm: tuple[float, float]) -> tuple[int, float]:
    """Number of columns for which frames are largest on a page, and mm per pixel then."""
    room_x = page_mm[0] - 2 * settings.margin_mm
    room_y = page_mm[1] - 2 * settings.margin_mm - 2 * _TITLE_MM - 2 * _TEXT_MM
    return arranged(len(process.frames), process.size_px, (room_x, room_y), _GAP_MM, 2 * _TEXT_MM)


def arranged(
    count: int, size_px: tuple[int, int], room: tuple[float, float], gap: float, line: float
) -> tuple[int, float]:
    """Number of columns for which pictures of the same size are largest in an area, and the size of a pixel then.

    Args:
        count: number of pictures.
        size_px: (height, width) of a picture.
        room: (width, height) of the area, in any unit.
        gap: space between two pictures, in the same unit.
        line: height of the text below each picture, in the same unit.
    """
    (height, width), best = size_px, (1, 0.0)
    for columns in range(1, count + 1):
        rows = -(-count // columns)
        across = (room[0] - (columns - 1) * gap) / (columns * width)
        down = (room[1] - rows * (line + gap)) / (rows * height)
        best = max(best, (columns, min(across, down)), key=lambda choice: choice[1])
    return best


def font_of(settings: Settings, size_px: int) -> _Font:
    """The user's font, or the one that comes with Pillow.

    Raises:
        ConfigError: if the file is not a font.
    """
    if settings.font is None:
        return ImageFont.load_default(max(1, size_px))
    try:
        return ImageFont.truetype(settings.font, max(1, size_px))
    except OSError as error:
        raise refused_font(settings.font, error) from error


def refused_font(font: Path, error: Exception) -> ConfigError:
    """The error for a file that is not a font, or a damaged one."""
    return ConfigError("font", font, f"a sound TrueType file ({' '.join(str(error).split()) or type(error).__name__})")


def fitted(text: str, font: _Font, width_px: float) -> str:
    """A text, cut off with dots if it is wider than the room.

    The place of the cut is found by halving, and little more is measured than fits: a caption may have many thousands
    of letters.
    """
    limit = 64
    while limit < len(text) and font.getlength(text[:limit]) <= width_px:
        limit *= 2
    if limit >= len(text) and font.getlength(text) <= width_px:
        return text
    candidates = range(min(limit, len(text)))  # numbers of letters that may fit, with the dots
    num_fitting = bisect_right(candidates, width_px, key=lambda count: font.getlength(text[:count] + "..."))
    return text[: max(0, num_fitting - 1)] + "..."
