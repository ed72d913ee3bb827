"""Progress: a bar on a terminal, plain lines in a log."""

import re
import sys
import time

import pytest

from conf.progress import Progress


def test_a_log_gets_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("painting", 10, done=4) as progress:
        progress.advance(6)
    message = capsys.readouterr().err
    assert re.fullmatch(r"painting: 10/10 sequences, \d+\.\d\d/s, 0 s to go\n", message)


def test_news_stand_beside_the_count(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("training", 10, unit="steps") as progress:
        progress.tell("loss 0.2087")
        progress.advance(10)
    assert capsys.readouterr().err.endswith("0 s to go; loss 0.2087\n")


def test_a_log_is_not_flooded(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("painting", 1000) as progress:
        for _ in range(1000):
            progress.advance(1)
    assert capsys.readouterr().err.count("\n") == 1


def test_what_was_done_before_counts_as_done_but_not_in_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    progress = Progress("painting", 100, done=50)
    now = 110.0
    progress.advance(20)
    assert (progress.done, progress.rate, progress.elapsed_s) == (70, 2.0, 10.0)


def test_a_failed_run_does_not_claim_progress(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="no"), Progress("painting", 10):
        raise ValueError("no")
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with Progress("painting", 10) as progress:
        progress.tell("loss 0.2087")
        progress.advance(10)
    message = capsys.readouterr().err
    assert "10/10" in message and "loss 0.2087" in message and "sequences/s" in message and "\x1b[" in message
