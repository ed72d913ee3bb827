"""Settings of formats: the keys of `conf/export.yaml` that concern only some formats."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from conf.errors import ConfigError

PageName = Literal["a3", "a4", "a5", "letter", "tabloid"]
PAGES_MM: dict[PageName, tuple[float, float]] = {
    "a3": (297.0, 420.0),
    "a4": (210.0, 297.0),
    "a5": (148.0, 210.0),
    "letter": (215.9, 279.4),
    "tabloid": (279.4, 431.8),
}
"""(width, height) in portrait orientation."""
MM_PER_INCH = 25.4


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of formats; `conf/export.yaml` says what each key means.

    Attributes:
        font: a TrueType file for sheets and lessons; None for the font that is included.
    """

    animated: bool
    seconds: float
    hold: float
    page: PageName
    margin_mm: float
    dpi: int
    pen_mm: float
    font: Path | None

    def __post_init__(self) -> None:
        ranges = {
            "seconds": (0.1, 600),
            "hold": (0, 60),
            "margin_mm": (0, 60),
            "dpi": (72, 600),
            "pen_mm": (0.05, 5),
        }
        for key, (lowest, highest) in ranges.items():
            if not lowest <= getattr(self, key) <= highest:
                raise ConfigError(key, getattr(self, key), f"{lowest} to {highest}")
        if self.font is not None and not self.font.is_file():
            raise ConfigError("font", self.font, "a TrueType file that is there")

    def page_mm(self, *, wide: bool) -> tuple[float, float]:
        """(width, height) of the page; it is turned if `wide`."""
        width, height = PAGES_MM[self.page]
        return (height, width) if wide else (width, height)

    def frame_ms(self, num_frames: int) -> list[int]:
        """Milliseconds for which each frame is shown: `seconds` for all together, and `hold` more for the last."""
        ends = [round(1000 * self.seconds * (number + 1) / num_frames) for number in range(num_frames)]
        lengths = [end - start for start, end in zip([0, *ends[:-1]], ends, strict=True)]
        lengths[-1] += round(1000 * self.hold)
        return lengths
