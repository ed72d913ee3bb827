"""Words that a painter has never seen are named before it paints."""

from pathlib import Path
from unittest import mock

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from pipelines.paint import warn_of_unknown_words
from pipelines.painters import painter_folder
from pipelines.sources.scenes.source import ScenesSource
from training.models.unknown_words import unknown_words


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    """The tokenizer of the shipped painter."""
    loaded: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(painter_folder(Path("tiny")) / "tokenizer")
    return loaded


def test_words_of_no_caption_are_named_once_in_their_order(tokenizer: PreTrainedTokenizerBase) -> None:
    assert unknown_words(tokenizer, "A Dragon in a red castle, the dragon's 2 towers") == ["dragon", "castle", "towers"]


def test_words_of_the_scenes_are_known(tokenizer: PreTrainedTokenizerBase) -> None:
    captions = [entry.caption or "" for entry in ScenesSource(seed=77).index(200)]
    assert not unknown_words(tokenizer, " ".join(captions) + ", painted in oil, painted with translucent strokes")


def test_of_a_large_vocabulary_nothing_is_said() -> None:
    general = mock.MagicMock(tokenize=lambda word, **options: list(word))
    general.__len__.return_value = 49408
    assert unknown_words(general, "a dragon") == []


def test_words_of_a_painters_methods_are_known_though_its_tokenizer_is_older(
    capsys: pytest.CaptureFixture[str],
) -> None:
    base = mock.MagicMock(unknown_words=lambda prompt: [word for word in ("dragon", "drawn") if word in prompt])
    phrases = {"studio": "Drawn, and painted in oil"}
    warn_of_unknown_words(base, ["a dragon, drawn and painted in oil"], phrases)
    assert capsys.readouterr().err == "warning: this painter was not trained on the words dragon\n"
    warn_of_unknown_words(base, ["a boat, drawn and painted in oil"], phrases)
    assert capsys.readouterr().err == ""
