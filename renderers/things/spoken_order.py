"""An order in words, such as "the sky first, then the house; the tree last": from a text to the order of things."""

import re
from collections.abc import Sequence

from conf.errors import ConfigError

EXAMPLE = "words such as 'sky first, then the house'"

_CLAUSES = re.compile(r"[,;.]|\bthen\b")
_LAST = re.compile(r"\b(last|finally|at the end)\b")
_AFTER = re.compile(r"\bafter\b")
_ARTICLE = re.compile(r"^(the|a|an) ")


def is_spoken(order: str) -> bool:
    """Whether an order is in words, not the name of one."""
    return " " in order.strip()


def spoken_order(text: str, names: Sequence[str]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Labels of the things that a text names, in its order: those that come first, and those that come last.

    Clauses end at commas, semicolons and "then". "A after B" puts B first; what is said with "last" or "finally" comes
    after all that is not named.

    Args:
        text: in any case; things are called by their whole name or its last word.
        names: by label; several things may have one name.

    Raises:
        ConfigError: if it names nothing of the picture.
    """
    first: list[int] = []
    last: list[int] = []
    for clause in _CLAUSES.split(text.lower()):
        mentioned = sorted((place, label) for label, name in enumerate(names) if (place := _place(name, clause)) >= 0)
        labels = [label for _, label in mentioned]
        if _AFTER.search(clause):
            labels.reverse()
        (last if _LAST.search(clause) else first).extend(labels)
    first, last = list(dict.fromkeys(first)), list(dict.fromkeys(last))
    if not first and not last:
        raise ConfigError("order", text, f"words that name things of the picture: {', '.join(dict.fromkeys(names))}")
    return tuple(label for label in first if label not in last), tuple(last)


def _place(name: str, clause: str) -> int:
    """Where a clause calls a thing by name; -1 where it does not."""
    plain = _ARTICLE.sub("", name.lower())
    if not plain:
        return -1
    for spoken in (plain, plain.split()[-1]):
        if mention := re.search(rf"\b{re.escape(spoken)}(e?s)?\b", clause):
            return mention.start()
    return -1
