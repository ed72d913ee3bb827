"""A checkpoint is whole or absent, whatever happens while it is written."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from conf.errors import UserError
from tests.training.toy_runs import ROOT
from training.data import retries
from training.data.manifest import sweep_temporaries
from training.run.checkpoint import newest_sound, prune, refuse_full_disk, replaced_folder, write_checkpoint


def _write(root: Path, step: int, value: float = 1.0) -> Path:
    tensors = {"trained": {"a": torch.full((4,), value)}}
    states = {"optimizer": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 0.1}]}}
    return write_checkpoint(root, step, facts={"position": 7 * step}, tensors=tensors, states=states)


def _steps(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


def test_what_was_written_is_read(tmp_path: Path) -> None:
    _write(tmp_path, 3)
    _write(tmp_path, 12, value=2.0)
    checkpoint = newest_sound(tmp_path, print)
    assert checkpoint is not None
    assert (checkpoint.step, checkpoint.facts["position"]) == (12, 84)
    assert torch.equal(checkpoint.tensors("trained")["a"], torch.full((4,), 2.0))
    assert checkpoint.state("optimizer")["param_groups"] == [{"lr": 0.1}]


def test_a_pickled_object_is_never_made(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, ("touch made",)

    folder = _write(tmp_path, 1)
    checkpoint = newest_sound(tmp_path, print)
    assert checkpoint is not None
    torch.save({"a": Evil()}, folder / "optimizer.pt")
    with pytest.raises(UserError, match="holds code besides tensors"):
        checkpoint.state("optimizer")
    assert not Path("made").exists()


_KILLED = """
import os, sys
from pathlib import Path
import tests.training.run.test_checkpoint as t
import training.run.checkpoint as c
calls, at = 0, int(sys.argv[2])
def counted(kept):
    def call(*given, **said):
        global calls
        calls += 1
        if calls > at:
            os.kill(os.getpid(), 9)
        return kept(*given, **said)
    return call
os.fsync, os.replace = counted(os.fsync), counted(os.replace)
Path.rename, c.hash_file = counted(Path.rename), counted(c.hash_file)
t._write(Path(sys.argv[1]), 2, value=2.0)
print("done")
"""


@pytest.mark.nightly
def test_killed_at_any_call_a_checkpoint_is_whole_or_absent_every_call(tmp_path: Path) -> None:
    for at in range(12):
        _assert_whole_or_absent(tmp_path / str(at), at)


@pytest.mark.parametrize("at", [1, 5, 8])
def test_killed_at_any_call_a_checkpoint_is_whole_or_absent(tmp_path: Path, at: int) -> None:
    _assert_whole_or_absent(tmp_path, at)


def _assert_whole_or_absent(root: Path, at: int) -> None:
    _write(root, 1)
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(root), str(at)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode == -9) == ("done" not in done.stdout), done.stderr
    sweep_temporaries(root)
    assert _steps(root) in (["step-00000001"], ["step-00000001", "step-00000002"])
    warnings: list[str] = []
    checkpoint = newest_sound(root, warnings.append)
    assert checkpoint is not None and not warnings


def test_a_failed_write_leaves_nothing_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path, 1)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="step-00000002: cannot be written: No space left on device"):
        _write(tmp_path, 2)
    assert _steps(tmp_path) == ["step-00000001"]


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), RuntimeError("I/O error (os error 5)")])
def test_a_disk_that_fails_while_a_folder_is_filled_is_named_whoever_wrote(error: Exception, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"weights: cannot be written: I"), replaced_folder(tmp_path / "weights"):
        raise error
    assert _steps(tmp_path) == []


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    for text in ("one", "two"):
        with replaced_folder(tmp_path / "weights") as folder:
            (folder / text).write_text(text)
    assert [path.name for path in (tmp_path / "weights").iterdir()] == ["two"]
    with pytest.raises(ZeroDivisionError), replaced_folder(tmp_path / "weights") as folder:
        (folder / "three").write_text("three")
        raise ZeroDivisionError
    assert [path.name for path in (tmp_path / "weights").iterdir()] == ["two"]
    assert _steps(tmp_path) == ["weights"]


def test_older_checkpoints_go_when_the_new_one_is_there(tmp_path: Path) -> None:
    for step in (1, 2, 30):
        _write(tmp_path, step)
    prune(tmp_path, keep=2)
    assert _steps(tmp_path) == ["step-00000002", "step-00000030"]


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EACCES])
@pytest.mark.parametrize("name", ["checkpoint.json", "optimizer.pt"])
def test_a_disk_that_fails_costs_no_checkpoint(
    number: int, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (1, 2, 3):
        _write(tmp_path, step)
    with monkeypatch.context() as patched:
        _fail_to_read(patched, name, number, times=99)
        with pytest.raises(UserError, match=f"step-00000003/{name}: cannot be read"):
            newest_sound(tmp_path, print)
    assert _steps(tmp_path) == ["step-00000001", "step-00000002", "step-00000003"]
    checkpoint = newest_sound(tmp_path, print)
    assert checkpoint is not None and checkpoint.step == 3


@pytest.mark.parametrize("name", ["checkpoint.json", "optimizer.pt"])
def test_a_disk_that_hiccups_is_waited_for(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for step in (1, 2):
        _write(tmp_path, step)
    _fail_to_read(monkeypatch, name, errno.EIO, times=3)
    warnings: list[str] = []
    checkpoint = newest_sound(tmp_path, warnings.append)
    assert checkpoint is not None and checkpoint.step == 2 and not warnings


def _fail_to_read(patch: pytest.MonkeyPatch, name: str, number: int, times: int) -> None:
    """Let the opening of a file of this name fail several times."""
    opened, left = Path.open, [times]

    def fails(self: Path, mode: str = "r", *given: Any, **options: Any) -> Any:
        if self.name == name and "r" in mode and left[0]:
            left[0] -= 1
            raise OSError(number, os.strerror(number), str(self))
        return opened(self, mode, *given, **options)

    patch.setattr(Path, "open", fails)
    patch.setattr(retries, "WAITS_S", (0.0, 0.0, 0.0))


_DAMAGE: dict[str, Callable[[Path], object]] = {
    "a bit of a tensor": lambda folder: _flip(folder / "trained.safetensors", -1),
    "a bit of the facts": lambda folder: _flip(folder / "checkpoint.json", 1),
    "no facts": lambda folder: (folder / "checkpoint.json").unlink(),
    "no file": lambda folder: (folder / "optimizer.pt").unlink(),
    "cut": lambda folder: (folder / "optimizer.pt").write_bytes(b""),
    "no object": lambda folder: (folder / "checkpoint.json").write_text("[]"),
    "no text": lambda folder: (folder / "checkpoint.json").write_bytes(b"\xff"),
    "deep": lambda folder: (folder / "checkpoint.json").write_text("[" * 100_000),
    "negative": lambda folder: (folder / "checkpoint.json").write_text('{"format": 1, "step": -2, "files": {}}'),
    "other step": lambda folder: (folder / "checkpoint.json").write_text('{"format": 1, "step": 7, "files": {}}'),
    "a folder for a file": lambda folder: _folder_instead(folder / "optimizer.pt"),
}


def _folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", _DAMAGE)
def test_a_damaged_checkpoint_is_told_of_and_kept_aside(damage: str, tmp_path: Path) -> None:
    _write(tmp_path, 1)
    for count in range(2):
        _DAMAGE[damage](_write(tmp_path, 2))
        files = len(list((tmp_path / "step-00000002").iterdir()))
        warnings: list[str] = []
        checkpoint = newest_sound(tmp_path, warnings.append)
        assert checkpoint is not None and checkpoint.step == 1
        (warning,) = warnings
        aside = "damaged-step-00000002" + ("-1" if count else "")
        assert "step-00000002: damaged" in warning and aside in warning and "\n" not in warning
        assert len(list((tmp_path / aside).iterdir())) == files
    prune(tmp_path, keep=1)
    assert _steps(tmp_path) == ["damaged-step-00000002", "damaged-step-00000002-1", "step-00000001"]


def test_a_checkpoint_of_another_format_is_refused_and_left_alone(tmp_path: Path) -> None:
    facts = _write(tmp_path, 1) / "checkpoint.json"
    facts.write_text(facts.read_text().replace('"format": 1', '"format": 9'))
    with pytest.raises(UserError, match="checkpoint format 9; this code reads 1"):
        newest_sound(tmp_path, print)
    assert facts.exists()


def test_room_for_all_checkpoints_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=400 * 2**20))
    refuse_full_disk(tmp_path / "not" / "yet", 100 * 2**20, keep=2)
    with pytest.raises(UserError, match="keep_checkpoints"):
        refuse_full_disk(tmp_path, 100 * 2**20, keep=3)
    for step in (1, 2):
        _write(tmp_path, step)
    refuse_full_disk(tmp_path, 100 * 2**20, keep=3)


def test_what_killed_writers_of_a_folder_left_is_removed_and_what_another_writes_now_is_not(tmp_path: Path) -> None:
    left, old = tmp_path / ".painter.7-0123abcd.tmp", tmp_path / ".painter.7-0123abcd.old.tmp"
    others = [tmp_path / ".painter.notes.tmp", tmp_path / ".painter2.7-0123abcd.tmp"]
    for folder in (left, old, *others):
        folder.mkdir()
        (folder / "weights").write_text("half")
    with replaced_folder(tmp_path / "painter") as writing:
        assert not left.exists() and not old.exists()
        with replaced_folder(tmp_path / "painter") as second:
            assert writing.is_dir()
            (second / "weights").write_text("2")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["painter", *(path.name for path in others)])


_SHORT_FILES = """
import resource, sys
from pathlib import Path
import torch
from training.run.checkpoint import write_checkpoint
many = {"a": torch.zeros(5000)}
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
what = {"tensors": {"trained": many}, "states": {}} if sys.argv[2] == "safetensors" else {"tensors": {}, "states": {"optimizer": many}}
write_checkpoint(Path(sys.argv[1]), 2, facts={}, **what)
"""  # noqa: E501


@pytest.mark.parametrize("library", ["safetensors", "torch"])
def test_a_file_that_may_not_grow_is_one_line_whichever_library_writes_it(tmp_path: Path, library: str) -> None:
    _write(tmp_path, 1)
    command = [sys.executable, "-c", _SHORT_FILES, str(tmp_path), library]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stderr.strip().splitlines()[-1].startswith("conf.errors.UserError: ")
    assert "step-00000002: cannot be written: " in done.stderr
    assert _steps(tmp_path) == ["step-00000001"]
