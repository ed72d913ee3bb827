"""The words of an order that a person puts in words: which of them name things, and which say what comes when."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from conf.errors import ConfigError

LAST = 1000
"""The place of what comes after everything else; the first has place 1, the second 2."""

REST = -1
"""Stands, among labels, for all things that are not named."""

Link = Literal["comma", "stop", "then", "but", "and", "before", "after"]
"""What separates two segments of a text."""

_Kind = Literal[
    "name", "rest", "last", "first", "place", "then", "unclear", "before", "after", "and", "but", "stop", "comma",
    "all", "other", "article", "filler", "word",
]  # fmt: skip

_NOT = re.compile(
    r"n['’]t\b|\b(not|cannot|never|no|none|nothing|neither|nor|without|except(ing)?|excluding|unless|instead"
    r"|rather than|apart from|other than|skip|omit|ignore|avoid|leave out)\b"
)
_ARTICLE = re.compile(r"^(the|a|an) ")
_PLACES = ("part", "side", "middle", "left", "right")  # things that are named by where they are have no shorter name
_ORDINALS = ("second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_GENERIC = r"(?:things?|parts?|objects?|ones?)"
_FILLERS = (
    "next|now|also|please|paint|paints|painted|painting|draw|drawn|draws|do|does|done|make|made|put|leave|keep|save|"
    "let|have|has|come|comes|coming|go|goes|follow|follows|be|is|are|was|should|must|shall|will|would|can|may|want|"
    "like|need|i|we|you|us|me|it|they|them|that|which|very|just|only|together|still|begin|start|begun|started|finish|"
    "finished|complete|completed|afterwards?|later|thereafter|subsequently|of|in|on|at|to|by|for|from|with|as|so|"
    "things?|parts?|objects?|ones?|picture|image|canvas|order|both|each|every|any"
)
_PATTERNS: dict[_Kind, str] = {
    "unclear": r"before (?:that|this|it|them|these|those|which)|last but one|next to last|penultimate|or|either"
    r"|while|(?:until|till)(?! (?:the )?(?:very )?(?:last|end)\b)",
    "then": r"then|followed by|after (?:that|this|it|them|these|those|which)",
    "last": r"(?:(?:at|in|for|until|till|to|by) )?(?:the )?(?:very )?last(?: of all)?|lastly|finally"
    r"|(?:at|in|for|until|till|to|by) the (?:very )?end"
    r"|(?:end|ends|ending|finish|finishes|finishing) (?:off )?with",
    "first": r"(?:at )?first(?: of all| and foremost)?|firstly|initially"
    r"|(?:at|in|from) the (?:very )?(?:beginning|start)"
    r"|(?:to )?(?:begin|begins|beginning|start|starts|starting) (?:off )?with",
    "place": rf"(?:{'|'.join(_ORDINALS)})(?:ly)?|\d+(?:st|nd|rd|th)",
    "rest": rf"(?:every ?thing|anything|everywhere)(?: else)?|all else|rest|remainder|remaining {_GENERIC}"
    rf"|others|other {_GENERIC}",
    "all": r"all(?: of)?",
    "other": "other",
    "before": "before|ahead of|prior to",
    "after": "after|once|when|as soon as",
    "and": "and|as well as|plus",
    "but": "but",
    "article": "the|an?|my|your|its|their|this|these|those|some",
    "filler": _FILLERS,
}
_SIGNS: dict[str, _Kind] = {
    "&": "and",
    ";": "stop",
    ".": "stop",
    "!": "stop",
    ",": "comma",
    ":": "comma",
    "\n": "comma",
}
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_VOCABULARY = [(kind, re.compile(rf"(?:{pattern})\b")) for kind, pattern in _PATTERNS.items()]
_LINKS: dict[_Kind, Link] = {
    "comma": "comma", "stop": "stop", "then": "then", "but": "but", "and": "and", "before": "before", "after": "after",
}  # fmt: skip


@dataclass(frozen=True)
class Mention:
    """A thing that an order mentions.

    Attributes:
        labels: of the picture's things; (REST,) for all that are not named; none if there is no such thing.
        is_general: whether it is called by less than its whole name, or as one of the others, which stands only for
            things that are not called by their whole name elsewhere.
    """

    labels: tuple[int, ...]
    is_general: bool = False


@dataclass
class Segment:
    """A piece of an order between two links.

    Attributes:
        links: what separates it from the segment before.
        content: mentions of things, and places (1 for the first), as they stand in the text.
        missing: its words for things that are not in the picture.
    """

    links: tuple[Link, ...]
    content: list[Mention | int]
    missing: list[str]


@dataclass(frozen=True)
class _Token:
    kind: _Kind
    start: int
    end: int
    mention: Mention = Mention(())


def refused(text: str, allowed: str) -> ConfigError:
    """The error for an order that cannot be followed."""
    return ConfigError("order", text, allowed)


def refuse_negations(text: str) -> None:
    """Refuse an order that says what should not be.

    Raises:
        ConfigError: if it does.
    """
    if _NOT.search(text.lower()):
        raise refused(text, "words that say what comes when, without 'not', 'never', 'no', 'without', 'except', ...")


def segments_of(text: str, names: Sequence[str]) -> list[Segment]:
    """The segments of a text that mention a thing or a place.

    Args:
        text: in any case; things are called by their whole name or, unless that is a place, its last word.
        names: by label; several things may have one name.

    Raises:
        ConfigError: if a word does not say clearly what comes when.
    """
    plain = text.lower()
    segments: list[Segment] = []
    links: list[Link] = []
    tokens: list[_Token] = []
    for token in [*_tokens(text, plain, names), None]:
        link = None if token is None else _LINKS.get(token.kind)
        if token is not None and link is None:
            tokens.append(token)
            continue
        segment = _segment(tuple(links), tokens, plain)
        if segment.content:
            segments.append(segment)
            links = []
        tokens = []
        if link is not None:
            if link == "but" and segment.content and _is_rest(segment.content[-1]):
                raise refused(text, "'everything else' beside things with a place of their own, without 'but'")
            links.append(link)
    return segments


def _segment(links: tuple[Link, ...], tokens: list[_Token], plain: str) -> Segment:
    """A segment of the tokens between two links."""
    has_known = any(token.kind == "name" for token in tokens)
    content: list[Mention | int] = []
    missing: list[str] = []
    run: list[_Token] = []  # an article and the words that follow it
    for token in [*tokens, None]:
        if token is not None and token.kind in ("filler", "word"):
            run.append(token)
            continue
        kind = None if token is None else token.kind
        word_ends = [part.end for part in run if part.kind == "word"]
        # Beside a known thing, words without an article say how it looks or how it is painted.
        if word_ends and (not has_known or (run[0].kind == "article" and kind != "name")):
            content.append(Mention(()))
            missing.append(plain[run[0].start : word_ends[-1]])
        run = [token] if token is not None and kind == "article" else []
        if token is None or kind == "article":
            continue
        content.append(_place(plain[token.start : token.end], token.kind) or token.mention)
    if missing and not has_known:
        missing = [plain[tokens[0].start : tokens[-1].end].strip()]
    return Segment(links, content, missing)


def _place(word: str, kind: _Kind) -> int | None:
    """The place for which a word stands; None if it is a mention of a thing."""
    if kind == "last":
        return LAST
    if kind == "first":
        return 1
    if kind != "place":
        return None
    number = re.match(r"\d+", word)
    return int(number.group()) if number else 2 + _ORDINALS.index(word.removesuffix("ly"))


def _is_rest(content: Mention | int) -> bool:
    return isinstance(content, Mention) and content.labels == (REST,)


def _tokens(text: str, plain: str, names: Sequence[str]) -> list[_Token]:
    """The tokens of a text in small letters."""
    vocabulary = _names(names)
    phrases = "|".join(re.escape(phrase) for phrase in sorted(vocabulary, key=len, reverse=True))
    name_pattern = re.compile(rf"({phrases})(e?s)?\b") if phrases else None
    tokens: list[_Token] = []
    position = 0
    while position < len(plain):
        token = None
        if plain[position] in _SIGNS:
            token = _Token(_SIGNS[plain[position]], position, position + 1)
        elif _WORD.match(plain, position):
            token = _token_at(plain, position, name_pattern, vocabulary)
        if token is None:
            position += 1
            continue
        if token.kind == "unclear":
            raise refused(text, f"words that say clearly what comes when, without '{plain[position : token.end]}'")
        tokens.append(token)
        position = token.end
    return _without_all_and_other(tokens)


def _token_at(
    plain: str, position: int, name_pattern: re.Pattern[str] | None, vocabulary: dict[str, Mention]
) -> _Token:
    """The token that begins with the word at a position."""
    if name_pattern is not None and (match := name_pattern.match(plain, position)):
        return _Token("name", position, match.end(), vocabulary[match.group(1)])
    for kind, pattern in _VOCABULARY:
        if match := pattern.match(plain, position):
            return _Token(kind, position, match.end(), Mention((REST,) if kind == "rest" else ()))
    word = _WORD.match(plain, position)
    assert word is not None
    return _Token("word", position, word.end())


def _without_all_and_other(tokens: list[_Token]) -> list[_Token]:
    """The tokens with "all" and "other" understood: as the rest, or as a part of the name that follows."""
    understood: list[_Token] = []
    following = -1  # where, in `understood`, the next token stands that is neither an article nor a filler
    for token in reversed(tokens):
        if token.kind in ("all", "other"):
            next_token = understood[following] if following >= 0 else None
            is_rest = next_token is None or next_token.kind not in ("name", "rest", "word")
            if token.kind == "other" and next_token is not None and next_token.kind == "name":
                understood[following] = replace(next_token, mention=replace(next_token.mention, is_general=True))
            token = replace(token, kind="rest" if is_rest else "filler", mention=Mention((REST,) if is_rest else ()))
        if token.kind not in ("article", "filler"):
            following = len(understood)
        understood.append(token)
    return understood[::-1]


def _names(names: Sequence[str]) -> dict[str, Mention]:
    """What things can be called: by their whole names, and by last words that are no whole name."""
    plain = [_ARTICLE.sub("", name.lower()) for name in names]
    labels: dict[str, list[int]] = {}
    for label, name in enumerate(plain):
        if name:
            labels.setdefault(name, []).append(label)
    vocabulary = {name: Mention(tuple(labels_of_name)) for name, labels_of_name in labels.items()}
    for label, name in enumerate(plain):
        if name and (short := name.split()[-1]) not in (*labels, *_PLACES):
            others = vocabulary[short].labels if short in vocabulary else ()
            vocabulary[short] = Mention((*others, label), is_general=True)
    return vocabulary
