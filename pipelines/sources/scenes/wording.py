"""Rewords captions of scenes as people might: other nouns, openings, remarks, another order, or no articles.

A painter that is trained on a single wording understands no other. Colours, counts and things stay the same, and so do
the things that they are said of.
"""

import random
import re

_SYNONYMS = {  # each begins with a consonant as its noun does, so that the article "a" stays right
    "house": ("cottage", "home"), "church": ("chapel",), "sailboat": ("sailing boat",), "rowing boat": ("rowboat",),
    "pine tree": ("pine",), "bush": ("shrub",), "jug": ("pitcher",), "cup": ("mug",), "path": ("footpath", "track"),
    "lake": ("pond",), "street": ("road",), "tablecloth": ("cloth",),
}  # fmt: skip
_PLURALS = {"churches": "church", "bushes": "bush"}
_PHRASES = {
    "the sea": ("the ocean", "the water"), "in the background": ("far away", "far behind"),
    "in the distance": ("on the horizon", "far off"), "in front of": ("before",), "wearing": ("dressed in",),
    "a still life with": ("a still life of", "an arrangement of"),
}  # fmt: skip
_OPENINGS = ("a painting of ", "a picture of ", "a view of ", "a scene with ", "an image of ", "here is ")
_REMARKS = (
    ", a quiet scene", ", peaceful", ", simple and clear", ", beautiful light", ", bright colours", ", calm mood",
    ", a classic composition",
)  # fmt: skip
_SUBJECT_FIRST = re.compile(r"(a|an|the|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve) ")
_ARTICLE = re.compile(r"\b(?:a|an|the) ")
_NOUN = re.compile(rf"\b({'|'.join(sorted([*_SYNONYMS, *_PLURALS], key=len, reverse=True))})(s?)\b")
_PHRASE = re.compile(rf"\b({'|'.join(_PHRASES)})\b")
_OFTEN, _SELDOM = 0.5, 0.25


def reworded(caption: str, seed: int) -> str:
    """The same caption in other words; a quarter of all captions stay as they are.

    Args:
        caption: a caption that `pipelines.sources.scenes.caption.caption` wrote.
        seed: seed of the choice.
    """
    dice = random.Random(f"wording {seed}")
    if dice.random() < _SELDOM:
        return caption
    text = _NOUN.sub(lambda noun: _synonym(noun, dice), caption)
    text = _PHRASE.sub(lambda phrase: dice.choice((phrase[0], *_PHRASES[phrase[0]])), text)
    clauses = text.split(", ")
    if " and " not in text and dice.random() < _OFTEN:  # "and" ends a list, whose commas do not separate clauses
        text = ", ".join([clauses[0], *dice.sample(clauses[1:], len(clauses) - 1)])
    if _SUBJECT_FIRST.match(text) and not text.startswith("a still life") and dice.random() < _OFTEN:
        text = dice.choice(_OPENINGS) + text
    if dice.random() < _SELDOM:
        text += dice.choice(_REMARKS)
    return _ARTICLE.sub("", text) if dice.random() < _SELDOM else text


def _synonym(noun: re.Match[str], dice: random.Random) -> str:
    singular = _PLURALS.get(noun[1], noun[1])
    if dice.random() < _OFTEN:
        return noun[0]
    chosen = dice.choice(_SYNONYMS[singular])
    return f"{chosen}s" if noun[2] or noun[1] in _PLURALS else chosen
