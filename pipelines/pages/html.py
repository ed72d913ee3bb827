"""Builds pages that are single files: a template, a style, a script and the data that are shown.

Captions, names and reasons are untrusted. They reach a page only as JSON in a block that browsers do not run, and the
script writes them as text, never as markup. The content security policy names the page's script and style by their
hashes, so that nothing else could run or be sent elsewhere, even if that failed.
"""

import base64
import hashlib
import json
import string
from typing import Any

_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def fill_page(*, template: str, style: str, script: str, data: dict[str, Any], images: str = "data:") -> bytes:
    """The whole page as UTF-8; the same parts and data give the same bytes.

    Args:
        template: HTML with $policy, $style, $script and $data.
        style, script: the style and the script of the page.
        data: plain containers.
        images: sources of pictures that the content security policy allows, in its syntax.
    """
    policy = (
        f"default-src 'none'; img-src {images}; style-src {_source(style)}; script-src {_source(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    page = string.Template(template).substitute(policy=policy, style=style, script=script, data=embed_json(data))
    return page.encode()


def embed_json(value: Any) -> str:
    """JSON that can be embedded in a script block: nothing in it can end the block or begin a comment."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True)
    return text.translate(_ESCAPES)


def _source(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return f"'sha256-{digest}'"
