"""Markdown pages with texts from strangers: names, captions and licences are escaped."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from conf.printable import printable

_MEANS_SOMETHING = re.compile(r"([\\`*_{}\[\]()#+!|~&<>$:@])")


def plain(text: str) -> str:
    """A text on one line in which no character has a meaning for Markdown or HTML."""
    return _MEANS_SOMETHING.sub(r"\\\1", printable(text)).replace("\\<", "&lt;").replace("\\>", "&gt;")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells are Markdown already."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def front_matter(fields: Mapping[str, Any]) -> str:
    """The head of a card."""
    return f"---\n{yaml.safe_dump(dict(fields), sort_keys=False, allow_unicode=True, width=math.inf)}---\n"
