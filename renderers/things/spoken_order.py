"""An order in words, such as "the sky first, then the house; the tree last": from a text to the order of things.

It reads what `_SHAPES` lists, clause by clause, and refuses all else in one line.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from conf.errors import ConfigError
from renderers.things.order_words import LAST, REST, Symbol, symbols_of

EXAMPLE = "words such as 'sky first, then the house'"

_THINGS = "T(?:aT)*"
_EARLIER, _LATER = f"(?P<earlier>{_THINGS})", f"(?P<later>{_THINGS})"
_LINK = rf"(?:[,;]+a?|a)[tb]+,?|[tb]+|[,;]+a?|a(?=P)|(?<=P)a(?={_THINGS}P)"
_AT_END = "(?=;|$)"
_SHAPES = tuple(
    (kind, re.compile(rf"{shape}(?:(?P<link>{_LINK})|$)"))
    for kind, shape in (
        ("list with a place", r"(?P<earlier>T(?:,T)*,?aT)P"),  # the sky, the lake and the house first
        ("leading place", rf"(?:P|(?<!,)P,){_EARLIER}"),  # finally the sky and the lake
        ("place", rf"{_EARLIER}(?:P|,P{_AT_END})"),  # the sky and the lake last; the sky and the lake, both last
        ("relation", rf"{_LATER}A{_EARLIER}"),  # the lake after the sky
        ("relation", rf"{_LATER},A{_EARLIER}{_AT_END}"),
        ("relation", rf"{_EARLIER}B{_LATER}"),  # the sky before the lake
        ("relation", rf"{_EARLIER},B{_LATER}{_AT_END}"),
        ("leading relation", rf"(?<!,)A{_EARLIER},?{_LATER}"),  # after the sky, the lake
        ("leading relation", rf"(?<!,)B{_LATER},?{_EARLIER}{_AT_END}"),  # before the lake, the sky
        ("things", _EARLIER),  # the sky and the lake
    )
)
"""What a clause may be; T is a thing, P a place, A "after", B "before", a "and", t "then", b "but"."""

_UNCLEAR = "clauses such as 'A first', 'B and C last' or 'D after E', with one place for each thing"
_CONTRADICTION = "words that do not contradict each other about what comes when, with one place for each thing"


@dataclass(frozen=True)
class _Clause:
    """One of `_SHAPES`.

    Attributes:
        link: what stands between it and the clause before.
        groups: its things; with "before" and "after" two groups, the earlier one first.
        place: 1 for the first, LAST for the last; 0 if it says none.
    """

    kind: str
    link: str
    groups: tuple[tuple[Symbol, ...], ...]
    place: float

    @property
    def things(self) -> list[Symbol]:
        return [thing for group in self.groups for thing in group]


def is_spoken(order: str) -> bool:
    """Whether an order is in words, and not the name of an order."""
    return " " in order.strip()


def check_spoken(order: str) -> None:
    """Check that an order in words can be followed, as far as that does not depend on what a picture holds.

    Raises:
        ConfigError: if it says what should not be, or not clearly what comes when.
    """
    _clauses(order, ())


def spoken_order(text: str, names: Sequence[str]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Labels of the things that a text names, in its order: those that come first, and those that come last.

    What is last, or comes after "the rest" or "everything else", comes after all things that are not named.

    Args:
        text: in any case; things are called by their whole name or, unless that is a location, its last word.
        names: by label; several things may have one name.

    Raises:
        ConfigError: if it names nothing of the picture, says what should not be, or not clearly what comes when.
    """
    check_spoken(text)
    clauses = _clauses(text, names)
    if {label for clause in clauses for thing in clause.things for label in thing.labels} <= {REST}:
        raise ConfigError("order", text, f"words that name things of the picture: {', '.join(dict.fromkeys(names))}")
    if not names_the_rest(text, names):
        before_last = len(clauses) - (clauses[-1].place == LAST)
        clauses.insert(before_last, _Clause("things", "", ((Symbol("T", len(text), labels=(REST,)),),), 0))
    labels = _labels_in_order(text, clauses)
    middle = labels.index(REST)
    return tuple(labels[:middle]), tuple(labels[middle + 1 :])


def names_the_rest(text: str, names: Sequence[str]) -> bool:
    """Whether an order, which `spoken_order` reads, says when all that it does not name is painted."""
    return any(symbol.labels == (REST,) for symbol in symbols_of(text, names))


def not_understood(text: str, names: Sequence[str]) -> tuple[str, ...]:
    """The words of an order, which `spoken_order` reads, for things that are not there: "the table first"."""
    plain = text.lower()
    symbols = [*(symbol for symbol in symbols_of(text, names) if symbol.sign != "P"), Symbol("", len(plain))]
    return tuple(
        plain[symbol.start : following.start].strip()
        for symbol, following in pairwise(symbols)
        if symbol.sign == "T" and not symbol.labels
    )


def _clauses(text: str, names: Sequence[str]) -> list[_Clause]:
    """The clauses of a text by what comes when.

    Raises:
        ConfigError: if that is not clear.
    """
    symbols = symbols_of(text, names)
    signs = "".join(symbol.sign for symbol in symbols)
    position = len(signs) - len(signs.lstrip(",;"))
    signs = signs.rstrip(",;")
    clauses: list[_Clause] = []
    link = ""
    while position < len(signs) or link:
        matches = [(kind, match) for kind, shape in _SHAPES if (match := shape.match(signs, position))]
        if not matches:
            raise ConfigError("order", text, _UNCLEAR)
        kind, match = matches[0]
        spans = [match.span(group) for group in ("earlier", "later") if group in match.groupdict()]
        groups = [tuple(symbol for symbol in symbols[slice(*span)] if symbol.sign == "T") for span in spans]
        place = max(symbol.place for symbol in symbols[position : match.end()])
        if kind == "list with a place" and place == LAST and "," in match["earlier"]:  # is it all that is last?
            raise ConfigError("order", text, _UNCLEAR)
        clauses.append(_Clause(kind, link, tuple(groups), place))
        link, position = match["link"] or "", match.end()
    if any(_are_a_list(previous, clause) for previous, clause in pairwise(clauses)):
        raise ConfigError("order", text, _UNCLEAR)
    return _by_place(text, clauses)


def _are_a_list(previous: _Clause, clause: _Clause) -> bool:
    """Whether what one of two clauses says could be meant for both."""
    if previous.kind == "leading place" and previous.place == LAST and not clause.place:  # "finally A, then B"
        return True
    if not set(clause.link) <= {",", "a"}:
        return False
    is_several = "a" in clause.link or len(clause.groups[0]) > 1
    return {
        ("things", "relation"): True,  # "A, B after C"
        ("things", "place"): clause.place != LAST,  # "A, B first"
        ("things", "list with a place"): True,  # "A and B, C and D last"
        ("place", "things"): "a" in clause.link,  # "A last, and B"
        ("relation", "things"): is_several,  # "A after B, C and D"
    }.get((previous.kind, clause.kind), False)


def _by_place(text: str, clauses: Sequence[_Clause]) -> list[_Clause]:
    """The clauses in the order of their places; those without a place stay behind what they follow in the text.

    Raises:
        ConfigError: if that contradicts "then", or leaves a place empty.
    """
    ranks: list[float] = []  # 1.5: after what is first
    for clause in clauses:
        ranks.append(clause.place or max([1.5, *(rank for rank in ranks if rank != LAST)]))
    if any("t" in clauses[index].link and ranks[index] < ranks[index - 1] for index in range(1, len(clauses))):
        raise ConfigError("order", text, "nothing that comes after what is last, and 'first' without 'then'")
    ordered = [clauses[index] for index in sorted(range(len(clauses)), key=ranks.__getitem__)]
    if ranks.count(LAST) > 1:
        raise ConfigError("order", text, _UNCLEAR)
    num_groups = num_things = 0
    for clause in ordered:
        if clause.place not in (0, LAST) and not num_groups < clause.place <= num_things + 1:
            raise ConfigError("order", text, "'first', 'second' and so on without gaps, each for what comes there")
        num_groups, num_things = num_groups + len(clause.groups), num_things + len(clause.things)
    return ordered


def _labels_in_order(text: str, clauses: Sequence[_Clause]) -> list[int]:
    """The labels of all things, each once.

    Raises:
        ConfigError: if a thing has several places, or what is said with "before" and "after" does not come true.
    """
    whole = {label for clause in clauses for thing in clause.things if not thing.is_short for label in thing.labels}
    ordered: list[int] = []
    relations: list[list[list[int]]] = []
    for clause in clauses:
        groups = [[label for thing in group for label in _labels_of(thing, whole)] for group in clause.groups]
        labels = [label for group in groups for label in group]
        relations += [groups] if len(groups) == 2 else []
        if len(labels) > len({*labels} - {*ordered}) and (len(groups) == 1 or "t" in clause.link):  # "A; B after A"
            raise ConfigError("order", text, _CONTRADICTION)
        ordered += dict.fromkeys(label for label in labels if label not in ordered)
    if any(ordered.index(a) >= ordered.index(b) for earlier, later in relations for a in earlier for b in later):
        raise ConfigError("order", text, _CONTRADICTION)
    return ordered


def _labels_of(thing: Symbol, whole: set[int]) -> Sequence[int]:
    """The labels of a thing; "the other houses" are those that are not called by their whole names."""
    others = [label for label in thing.labels if label not in whole]
    return others if thing.is_short and others else thing.labels
