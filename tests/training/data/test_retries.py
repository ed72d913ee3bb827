"""A fault of the machine is waited out, then told by name; an answer of the storage is taken at once."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from conf.errors import UserError
from training.data.retries import WAITS_S, retried, tried_again


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that would have been waited; nothing waits."""
    waited: list[float] = []
    monkeypatch.setattr("training.data.retries.time.sleep", waited.append)
    return waited


def failing(times: int, number: int) -> Callable[[], str]:
    """A reader that fails several times with an error of the system, and then succeeds."""
    left = [times]

    def read() -> str:
        if left[0]:
            left[0] -= 1
            raise OSError(number, os.strerror(number))
        return "read"

    return read


PASSING = (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EBUSY, errno.ENOTCONN, errno.EREMOTEIO)


@pytest.mark.parametrize("number", PASSING)
@pytest.mark.parametrize("times", range(len(WAITS_S) + 1))
def test_what_passes_is_waited_for_longer_each_time(times: int, number: int, waits: list[float]) -> None:
    assert retried("file", failing(times, number)) == "read"
    assert waits == list(WAITS_S[:times]) and list(WAITS_S) == sorted(WAITS_S)


@pytest.mark.parametrize("number", PASSING)
def test_what_does_not_pass_is_told_with_the_name_and_what_to_do(number: int, waits: list[float]) -> None:
    reason = (
        f"file: cannot be read ({os.strerror(number)}); nothing was changed: "
        "run the same command again when the storage answers"
    )
    with pytest.raises(UserError) as caught:
        retried("file", failing(len(WAITS_S) + 1, number))
    assert str(caught.value) == reason and waits == list(WAITS_S)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EMFILE])
def test_what_waiting_does_not_help_is_told_at_once(number: int, waits: list[float]) -> None:
    with pytest.raises(UserError, match="file: cannot be read"):
        retried("file", failing(1, number))
    assert waits == []


def test_errors_of_no_known_number_are_told_in_their_own_words() -> None:
    def read() -> None:
        raise OSError("odd")

    with pytest.raises(UserError, match=r"cannot be read \(odd\)"):
        retried("file", read)


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EISDIR, errno.ENOTDIR])
def test_answers_come_as_they_are(number: int, waits: list[float]) -> None:
    with pytest.raises((FileNotFoundError, IsADirectoryError, NotADirectoryError)) as caught:
        retried("file", failing(1, number))
    assert caught.value.errno == number and waits == []


def test_other_errors_are_not_touched(waits: list[float]) -> None:
    def read() -> None:
        raise ValueError("its own")

    with pytest.raises(ValueError, match="its own"):
        retried("file", read)
    assert waits == []


def test_whoever_tries_again_says_what_may_pass(waits: list[float]) -> None:
    left = [ValueError("first"), ValueError("second")]

    def read() -> str:
        if left:
            raise left.pop(0)
        return "read"

    assert tried_again(read, (1.0, 2.0), lambda error: isinstance(error, ValueError)) == "read"
    assert waits == [1.0, 2.0]


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
def test_a_disk_that_fails_when_it_is_asked_what_there_is_is_waited_for(
    number: int, waits: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"x")
    asked, ask = failing(1, number), Path.stat
    monkeypatch.setattr(Path, "stat", lambda path: (asked(), ask(path))[1])
    assert retried(tmp_path / "file", lambda: "read") == "read" and waits == [WAITS_S[0]]


def test_pipes_are_not_waited_for_and_folders_and_files_answer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="pipe: neither a file nor a folder; it is not opened"):
        retried(tmp_path / "pipe", (tmp_path / "pipe").read_bytes)
    (tmp_path / "file").write_bytes(b"x")
    assert retried(tmp_path / "file", (tmp_path / "file").read_bytes) == b"x"
    assert retried(tmp_path, lambda: sorted(path.name for path in tmp_path.iterdir())) == ["file", "pipe"]
    with pytest.raises(FileNotFoundError):
        retried(tmp_path / "gone", (tmp_path / "gone").read_bytes)
    with pytest.raises(IsADirectoryError):
        retried(tmp_path, tmp_path.read_bytes)
