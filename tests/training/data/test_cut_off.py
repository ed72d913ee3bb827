"""What a base does not read of a text is named, to the letter, and nothing is said of what it reads whole."""

import logging
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from conf.compose import compose
from pipelines import encode
from pipelines.encode import encode_config
from pipelines.painters import painter_folder
from tests.pipelines.small_dataset import small_dataset
from tests.training.models.small_base import small_base
from tests.training.models.toy_architecture.base import LENGTH
from tests.training.models.toy_architecture.base import tokens as toy_tokens
from training.data.batch import Tokenise
from training.data.cut_off import cut_ends, warn_of_cut_captions, warn_of_cut_prompts
from training.data.split import open_split
from training.models.sd15.base import Tokens
from training.models.unknown_words import unknown_words

MANNER = ", painted in oil"
LONG = {
    "English": "a red house and " * 20,
    "German": "ein Fachwerkhaus am Gebirgsbach " * 9,
    "Japanese, in one word": "夕焼けの海辺に立つ白い灯台と帆船" * 9,
}


@pytest.fixture(scope="module")
def tokenizer() -> CLIPTokenizer:
    """The tokenizer of the shipped painter."""
    loaded: CLIPTokenizer = CLIPTokenizer.from_pretrained(painter_folder(Path("tiny")) / "tokenizer")
    return loaded


@pytest.fixture(scope="module")
def tokenise(tokenizer: CLIPTokenizer) -> Tokenise:
    return Tokens(tokenizer, 64)


@pytest.mark.parametrize("language", LONG)
def test_the_end_that_is_named_changes_nothing_and_all_before_it_does(tokenise: Tokenise, language: str) -> None:
    prompt = LONG[language].strip() + MANNER
    end = cut_ends(tokenise, [prompt])[prompt]
    read = prompt.removesuffix(end)
    assert end.endswith(MANNER) and read != prompt
    assert torch.equal(tokenise([read]), tokenise([prompt]))
    assert not torch.equal(tokenise([read[:-1]]), tokenise([prompt]))


@given(num_words=st.integers(0, 90))
def test_as_many_words_as_are_read_are_not_cut_off(tokenise: Tokenise, num_words: int) -> None:
    """Each word is one token; two of the 64 begin and end the prompt."""
    prompt = " ".join(["house"] * num_words)
    ends = cut_ends(tokenise, [prompt])
    assert [len(end.split()) for end in ends.values()] == ([num_words - 62] if num_words > 62 else [])


def test_the_limit_of_any_tokeniser_is_found() -> None:
    prompt = "ab" * LENGTH
    assert cut_ends(toy_tokens, [prompt, "a boat", ""]) == {prompt: prompt[LENGTH:]}


def test_each_key_is_warned_of_in_one_line(tokenise: Tokenise, capsys: pytest.CaptureFixture[str]) -> None:
    house, lake = " ".join(["house"] * 63), " ".join(["lake"] * 64)
    warn_of_cut_prompts(tokenise, prompt=["a boat", house, lake], negative=[lake + MANNER])
    assert capsys.readouterr().err.splitlines() == [
        "warning: prompt: only its first 371 of 377 letters are read; left out: ' house' (2 prompts are so long)",
        "warning: negative: only its first 309 of 335 letters are read; left out: ' lake lake, painted in oil'",
    ]
    assert warn_of_cut_prompts(tokenise, prompts=["a boat"], negative=[""]) == {} and capsys.readouterr().err == ""


def test_captions_that_are_cut_off_are_counted_once_for_each_data_set(
    tokenise: Tokenise, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    manner = LONG["English"] + "painted in oil"
    captions = (manner, "a boat", manner, manner, "a lake", "a lamp")
    split = open_split(str(small_dataset(tmp_path / "set", captions=captions)), "train")
    end = "'...se and a red house and painted in oil'"
    line = f"warning: set: {{}} captions are longer than is read; left out of one: {end}\n"
    warn_of_cut_captions(tokenise, [split])
    assert capsys.readouterr().err == line.format("3 of the first 4")
    monkeypatch.setattr("training.data.cut_off._NUM_CAPTIONS", 2)
    warn_of_cut_captions(tokenise, [split])
    assert capsys.readouterr().err == line.format("1 of the first 2")


def test_captions_of_which_the_end_is_not_embedded_are_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    captions = ("a boat " * 70 + "painted in oil", *["a boat"] * 5)
    dataset = small_dataset(tmp_path / "long", captions=captions, size_px=(64, 64))
    small_base().save(tmp_path / "base")
    encode.run(encode_config(compose("encode", [f"dataset={dataset}", f"out={tmp_path}/out", f"base={tmp_path}/base"])))
    assert "warning: long: 1 of the first 4 captions are longer than is read" in capsys.readouterr().err


def test_the_library_says_nothing_of_its_own(tokenizer: CLIPTokenizer, caplog: pytest.LogCaptureFixture) -> None:
    library = logging.getLogger("transformers.tokenization_utils_base")
    library.addHandler(caplog.handler)
    try:
        for text in LONG.values():
            unknown_words(tokenizer, text)
            cut_ends(Tokens(tokenizer, 64), [text])
    finally:
        library.removeHandler(caplog.handler)
    assert not caplog.records
