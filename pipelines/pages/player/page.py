"""One HTML file that plays the frames beside it."""

import base64
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from pipelines.pages.html import fill_page

_PARTS = files(__package__)


def render_player(
    names: Sequence[str], frames_per_s: float, report: Mapping[str, Any], given: Mapping[int, bytes]
) -> bytes:
    """The page as UTF-8.

    Args:
        names: paths of the frames, relative to the page.
        frames_per_s: rate at which it plays.
        report: report of the process; its `first_frame`, `prompt`, `note`, `conditions`, `strokes` and settings are
            shown.
        given: frame -> PNG file of the picture that the user gave for it.
    """
    settings = {key: str(report[key]) for key in ("task", "seed", "steps", "guidance", "painter") if key in report}
    return fill_page(
        template=_part("page.html"),
        style=_part("page.css"),
        script=_part("page.js"),
        images="'self' data:",
        data={
            "frames": list(names),
            "framesPerS": frames_per_s,
            "given": [
                {"frame": frame, "src": f"data:image/png;base64,{base64.b64encode(picture).decode('ascii')}"}
                for frame, picture in sorted(given.items())
            ],
            "firstFrame": report.get("first_frame", 0),
            "caption": report["prompt"] or "A painting process",
            "facts": [*settings.items(), *_measures(report)],
            "note": report["note"],
        },
    )


def _measures(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values of what was measured. In strokes, frames are the strokes', and conditions the painter's."""
    strokes, measures, owner = report.get("strokes"), list[tuple[str, str]](), ""
    if strokes is not None:
        owner = "painter's "
        measures = [
            ("strokes against their target", _nearness(strokes)),
            ("arrival agreement of the strokes with the painter", f"{strokes['arrival_agreement']:.2f}"),
        ]
    conditions = report["conditions"]
    return measures + [(f"{owner}frame {each['frame']} against its picture", _nearness(each)) for each in conditions]


def _nearness(measured: Mapping[str, Any]) -> str:
    return f"PSNR {measured['psnr_db']:.2f} dB, SSIM {measured['ssim']:.3f}"


def _part(name: str) -> str:
    return _PARTS.joinpath(name).read_text(encoding="utf-8")
