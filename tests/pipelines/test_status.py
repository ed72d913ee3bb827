"""What `pipelines.status` says, and that looking disturbs nobody."""

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conf.errors import UserError
from pipelines import verify
from pipelines.status import StatusConfig, run
from tests.pipelines.small_dataset import SHARDS, small_dataset
from training.data.claim import is_being_written, sole_writer
from training.data.manifest import manifest_path, tar_path
from training.data.remote import AnyPath, RemotePath

_HOLD = """
import sys, pathlib
from training.data.claim import sole_writer
with sole_writer(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def writer(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that writes to `tmp_path` / "data"."""
    small_dataset(tmp_path / "data", shards=SHARDS[:1])
    command = [sys.executable, "-c", _HOLD, str(tmp_path / "data")]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n"
        yield holder
    finally:
        holder.kill()
        holder.communicate()


def test_a_run_that_starts_while_somebody_looks_is_not_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The look is held open until the run has tried for the lock once."""
    small_dataset(tmp_path / "data", shards=SHARDS[:1])
    looking, tried = threading.Event(), threading.Event()
    flock, close = fcntl.flock, os.close
    looker: list[int] = []

    def noting(descriptor: int, operation: int) -> None:
        try:
            flock(descriptor, operation)
        finally:
            if operation & fcntl.LOCK_EX:
                tried.set()
        if operation & fcntl.LOCK_SH:
            looker.append(descriptor)

    def late(descriptor: int) -> None:
        if descriptor in looker:
            looker.clear()
            looking.set()
            assert tried.wait(20)
        close(descriptor)

    monkeypatch.setattr(fcntl, "flock", noting)
    monkeypatch.setattr(os, "close", late)
    said: list[Any] = []
    look = threading.Thread(target=lambda: said.append(run(StatusConfig(dataset=tmp_path / "data"))))
    look.start()
    assert looking.wait(20)
    with sole_writer(tmp_path / "data"):
        look.join(20)
    assert "stopped" in said[0].lines[0]


def test_two_that_look_at_once_see_no_run(tmp_path: Path) -> None:
    small_dataset(tmp_path / "data")
    folder = os.open(tmp_path / "data", os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_SH | fcntl.LOCK_NB)
        assert not is_being_written(tmp_path / "data")
    finally:
        os.close(folder)


def test_a_run_that_writes_is_seen_and_stays_alone(tmp_path: Path, writer: "subprocess.Popen[str]") -> None:
    summary = run(StatusConfig(dataset=tmp_path / "data"))
    assert "running, 33 % done" in summary.lines[0] and summary.exit_code == 3
    assert not any(line.startswith("next:") for line in summary.lines)
    with pytest.raises(UserError, match="another run is writing"), sole_writer(tmp_path / "data"):
        pass


def test_a_run_that_stopped_is_told_how_to_go_on(tmp_path: Path) -> None:
    small_dataset(tmp_path / "data", shards=SHARDS[:1])
    summary = run(StatusConfig(dataset=tmp_path / "data"))
    assert "stopped, 33 % done" in summary.lines[0] and summary.exit_code == 3
    assert "2 of 6 sequences in 1 of 3 shards" in summary.lines[1]
    assert summary.lines[-1] == "next: the command that began it, again; it continues from here"


def test_reasons_are_counted_and_the_most_frequent_come_first(tmp_path: Path) -> None:
    reasons = [*["too small"] * 3, *["truncated"] * 5, "empty", "bomb", "link", "late", "late"]
    refused = [
        {"key": str(number), "source": f"{number}.jpg", "reason": reason} for number, reason in enumerate(reasons)
    ]
    small_dataset(tmp_path / "data", refused=refused)
    summary = run(StatusConfig(dataset=tmp_path / "data"))
    assert "complete, 100 % done" in summary.lines[0] and summary.exit_code == 0
    assert summary.lines[2:6] == (
        "  refused 13 inputs:", "    5 x truncated", "    3 x too small", "    2 x late",
    )  # fmt: skip
    assert len(summary.lines) == 3 + 5  # five reasons; the sixth is for the page of the gallery


def test_a_damaged_manifest_is_named_with_what_to_do(tmp_path: Path) -> None:
    small_dataset(tmp_path / "data")
    (tmp_path / "data" / "shards" / f"{SHARDS[1]}.json").write_text("{")
    with pytest.raises(UserError, match=f"{SHARDS[1]}.json: .*remove it and run the command that began it again"):
        run(StatusConfig(dataset=tmp_path / "data"))


def test_a_manifest_that_is_gone_from_a_complete_data_set_is_named(tmp_path: Path) -> None:
    root = small_dataset(tmp_path / "data")
    manifest_path(root, SHARDS[1]).unlink()
    with pytest.raises(UserError, match=rf"{SHARDS[1]}\.json: missing; remove it and run the command"):
        run(StatusConfig(dataset=root))


@pytest.mark.parametrize("loss", ["gone", "cut"])
@pytest.mark.parametrize("is_remote", [False, True])
def test_a_shard_whose_file_is_gone_or_cut_is_not_counted(
    tmp_path: Path, loss: str, is_remote: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = small_dataset(tmp_path / "data")
    tar = tar_path(root, SHARDS[1])
    if loss == "gone":
        tar.unlink()
    else:
        os.truncate(tar, tar.stat().st_size - 512)
    place: AnyPath = root
    if is_remote:
        place = RemotePath(f"memory://status-{loss}")
        for path in (path for path in root.rglob("*") if path.is_file()):
            (place / path.relative_to(root).as_posix()).write_bytes(path.read_bytes())
        monkeypatch.setattr(RemotePath, "open", lambda *_: pytest.fail("a shard is read"))
    summary = run(StatusConfig(dataset=place))
    assert "stopped, 67 % done" in summary.lines[0] and summary.exit_code == 3
    assert "4 of 6 sequences in 2 of 3 shards" in summary.lines[1]
    reason = "missing, but it has a manifest" if loss == "gone" else "not the bytes that were committed"
    assert summary.lines[2] == f"fault: {tar_path(place, SHARDS[1])}: {reason}"
    assert summary.lines[-1].startswith("next:")
    verified = verify.run(verify.VerifyConfig(dataset=root, replay=False))
    assert "4 sequences in 2 of 3 shards" in verified.lines[0] and verified.exit_code == 1
    assert "not complete" in verified.lines[-1]
