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
        report: report of the process; its `first_frame`, `prompt`, `note`, `conditions` and settings are shown.
        given: frame -> PNG file of the picture that the user gave for it.
    """
    conditions = [
        (f"frame {each['frame']} against its picture", f"PSNR {each['psnr_db']:.2f} dB, SSIM {each['ssim']:.3f}")
        for each in report["conditions"]
    ]
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
            "facts": [*settings.items(), *conditions],
            "note": report["note"],
        },
    )


def _part(name: str) -> str:
    return _PARTS.joinpath(name).read_text(encoding="utf-8")
