"""An order in words, such as "the sky first, then the house; the tree last": from a text to the order of things."""

import re
from collections.abc import Sequence

from conf.errors import ConfigError

EXAMPLE = "words such as 'sky first, then the house'"

_CLAUSES = re.compile(r"[,;.]|\bthen\b")
_BEFORE_CLAUSE = re.compile(r"((?:^|[,;.]|\bthen\b)\s*before\b[^,;.]*),")  # "before B, A" is one clause
_LAST = re.compile(r"\b(last|lastly|finally|at the (very )?end|in the end)\b")
_AFTER, _NOT = re.compile(r"\bafter\b"), re.compile(r"\bnot\b|n't\b")
_REST = re.compile(r"\b((every|all|any)(thing)?( else)?|(the )?(rest|others?))\b")
_ARTICLE = re.compile(r"^(the|a|an) ")
_PLACES = ("part", "side", "middle", "left", "right")  # things that are named by where they are have no shorter name
_FILLERS = re.compile(
    rf"{_LAST.pattern}|{_REST.pattern}|\b(first|second|third|next|now|and|also|paint(ed)?|before|after|the|an?)\b|\W"
)


def is_spoken(order: str) -> bool:
    """Whether an order is in words, and not the name of an order."""
    return " " in order.strip()


def check_spoken(order: str) -> None:
    """Check that an order in words can be followed.

    Raises:
        ConfigError: if it says what should not be.
    """
    if _NOT.search(order.lower()):
        raise ConfigError("order", order, "words that say what comes when, without 'not'")


def spoken_order(text: str, names: Sequence[str]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Labels of the things that a text names, in its order: those that come first, and those that come last.

    Clauses end at commas, semicolons and "then". "A after B" and "after B, A" put B first. What is named with
    "last" or "finally", or after "the rest" or "everything else", comes after all things that are not named.

    Args:
        text: in any case; things are called by their whole name or, unless that is a place, its last word.
        names: by label; several things may have one name.

    Raises:
        ConfigError: if it names nothing of the picture, or says what should not be.
    """
    check_spoken(text)
    first: list[int] = []
    last: list[int] = []
    rest_is_named = False
    for clause in _CLAUSES.split(_BEFORE_CLAUSE.sub(r"\1", text.lower())):
        at_last = bool(_LAST.search(clause))
        for label in _in_order(clause, names):
            if label is None:
                rest_is_named = True
            else:
                (last if at_last or rest_is_named else first).append(label)
    if not first and not last:
        raise ConfigError("order", text, f"words that name things of the picture: {', '.join(dict.fromkeys(names))}")
    first, last = list(dict.fromkeys(first)), list(dict.fromkeys(last))
    return tuple(label for label in first if label not in last), tuple(last)


def names_the_rest(text: str) -> bool:
    """Whether an order says when all that it does not name is painted."""
    return bool(_REST.search(text.lower()))


def not_understood(text: str, names: Sequence[str]) -> tuple[str, ...]:
    """Clauses of an order that name something which is not there."""
    clauses = (clause.strip() for clause in _CLAUSES.split(text.lower()))
    return tuple(clause for clause in clauses if _FILLERS.sub("", clause) and not _mentions(clause, names))


def _in_order(clause: str, names: Sequence[str]) -> list[int | None]:
    """The things of a clause, from the first to be painted; None stands for all others."""
    mentions = [*_mentions(clause, names)]
    if rest := _REST.search(clause):
        mentions.append((rest.start(), None))
    labels = [label for _, label in sorted(mentions, key=lambda mention: mention[0])]
    stripped = clause.strip()
    if (_AFTER.search(clause) and not stripped.startswith("after")) or stripped.startswith("before"):
        labels.reverse()
    return labels


def _mentions(clause: str, names: Sequence[str]) -> list[tuple[int, int | None]]:
    """Where a clause names which things: by whole names, and by last words that are no part of a whole name."""
    plain = [_ARTICLE.sub("", name.lower()) for name in names]
    whole = [_span_of(name, clause) for name in plain]
    taken = [span for span in whole if span is not None]
    mentions: list[tuple[int, int | None]] = []
    for label, (name, span) in enumerate(zip(plain, whole, strict=True)):
        if span is None and name and (short := name.split()[-1]) not in (name, *_PLACES):
            span = _span_of(short, clause)
            if span is not None and any(start <= span[0] < end for start, end in taken):
                span = None
        if span is not None:
            mentions.append((span[0], label))
    return mentions


def _span_of(name: str, clause: str) -> tuple[int, int] | None:
    mention = re.search(rf"\b{re.escape(name)}(e?s)?\b", clause) if name else None
    return None if mention is None else mention.span()
