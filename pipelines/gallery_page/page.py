"""One HTML file out of the page's parts and the data it shows.

Captions, names and reasons come from strangers. They reach the page only as JSON in a block that browsers do not run,
and the script writes them as text, never as markup. The content security policy names our one script and our one
style by hash, so that nothing else would run, or leave the page, even if that failed.
"""

import base64
import hashlib
import json
import string
from importlib.resources import files
from typing import Any

_PARTS = files(__package__)
_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def render_page(data: dict[str, Any]) -> bytes:
    """The whole page as UTF-8: no other file is needed, and the same data give the same bytes.

    Args:
        data: plain containers, see `Contents.to_plain`.
    """
    style, script = _part("page.css"), _part("card.js") + _part("wall.js")
    page = string.Template(_part("page.html")).substitute(
        policy=_policy(style, script), style=style, script=script, data=embed_json(data)
    )
    return page.encode()


def embed_json(value: Any) -> str:
    """JSON that can stand in a script block: nothing in it can end the block or begin a comment."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True)
    return text.translate(_ESCAPES)


def _part(name: str) -> str:
    return _PARTS.joinpath(name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; img-src data:; style-src {_source(style)}; script-src {_source(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _source(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return f"'sha256-{digest}'"
