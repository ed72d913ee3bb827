"""Words of a prompt that a painter cannot know, for a warning before it paints."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_MOST_PIECES = 10_000
"""A larger vocabulary was not learnt from a painter's own captions, and splits words that the painter knows."""


def unknown_words(tokenizer: "PreTrainedTokenizerBase", prompt: str) -> list[str]:
    """Words of a prompt that the training captions of a small painter never, or hardly ever, contained.

    Its tokenizer was made from those captions, and gives a piece of its own to every word that comes up in them
    (`training.models.tiny.build`), so a word in several pieces was rare or absent.

    Args:
        tokenizer: the painter's; if its vocabulary was not made from captions, no word counts as unknown.
        prompt: the prompt as typed.

    Returns:
        Words in their order, each once; punctuation and numbers are left out.
    """
    if len(tokenizer) > _MOST_PIECES:
        return []
    prompt_words = dict.fromkeys(re.findall(r"[^\W\d_]+", prompt.lower()))
    return [word for word in prompt_words if len(tokenizer.tokenize(word, verbose=False)) > 1]
