"""One HTML file that shows the processes in the folders beside it."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any, NotRequired
from urllib.parse import quote

from typing_extensions import TypedDict

from pipelines.inference.own_files import PROVENANCE
from pipelines.pages.html import fill_page
from training.data.plain import OPEN, Number, Whole

_PARTS = files(__package__)


class _Condition(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]

    frame: Whole
    psnr_db: Number


class _Strokes(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]

    psnr_db: Number


class ShownReport(TypedDict):
    """The fields of a `report.json` that are shown."""

    __pydantic_config__ = OPEN  # type: ignore[misc]

    conditions: list[_Condition]
    strokes: NotRequired[_Strokes]


def render_overview(reports: Mapping[str, Mapping[str, Any]]) -> bytes:
    """The page as UTF-8.

    Args:
        reports: name of a folder -> its report.
    """
    processes = [
        {
            "name": name,
            "page": f"{quote(name)}/index.html",
            "sheet": f"{quote(name)}/sheet.png",
            "kept": ", ".join(_measures(report)),
        }
        for name, report in reports.items()
    ]
    return fill_page(
        template=_part("page.html"),
        style=_part("page.css"),
        script=_part("page.js"),
        images="'self'",
        data={"processes": processes, "note": PROVENANCE},
    )


def _measures(report: Mapping[str, Any]) -> list[str]:
    """What was measured. In strokes, the frames on the sheet are the strokes', and the conditions the painter's."""
    strokes, measures, owner = report.get("strokes"), list[str](), ""
    if strokes is not None:
        owner, measures = "painter's ", [f"strokes: {strokes['psnr_db']:.2f} dB"]
    return measures + [f"{owner}frame {each['frame']}: {each['psnr_db']:.2f} dB" for each in report["conditions"]]


def _part(name: str) -> str:
    return _PARTS.joinpath(name).read_text(encoding="utf-8")
