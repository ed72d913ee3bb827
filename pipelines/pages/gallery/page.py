"""Builds the gallery's page from its parts and the data that it shows."""

from importlib.resources import files
from typing import Any

from pipelines.pages.html import fill_page

_PARTS = files(__package__)


def render_page(data: dict[str, Any]) -> bytes:
    """The whole page as UTF-8: no other file is needed, and the same data give the same bytes.

    Args:
        data: plain containers, see `Contents.to_plain`.
    """
    return fill_page(
        template=_part("page.html"), style=_part("page.css"), script=_part("card.js") + _part("wall.js"), data=data
    )


def _part(name: str) -> str:
    return _PARTS.joinpath(name).read_text(encoding="utf-8")
