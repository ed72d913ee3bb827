"""The words of an order that a person puts in words, as a row of signs: things, places, and what links them.

"The sky first, then the house and the lake" is the row `TP,tTaT`: T is a thing, P a place, A "after", B "before",
a "and", t "then", b "but"; a comma and a semicolon stand for themselves.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from conf.errors import ConfigError

LAST = math.inf
"""The place of what comes after everything else; the first has place 1, the second 2."""

REST = -1
"""Stands, among labels, for all things that are not named."""

_REFUSED = re.compile(
    r"n['’]t\b|\b(?:not|cannot|never|no|none|nothing|neither|nor|without|except(?:ing)?|excluding|unless|instead"
    r"|rather than|apart from|other than|skip|omit|ignore|avoid|leave out|or|either|until|till|while"
    r"|last but one|next to last|penultimate|before (?:that|this|it|them|these|those|which))\b"
    # "everything but the sky", "all trees but the red one": this "but" excepts
    r"|(?<!first of )(?<!last of )\b(?:all|every\w*|any\w*|each|both|rest|remainder|others?)\b"
    r"(?: (?!first|last)[\w'’-]+){0,4},? but\b"
)
_LOCATIONS = ("part", "side", "middle", "left", "right")  # things that are named by where they are have no short name
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_VOCABULARY = {  # for each kind of words its sign and the words; the first that suits is taken
    "then": ("t", r"then|followed by|after that(?=,| (?:the|an?|all|every)\b)"),
    "last": ("P", r"(?:(?:at|for) )?(?:the )?(?:very )?last(?: of all)?|lastly|finally|(?:at|in) the (?:very )?end"
                  r"|(?:end|finish)(?:s|es|ing)? with"),
    "first": ("P", r"(?:at )?(?:the )?(?:very )?first(?: of all)?|firstly|(?:at|in) the (?:very )?(?:beginning|start)"
                   r"|(?:begin|start)(?:s|ning|ing)? with"),
    "ordinal": ("P", rf"(?:{'|'.join(_ORDINALS[1:])})(?:ly)?|[1-9]\d{{0,2}}(?:st|nd|rd|th)"),
    "rest": ("n", r"(?:every|any)thing(?: else)?|all else|all of (?:it|them)|rest|remainder|others"
                  r"|(?:other|remaining) (?:thing|part|object|one)s?"),
    "before": ("B", "before"),
    "after": ("A", "after"),
    "and": ("a", "and|as well as"),
    "but": ("b", "but"),
    "quantity": ("q", "all(?: of)?|other"),
    "article": ("r", "the|an?|both|every|each|these|those"),
    "filler": ("", "please|paint(?:s|ed|ing)?|draw(?:s|n|ing)?|do|does|done|is|are|be|should|must|comes?|goes|next"),
    "word": ("w", r"[^\W_]+(?:['’-][^\W_]+)*"),
}  # fmt: skip
_SIGNS = {kind: sign for kind, (sign, _) in _VOCABULARY.items()} | {"name": "n"}
_MARKS = {"&": "a", ",": ",", ":": ",", "\n": ",", ";": ";", ".": ";", "!": ";"}
_PATTERN = "|".join([*(rf"\b(?P<{kind}>{pattern})\b" for kind, (_, pattern) in _VOCABULARY.items()), "[&,:\n;.!]"])
_THINGS_AND_LINKS = re.compile("[rq]*w*n|[rq]*w+|r*q[rq]*|[^r]")  # "the dark sky", "the boat", "all the", "then"
_UNKNOWN = re.compile("(?<![rqw])w(?=w*n)|(?<=n)w|(?<=q)w(?!w*n)")  # what an unknown word says of a known thing


@dataclass(frozen=True)
class Symbol:
    """A thing, a place or a link of an order.

    Attributes:
        sign: one letter; see above.
        start: where it stands in the text.
        place: of a place: 1 for the first, LAST for the last.
        labels: of a thing: its labels; (REST,) for all that are not named; none if it is not in the picture.
        is_short: whether a thing is called by the last word of its name.
    """

    sign: str
    start: int
    place: float = 0
    labels: tuple[int, ...] = ()
    is_short: bool = False


def symbols_of(text: str, names: Sequence[str]) -> list[Symbol]:
    """The row of signs of a text. Words that hold no name of the picture are a thing that is not there.

    Args:
        text: in any case; things are called by their whole name or, unless that is a location, its last word, with
            adjectives only after an article.
        names: by label; several things may have one name. Without names no thing is in the picture.

    Raises:
        ConfigError: if a word says what should not be, or it is not known what it says of a thing of the picture.
    """
    plain = text.lower()
    if match := _REFUSED.search(plain):
        allowed = "words that say what comes when, without 'not' and the like"
        raise ConfigError("order", text, f"{allowed}, here '{match.group()}'")
    whole, short = _labels_by_name(names)
    phrases = "|".join(re.escape(phrase) for phrase in sorted({*whole, *short} - {""}, key=len, reverse=True))
    pattern = rf"\b(?P<name>{phrases})(?:e?s)?\b|{_PATTERN}" if phrases else _PATTERN
    tokens = [match for match in re.finditer(pattern, plain) if match.lastgroup != "filler"]
    signs = "".join(_MARKS.get(token.group()) or _SIGNS[token.lastgroup or "word"] for token in tokens)
    if names and (unknown := _UNKNOWN.search(signs)):
        allowed = f"things of the picture ({', '.join(dict.fromkeys(names))}) and when they come"
        raise ConfigError("order", text, f"{allowed}, without '{tokens[unknown.start()].group()}'")
    symbols = []
    for match in _THINGS_AND_LINKS.finditer(signs):
        token, start = tokens[match.end() - 1], tokens[match.start()].start()
        sign = signs[match.end() - 1]
        if token.lastgroup == "name":
            name = token["name"]
            symbols.append(Symbol("T", start, labels=whole.get(name) or short[name], is_short=name in short))
        elif sign in "nqr":  # "the rest", "all", "the other"
            symbols.append(Symbol("T", start, labels=(REST,)))
        else:
            symbols.append(Symbol("T" if sign == "w" else sign, start, place=_place(token)))
    return symbols


def _place(token: re.Match[str]) -> float:
    if token.lastgroup == "ordinal":
        word = token.group()
        return int(word[:-2]) if word[0].isdigit() else 1 + _ORDINALS.index(word.removesuffix("ly"))
    return {"first": 1, "last": LAST}.get(token.lastgroup or "", 0)


def _labels_by_name(names: Sequence[str]) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
    """Labels by what things can be called: by their whole names, and by last words that are no whole name."""
    whole: dict[str, tuple[int, ...]] = {}
    short: dict[str, tuple[int, ...]] = {}
    plain = [re.sub("^(the|a|an) ", "", name.lower()) for name in names]
    for label, name in enumerate(plain):
        whole[name] = (*whole.get(name, ()), label)
    for label, name in enumerate(plain):
        if (last_word := name.rpartition(" ")[2]) not in (*whole, *_LOCATIONS):
            short[last_word] = (*short.get(last_word, ()), label)
    return whole, short
