"""Pictures that are none, folders that will not do, disks that are full: told in a row or a line, never a traceback."""

import errno
import json
import os
import subprocess
import tarfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.sources.source import SourceEntry
from tests.pipelines.runs import COMMAND, PAINT_FAST, SMALL, assert_same, contents, rows, save_picture, synth
from tests.pipelines.torn_pictures import TORN
from training.data.dataset import read_card

FROM_FOLDER = (*PAINT_FAST, "shard_size=2", "cluster=inline", "source=folder")


def fill(folder: Path, *, good: int) -> Path:
    folder.mkdir()
    for number in range(good):
        save_picture(folder / f"good{number}.png", number)
    for name, data in TORN.items():
        (folder / name).write_bytes(data)
    return folder


def quarantine(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "quarantine.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def torn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of six good pictures and five torn ones, and beside it a data set made from it."""
    root = tmp_path_factory.mktemp("torn")
    fill(root / "pictures", good=6)
    assert synth(*FROM_FOLDER, f"source.path={root / 'pictures'}", f"out={root / 'out'}") == 3
    return root


def test_every_torn_picture_gets_a_row_that_says_why(torn: Path) -> None:
    found = {row["source"]: row for row in quarantine(torn / "out")}
    assert set(found) == set(TORN)
    for name, words in {
        "empty.jpg": "empty",
        "text.png": "not a picture",
        "dot.png": "1x1",
        "cut.jpg": "truncated",
        "bomb.png": "pixels",
    }.items():
        assert words in found[name]["reason"].lower(), found[name]["reason"]
    for row in found.values():
        assert row["seed"]["root"] == 0 and len(row["seed"]["spawn_key"]) == 2
        assert "\n" not in row["reason"] and row["traceback"] is None
        assert len(row["source_sha256"]) == 64


def test_all_other_pictures_are_painted(torn: Path) -> None:
    made = rows(torn / "out" / "samples.parquet")
    assert sorted(str(row["source"]) for row in made) == [f"good{number}.png" for number in range(6)]
    totals = read_card(torn / "out").totals
    assert totals is not None
    assert (totals["num_sequences"], totals["num_quarantined"]) == (6, len(TORN))


def test_a_run_with_refused_pictures_is_complete_and_is_not_tried_again(
    torn: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(torn / "out")
    assert synth(*FROM_FOLDER, f"source.path={torn / 'pictures'}", f"out={torn / 'out'}") == 3
    told = capsys.readouterr().out
    assert "made 0 sequences; 6 were there already" in told
    assert f"refused {len(TORN)} inputs; reasons in {torn / 'out' / 'quarantine.jsonl'}" in told
    assert_same(contents(torn / "out"), before)


def test_more_refused_than_allowed_fails_in_one_line_and_says_where_the_reasons_are(
    torn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = (*FROM_FOLDER, f"source.path={torn / 'pictures'}", f"out={tmp_path / 'out'}")
    assert synth(*overrides, "max_quarantined=0.1") == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert "max_quarantined=0.1" in line and str(tmp_path / "out" / "quarantine.jsonl") in line
    assert quarantine(tmp_path / "out")
    assert read_card(tmp_path / "out").totals is None
    assert synth(*overrides, "max_quarantined=0.1") == 2
    assert synth(*overrides, "max_quarantined=0.5") == 3  # nothing is lost: the rest is made, under a wider limit
    assert_same(contents(tmp_path / "out"), contents(torn / "out"))


def test_a_picture_that_changes_under_a_run_is_refused_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.sources.folder import FolderSource

    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(4):
        save_picture(pictures / f"{number}.png", number)
    index = FolderSource.index

    def index_and_change(self: FolderSource, limit: int | None) -> Any:
        entries = index(self, limit)
        save_picture(pictures / "1.png", 99)
        return entries

    monkeypatch.setattr(FolderSource, "index", index_and_change)
    assert synth(*FROM_FOLDER, f"source.path={pictures}", f"out={tmp_path / 'out'}") == 3
    (row,) = quarantine(tmp_path / "out")
    assert row["source"] == "1.png" and "changed since" in row["reason"]


def test_a_fault_of_ours_stops_the_run_in_one_line_and_costs_no_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import renderers.bezier

    paint = renderers.bezier.RENDERER.paint
    calls: list[int] = []

    def sometimes(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise ZeroDivisionError("float division by zero")
        return paint(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(renderers.bezier.RENDERER, "paint", sometimes)
        assert synth(*SMALL, f"out={tmp_path / 'out'}") == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    for part in ("scenes/0/", "fault of this program", "ZeroDivisionError: float division by zero", "in sometimes"):
        assert part in line
    assert synth(*SMALL, f"out={tmp_path / 'out'}") == 0  # once it is mended, nothing is lacking
    assert synth(*SMALL, f"out={tmp_path / 'other'}") == 0
    assert_same(contents(tmp_path / "out"), contents(tmp_path / "other"))


@pytest.mark.parametrize(
    "error", [OSError(errno.EIO, "Input/output error"), TimeoutError(errno.ETIMEDOUT, "timed out")]
)
def test_a_storage_that_fails_stops_the_run_with_its_name_and_the_same_command_goes_on(
    error: OSError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pipelines.sources.folder import FolderSource

    monkeypatch.setattr("training.data.retries.time.sleep", lambda _: None)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(6):
        save_picture(pictures / f"{number}.png", number)
    overrides = (*FROM_FOLDER, f"source.path={pictures}", "source.caption=%name")
    read = FolderSource.read

    def fails(self: FolderSource, entry: SourceEntry) -> bytes:
        if entry.id == "4.png":
            raise error
        return read(self, entry)

    with monkeypatch.context() as patch:
        patch.setattr(FolderSource, "read", fails)
        assert synth(*overrides, f"out={tmp_path / 'out'}") == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert str(pictures / "4.png") in line and str(error.strerror) in line
    assert synth(*overrides, f"out={tmp_path / 'out'}") == 0
    assert synth(*overrides, f"out={tmp_path / 'other'}") == 0
    assert_same(contents(tmp_path / "out"), contents(tmp_path / "other"))


def test_data_without_captions_are_warned_of_with_the_remedy_and_what_is_passed_over_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(2):
        save_picture(pictures / f"a_{number}.png", number)
    (pictures / "clip.MTS").write_bytes(b"")
    overrides = (*FROM_FOLDER, f"source.path={pictures}")
    assert synth(*overrides, f"out={tmp_path / 'bare'}") == 0
    told = capsys.readouterr().out
    assert "warning: 2 of 2 sequences have no caption" in told and "source.caption=" in told
    assert "passed over 1 file of the source: clip.MTS" in told
    assert synth(*overrides, f"out={tmp_path / 'out'}", "source.caption=a picture of %name") == 0
    assert "no caption" not in capsys.readouterr().out
    captions = sorted(str(row["caption"]) for row in rows(tmp_path / "out" / "samples.parquet"))
    assert [caption.partition(",")[0] for caption in captions] == ["a picture of a 0", "a picture of a 1"]


@pytest.mark.parametrize(
    ("overrides", "messages"),
    [
        (["source=folder", "source.path={}/nowhere"], ["nowhere", "missing"]),
        (["source=folder", "source.path={}/empty"], ["empty", "no pictures"]),
        (["source=folder", "source.path={}/bare", "source.require_captions=true"], ["caption", "0.png"]),
        (["source=webdataset", "source.path={}/nowhere.tar"], ["nowhere.tar", "missing"]),
        (["source=webdataset", "source.path={}/empty"], ["empty", "no tars"]),
        (["out={}/file/below"], ["file"]),
        (["out={}/file"], ["out=", "this is a file"]),
        (["out=/proc/nobody/may"], ["out=/proc/nobody/may"]),
        (["out={}/" + "x" * 300], ["File name too long"]),
    ],
    ids=lambda words: " ".join(words)[:50],
)
def test_what_cannot_be_read_or_written_is_told_in_one_line_and_leaves_nothing(
    overrides: list[str], messages: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bare").mkdir()
    save_picture(tmp_path / "bare" / "0.png", 0)
    (tmp_path / "file").write_text("x")
    before = sorted(tmp_path.rglob("*"))
    assert synth(*SMALL, f"out={tmp_path / 'out'}", *(word.replace("{}", str(tmp_path)) for word in overrides)) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ") and message.count("\n") == 1
    for part in messages:
        assert part in message
    assert sorted(tmp_path.rglob("*")) == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    """A disk of 400 KB, where this machine lets us mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("may not mount a small disk here")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_a_disk_that_fills_up_ends_the_run_in_one_line_and_loses_nothing(small_disk: Path, tmp_path: Path) -> None:
    overrides = (*PAINT_FAST, "cluster=inline", "num_sequences=40", "shard_size=2", "gallery=false")
    done = subprocess.run(
        [*COMMAND, *overrides, f"out={small_disk / 'out'}"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("painting")]
    assert line.startswith("error: ") and "No space left on device" in line
    shards = [path.name for path in (small_disk / "out" / "shards").iterdir()]
    assert any(name.endswith(".json") for name in shards)
    assert not [name for name in shards if name.endswith(".tmp")]
    subprocess.run(["mount", "-o", "remount,size=40m", small_disk], check=True)
    assert synth(*overrides, f"out={small_disk / 'out'}") == 0
    assert synth(*overrides, f"out={tmp_path / 'other'}") == 0
    assert_same(contents(small_disk / "out"), contents(tmp_path / "other"))


def test_a_disk_that_is_full_from_the_start_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert synth(*SMALL, f"out={tmp_path / 'out'}") == 2
    assert "No space left on device" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_memory_that_runs_out_costs_its_shard_and_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import renderers.bezier

    calls: list[int] = []
    paint = renderers.bezier.RENDERER.paint

    def sometimes(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise MemoryError
        return paint(*arguments)

    monkeypatch.setattr(renderers.bezier.RENDERER, "paint", sometimes)
    assert synth(*SMALL, f"out={tmp_path / 'out'}") == 3
    assert "lost 1 shard, first" in capsys.readouterr().out
    assert not (tmp_path / "out" / "quarantine.jsonl").exists()
    assert synth(*SMALL, f"out={tmp_path / 'out'}") == 0


def test_the_key_of_a_tracker_is_never_written(tmp_path: Path) -> None:
    canary = "canary" + "0123456789" * 4
    out = tmp_path / "out"
    environment = {**os.environ, "WANDB_API_KEY": canary}
    environment.pop("WANDB_MODE", None)
    began = time.time()
    done = subprocess.run(
        [*COMMAND, *SMALL, "tracker=wandb", f"out={out}"], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (run,) = (out / "wandb").glob("offline-run-*")
    (log,) = run.glob("*.wandb")
    assert list((out / "wandb" / "sheets").glob("*.png")), "no sample sheet"
    assert b"sequences_per_s" in log.read_bytes() and log.stat().st_mtime >= began - 1
    assert str(tmp_path).encode() not in log.read_bytes()
    assert f"dataset-{read_card(out).digest[:16]}".encode() in log.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
    written = [path for path in out.rglob("*") if path.is_file()]
    assert written
    assert not [path for path in written if canary.encode() in path.read_bytes()]
    assert canary not in done.stdout + done.stderr


def test_an_online_tracker_without_a_key_is_told_in_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")  # where kernels are compiled already
    environment |= {"HOME": str(tmp_path / "home"), "WANDB_BASE_URL": "http://127.0.0.1:9", "XDG_CACHE_HOME": cache}
    done = subprocess.run(
        [*COMMAND, *SMALL, "tracker=wandb", "tracker.mode=online", f"out={tmp_path / 'out'}"],
        env=environment,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: tracker=wandb: ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("kind", "place"),
    [("parquet", "source.caption_column"), ("hf", "source.caption_column"), ("webdataset", "in the tars")],
)
def test_where_captions_lack_the_place_is_named_that_this_source_takes_them_from(
    kind: str, place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_picture(tmp_path / "a.png", 0)
    column = [{"bytes": (tmp_path / "a.png").read_bytes(), "path": None}]
    (tmp_path / "set").mkdir()
    if kind == "webdataset":
        with tarfile.open(tmp_path / "set" / "train.tar", "w") as tar:
            tar.add(tmp_path / "a.png", "a.png")
    else:
        pq.write_table(pa.table({"image": column}), tmp_path / "set" / "train.parquet")
    overrides = (*PAINT_FAST, "cluster=inline", f"source={kind}", f"source.path={tmp_path / 'set'}")
    assert synth(*overrides, f"out={tmp_path / 'out'}") == 0
    (warning,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning: 1 of 1")]
    assert place in warning and "source.caption=" in warning and ("photo.txt" in warning) == (kind == "webdataset")
