"""A terminal is shown text: what strangers wrote moves, erases, renames and answers nothing."""

import shlex
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conf.command import Summary, command, next_line
from conf.errors import ConfigError, UserError
from conf.printable import printable, shell_words
from conf.progress import tell
from tests.pipelines.runs import PAINT_FAST, save_picture, synth
from tests.security.hostile import CONTROL


def harmless(text: str) -> bool:
    return not any(ord(letter) < 32 or 127 <= ord(letter) < 160 or letter in "\u202e\u2066" for letter in text)


@given(st.text(alphabet=st.characters(codec=None)))
def test_whatever_is_shown_is_one_line_of_plain_text(text: str) -> None:
    line = printable(text)
    assert harmless(line) and line.encode().decode() == line == printable(line)


@pytest.mark.parametrize(
    "text", ["une maison près du lac", "赤い家、湖のほとり", "بيت أحمر", "a 100% C:\\x [b] ~é", "👩‍🎨"]
)
def test_what_people_write_is_shown_as_it_is(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize("text", CONTROL)
def test_errors_summaries_and_news_are_harmless(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(_: dict[str, object]) -> None:
        raise ConfigError("source.path", text, f"another {text}")

    assert command("synth", refuse, lambda _: Summary(lines=()), "A test.", []) == 2
    told = Summary(lines=(f"passed over {text}", next_line("paint", f"image={text}")))
    assert command("synth", lambda _: None, lambda _: told, "A test.", []) == 0
    tell(f"warning: {text}: left out")
    output = capsys.readouterr()
    lines = output.out.split("\n") + output.err.split("\n")
    assert len(lines) == 6 and all(map(harmless, lines))


@pytest.mark.parametrize(
    "word", [*CONTROL[:6], "it's", "$(touch /tmp/x)", "`id`", "-rf", "a;b|c&d>e", "~", "*", "", "é\n"]
)
def test_what_next_lines_say_is_for_a_shell_that_word_alone(word: str) -> None:
    line = next_line("printf", "%s", word).removeprefix("next: ")
    assert harmless(line)
    assert subprocess.run(["bash", "-c", line], capture_output=True, check=True).stdout == word.encode()


def test_words_without_control_characters_are_quoted_as_everywhere() -> None:
    assert shell_words("python", "a b", "é") == shlex.join(["python", "a b", "é"])


def test_hostile_names_of_files_are_told_of_in_harmless_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["\x1b[2J.png", "-rf.png", "new\nline.png", "$(id).png", "a|b;c.png", "\u202egnp.png"]
    for number, name in enumerate(names):
        save_picture(tmp_path / name, number)
    (tmp_path / "\x1b]0;x\x07.pdf").write_text("")
    (tmp_path / "\x1b[31mtorn.png").write_bytes(b"\x89PNG")
    out = tmp_path / "out"
    overrides = (
        *PAINT_FAST,
        "cluster=inline",
        "source=folder",
        "gallery=false",
        f"source.path={tmp_path}",
        f"out={out}",
    )
    assert synth(*overrides) == 3
    output = capsys.readouterr()
    assert all(map(harmless, output.out.split("\n"))) and "\\x1b]0;x\\x07.pdf" in output.out
    assert all(map(harmless, output.err.replace("\r", "").split("\n")))


@pytest.mark.parametrize("piece", ["x", "://", "a://", "?token", "&", "?a=", "\x1b", "user@", "\u202e"])
def test_long_texts_are_shown_soon(piece: str) -> None:
    start = time.monotonic()
    printable(piece * 200_000)
    assert time.monotonic() - start < 20


def test_an_error_is_no_longer_than_a_screen(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(_: dict[str, object]) -> None:
        raise UserError("x" * 1_000_000)

    assert command("synth", refuse, lambda _: Summary(lines=()), "A test.", []) == 2
    assert capsys.readouterr().err == f"error: {'x' * 2000} ... 996000 characters left out ... {'x' * 2000}\n"


def test_a_userror_of_several_lines_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(_: dict[str, object]) -> None:
        raise UserError("one\ntwo\x1b[0m")

    assert command("synth", refuse, lambda _: Summary(lines=()), "A test.", []) == 2
    assert capsys.readouterr().err == "error: one two\\x1b[0m\n"
