"""What people type behind `key=` arrives letter for letter: in any alphabet, with any punctuation, by any shell."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from conf.compose import compose
from conf.errors import ConfigError
from conf.value import at_home, parse_size, read_value, text_of
from pipelines.encode import encode_config
from pipelines.evaluate import evaluate_config
from pipelines.gallery import gallery_config
from pipelines.inference.config import paint_config
from pipelines.ingest import ingest_config
from pipelines.status import status_config
from pipelines.synthesis.config import synth_config
from pipelines.verify import verify_config
from tests.pipelines.runs import REPOSITORY
from training.assemble import assemble_config
from training.config import train_config
from training.data.remote import RemotePath

Configure = Callable[[dict[str, Any]], Any]

SHELLS = [shell for shell in ("sh", "bash", "zsh") if shutil.which(shell)]  # sh is dash where that is installed

AWKWARD = [
    "赤い家、湖のほとり",
    "château",
    "🎨 ürün",
    "a cat, a dog",
    "a cat,a dog",
    "it's.jpg",
    'say "hi"',
    "'tis",
    "a(1).png",
    "/dir=3",
    "k=v",
    "train-{00000..00015}.tar",
    "{a,b}.tar",
    "[draft].png",
    "[draft",
    "[cat]",
    "{a: b}",
    "{a}",
    "2024_05",
    "1e3",
    "1984",
    "007",
    "1_000",
    "+5",
    "-0",
    "0.50",
    ".5",
    "0.5",
    "inf",
    "nan",
    "True",
    "true",
    "NULL",
    "???",
    "$HOME",
    "${oc.env:HOME}",
    "${seed}",
    "%d",
    "50 %",
    "C:\\new\\table",
    "ends\\",
    "a\\,b",
    " blank before",
    "blanks behind  ",
    "tab\there",
    "two\nlines",
    "#5",
    "a # b",
    "*?!&|;<>`",
    "@file",
    "--flag",
    "-",
    "~x",
    "a~b",
    "s3://bucket/a b/ü",
    "e\u0301",
    "\u3000",
]

FOR_SHELLS = [
    "赤い家、湖のほとり", "it's \"so\" $HOME ${oc.env:HOME} `id` !!", "~/a(1)&b|c;d #5 50 %", "2024_05",
    "a cat, a dog", "two\nlines\t", "train-{00000..00015}.tar", "C:\\new\\  ",
]  # fmt: skip

_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
_SHELL_LIKE = st.text(st.sampled_from(list("ab1 _-.,:;=~'\"\\$%#!&|*?(){}[]<>`^@+/é赤🎨\t")), max_size=12)
_PATH_LIKE = st.lists(_SHELL_LIKE.filter(lambda part: "/" not in part), min_size=1, max_size=4).map("/".join)
VALUES = st.one_of(_TEXT, _SHELL_LIKE, _PATH_LIKE, st.sampled_from(AWKWARD))


def _is_said_otherwise(text: str) -> bool:
    """Whether a value is plain null, or is in quotes of its own."""
    return text == "null" or (len(text) > 1 and text[0] in "'\"" and text[-1] == text[0])


PLACES: dict[str, tuple[list[str], Configure, Callable[[Any], Any]]] = {
    # command and key: the words beside, from plain to typed configuration, what became of the key
    "synth out": ([], synth_config, lambda config: config.out),
    "synth source.path": (["source=folder"], synth_config, lambda config: config.source.path),
    "synth tracker.name": (["tracker=wandb"], synth_config, lambda config: config.tracker.name),
    "ingest out": (["layout=grid", "source.path=a"], ingest_config, lambda config: config.out),
    "ingest source.path": (["layout=grid"], ingest_config, lambda config: config.source.path),
    "ingest caption.trigger": (["layout=grid", "source.path=a"], ingest_config, lambda config: config.caption.trigger),
    "encode dataset": ([], encode_config, lambda config: config.dataset),
    "encode base": (["dataset=a"], encode_config, lambda config: config.base),
    "train out": (["stage=base", "data=a"], train_config, lambda config: config.out),
    "train base": (["stage=motion", "data=a", "out=b"], train_config, lambda config: config.base),
    "assemble motion": (["base=a", "out=b"], assemble_config, lambda config: config.motion),
    "paint prompt": (["painter=p"], paint_config, lambda config: config.prompt),
    "paint negative": (["prompt=a"], paint_config, lambda config: config.negative),
    "paint painter": (["prompt=a"], paint_config, lambda config: config.painter),
    "paint out": (["prompt=a"], paint_config, lambda config: config.out),
    "evaluate reference": (["generated=/never/typed"], evaluate_config, lambda config: config.reference),
    "gallery dataset": ([], gallery_config, lambda config: config.dataset),
    "verify dataset": ([], verify_config, lambda config: config.dataset),
    "status dataset": ([], status_config, lambda config: config.dataset),
}
ANYTHING_BUT_PATHS = ("paint prompt", "paint negative", "synth tracker.name", "ingest caption.trigger")


@pytest.mark.parametrize("place", PLACES)
@settings(max_examples=25, deadline=None)
@given(text=VALUES)
def test_a_key_that_is_text_or_a_path_takes_what_was_typed(place: str, text: str) -> None:
    beside, configure, became = PLACES[place]
    name, key = place.split()
    assume(text and not _is_said_otherwise(text) and text != "a")
    try:
        value = became(configure(compose(name, [*beside, f"{key}={text}"])))
    except ConfigError as error:
        assert (
            place == "ingest caption.trigger"
            or error.allowed.startswith("a local path")
            or (place == "paint prompt" and not text)
        ), error
        return
    if isinstance(value, RemotePath):
        assert value.url == text.rstrip("/")
        return
    expected = text if place in ANYTHING_BUT_PATHS else at_home(text)
    assert value == (Path(expected) if isinstance(value, Path) else expected)


@pytest.mark.parametrize("text", AWKWARD)
def test_awkward_text_arrives(text: str) -> None:
    assert paint_config(compose("paint", [f"prompt={text}"])).prompt == text
    if "://" in text:  # which names no folder or file of this machine, and is refused as what it is
        return
    assert paint_config(compose("paint", ["prompt=a", f"out={text}"])).out == Path(text)
    assert paint_config(compose("paint", ["task=reconstruct", f"image={text}"])).image == Path(text) or text == "[cat]"


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(VALUES, min_size=1, max_size=4))
def test_text_in_quotes_is_any_item_of_a_list_or_dict(texts: list[str]) -> None:
    for quote in "'\"":
        quoted = [_in_quotes(text, quote) for text in texts]
        assert read_value(f"[{', '.join(quoted)}]") == texts
        pairs = ",".join(f"{text}: {text}" for text in dict.fromkeys(quoted))
        assert read_value(f"{{{pairs}}}") == {text: text for text in texts}
        assert read_value(quoted[0]) == texts[0]


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(VALUES, min_size=1, max_size=4))
def test_items_need_no_quotes_where_they_hold_no_comma_and_no_bracket(texts: list[str]) -> None:
    texts = [text.strip(" \t\n") for text in texts]
    assume(all(text and not set(text) & set(",[]{}") and text[0] not in "'\"" and text != "null" for text in texts))
    assert [text_of(item) for item in read_value(f"[{', '.join(texts)}]")] == texts
    frames = ", ".join(f"{frame}: {text}" for frame, text in enumerate(texts, start=-2))
    assert {key: text_of(item) for key, item in read_value(f"{{{frames}}}").items()} == dict(enumerate(texts, start=-2))


@settings(max_examples=200, deadline=None)
@given(text=VALUES)
def test_what_is_read_is_what_was_typed(text: str) -> None:
    value = read_value(text)
    assert value is None or _is_said_otherwise(text) or text_of(value).__str__().strip() == text.strip()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8", 8), ("-1", -1), ("0.5", 0.5), ("true", True), ("false", False), ("null", None), ("", ""),
        ("'a, b'", "a, b"), ('"1984"', "1984"), ("'it\\'s'", "it's"), ("[]", []), ("{}", {}), ("[1,2]", [1, 2]),
        ("[[0.5, 0.4],3]", [[0.5, 0.4], 3]), ("[ü.png,c.png]", ["ü.png", "c.png"]), ("[a(1).png]", ["a(1).png"]),
        ("[it's.jpg, b's.jpg]", ["it's.jpg", "b's.jpg"]), ("[{a,b}.tar, x[1].png]", ["{a,b}.tar", "x[1].png"]),
        ("{0: a b.png, -1: é.png}", {0: "a b.png", -1: "é.png"}), ("{0:a.png}", {0: "a.png"}),
        ("[{path: s3://a/b, weight: 3}, {path: C}]", [{"path": "s3://a/b", "weight": 3}, {"path": "C"}]),
        ("{3: {path: b.png, strength: 0.5}}", {3: {"path": "b.png", "strength": 0.5}}),
    ],
)  # fmt: skip
def test_numbers_lists_and_dicts_are_what_they_plainly_are(text: str, value: Any) -> None:
    assert read_value(text) == value
    assert type(read_value(text)) is type(value) or isinstance(value, list | dict)


@pytest.mark.parametrize("text", ["[a", "[a]]", "[a,]", "[,a]", "{a}", "{0: a, 0: b}", "[" * 5000])
def test_what_is_nearly_a_list_or_a_dict_is_text(text: str) -> None:
    assert read_value(text) == text


@pytest.mark.parametrize(
    ("overrides", "value"),
    [
        (["optimizer.learning_rate=1e-4"], 1e-4),
        (["optimizer.learning_rate=.50"], 0.5),
        (["optimizer.learning_rate=5"], 5.0),
        (["optimizer.betas=[.90,0.990]"], (0.9, 0.99)),
        (["max_steps=10_000"], 10_000),
        (["compile=True"], True),
        (["compile=FALSE"], False),
        (["augmentation.flip=1."], 1.0),
    ],
)
def test_a_number_may_be_typed_in_every_way(overrides: list[str], value: object) -> None:
    config = train_config(compose("train", ["stage=base", "data=a", "out=b", *overrides]))
    for name in overrides[0].partition("=")[0].split("."):
        config = getattr(config, name)
    assert config == value


def test_more_digits_than_python_reads_are_text() -> None:
    digits = "9" * 5000
    assert read_value(digits) == digits and read_value(f"[-{digits}]") == [f"-{digits}"]
    assert read_value(f"{{{digits}: a.png}}") == {digits: "a.png"}
    assert paint_config(compose("paint", [f"prompt={digits}"])).prompt == digits
    for key in ("seed", "conditions", "guidance"):
        with pytest.raises(ConfigError) as caught:
            paint_config(compose("paint", ["prompt=a", f"{key}={digits}"]))
        assert caught.value.key == key
    with pytest.raises(ConfigError, match="256, or width x height, as 384x256"):
        parse_size(digits)


@pytest.mark.parametrize(
    "word", ["loras={a\udcff: 1}", "conditions={0: {path: a\udcff.png}}", "image=[b.png, a\udcff.png]"]
)
def test_what_is_not_utf8_is_refused_inside_lists_and_dicts_too(word: str) -> None:
    with pytest.raises(ConfigError, match="text in UTF-8"):
        paint_config(compose("paint", ["prompt=a", word]))


def test_home_folders_are_found_in_every_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ö")
    conditions = "conditions={0: ~/a.png, -1: {path: ~/b c.png}}"
    pinned = paint_config(compose("paint", [conditions, "num_frames=8", "out=~/o"]))
    assert [file.path for file in pinned.pinned.values()] == [Path("/home/ö/a.png"), Path("/home/ö/b c.png")]
    assert pinned.out == Path("/home/ö/o")
    several = paint_config(compose("paint", ["task=reconstruct", "image=[~/a.png,~/b.png]"]))
    assert several.pictures == (Path("/home/ö/a.png"), Path("/home/ö/b.png"))
    mixture = train_config(compose("train", ["stage=base", "out=o", "data=[{path: ~/a, weight: 3}, s3://~/b]"]))
    assert [part.path for part in mixture.data] == ["/home/ö/a", "s3://~/b"]
    assert train_config(compose("train", ["model=sd15", "data=a", "out=o", "model.path=~/sd"])).model.path == (
        "/home/ö/sd"
    )
    loras = assemble_config(compose("assemble", ["base=~/b", "motion=~", "out=o", "loras=[~/ink.safetensors]"]))
    assert (loras.base, loras.motion, loras.loras[0].path, loras.loras[0].name) == (
        Path("/home/ö/b"), Path("/home/ö"), Path("/home/ö/ink.safetensors"), "ink",
    )  # fmt: skip
    assert at_home("~nobody-of-that-name/x") == "~nobody-of-that-name/x"


@pytest.mark.parametrize("shell", SHELLS)
def test_words_quoted_for_a_shell_arrive_letter_for_letter(shell: str, tmp_path: Path) -> None:
    keys = ("prompt", "negative", "out", "painter")
    for start in range(0, len(FOR_SHELLS), len(keys)):
        typed = dict(zip(keys, FOR_SHELLS[start:], strict=False))
        words = " ".join(f"{key}={shlex.quote(text)}" for key, text in typed.items())
        line = f"{shlex.quote(sys.executable)} -m pipelines.paint {words} --cfg job"
        done = subprocess.run([shell, "-c", line], cwd=REPOSITORY, capture_output=True, check=True)
        shown = yaml.safe_load(done.stdout)
        assert {key: shown[key] for key in keys} == typed


def _in_quotes(text: str, quote: str) -> str:
    """As a user may write it: only the quote itself, and backslashes before it, need a backslash."""
    return quote + re.sub(rf"(\\*)({quote}|\Z)", _escaped, text) + quote


def _escaped(match: re.Match[str]) -> str:
    return match[1] * 2 + ("\\" + match[2] if match[2] else "")
