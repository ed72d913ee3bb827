"""A data set on an object store: the same bytes as on a disk, whatever fails meanwhile."""

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from conf.command import command
from pipelines import gallery, status, verify
from tests.object_store import Faults, ObjectStore
from tests.pipelines.runs import COMMAND, REPOSITORY, SMALL, contents, synth
from training.data.split import open_split

VARYING = ("timings/", "samples.parquet")


def remote_contents(store: ObjectStore, url: str) -> dict[str, bytes]:
    return {name: data for name, data in store.files(url).items() if not name.startswith(VARYING)}


def local_contents(root: Path) -> dict[str, object]:
    return {name: data for name, data in contents(root).items() if not name.startswith(VARYING)}


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("local") / "data"
    assert synth(*SMALL, f"out={root}") == 0
    return root


def look(name: str, *overrides: str) -> int:
    module = {"verify": verify, "status": status, "gallery": gallery}[name]
    return command(name, getattr(module, f"{name}_config"), module.run, "A test.", list(overrides))


def test_a_data_set_made_in_a_bucket_is_the_local_one_byte_for_byte(
    store: ObjectStore, bucket: str, local: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    out = f"{bucket}/sets/data"
    assert synth(*SMALL, f"out={out}") == 0
    assert remote_contents(store, out) == local_contents(local)
    assert list(tmp_path.iterdir()) == []
    before = store.storage().find(out.removeprefix("s3://"), detail=True)
    assert synth(*SMALL, f"out={out}") == 0
    assert "made 0 sequences" in capsys.readouterr().out
    after = store.storage().find(out.removeprefix("s3://"), detail=True)
    shards = [name for name in before if "/shards/" in name]
    assert all(before[name]["LastModified"] == after[name]["LastModified"] for name in shards)
    assert [look(name, f"dataset={out}") for name in ("verify", "status", "gallery")] == [0, 0, 0]
    assert "complete, 100 % done" in capsys.readouterr().out


def test_shards_in_folders_are_found_in_a_bucket(
    store: ObjectStore, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.data.layout.MOST_SHARDS_TOGETHER", 2)
    monkeypatch.setattr("training.data.layout._SHARDS_A_FOLDER", 2)
    for out in (f"{bucket}/data", tmp_path / "data"):
        assert synth(*SMALL, "val_fraction=0", f"out={out}") == 0
    assert remote_contents(store, f"{bucket}/data") == local_contents(tmp_path / "data")
    assert "shards/00001/train-00002-of-00003.tar" in store.files(f"{bucket}/data")
    assert [look(name, f"dataset={bucket}/data") for name in ("verify", "status", "gallery")] == [0, 0, 0]
    assert len(open_split(f"{bucket}/data", "train").read(range(6))) == 6


def test_faults_of_the_store_leave_no_hole(store: ObjectStore, bucket: str, local: Path) -> None:
    out = f"{bucket}/data"
    store.fails(Faults(throttled=0.05, dropped=0.05, cut=0.05, seed=1))
    assert synth(*SMALL, f"out={out}") == 0
    counts = store.counts()
    assert counts["SlowDown"] and counts["dropped"] and counts["cut"]
    store.works()
    assert remote_contents(store, out) == local_contents(local)


def test_damage_in_a_bucket_is_named(store: ObjectStore, bucket: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = f"{bucket}/data"
    assert synth(*SMALL, f"out={out}") == 0
    tar = next(name for name in store.storage().find(out) if name.endswith(".tar"))
    data = bytearray(store.storage().cat_file(tar))
    data[2000] ^= 1
    store.storage().pipe_file(tar, bytes(data))
    assert look("verify", f"dataset={out}") == 1
    assert Path(tar).name in capsys.readouterr().out


@pytest.mark.parametrize(
    ("out", "faults", "line"),
    [
        ("s3://no-such-bucket/data", Faults(), "cannot be written"),
        ("BUCKET/data", Faults(expired=True), "credentials in the environment"),
        ("BUCKET/data", Faults(forbidden=True), "credentials in the environment"),
    ],
)
def test_a_bucket_that_will_not_do_is_refused_in_one_line(
    store: ObjectStore, bucket: str, out: str, faults: Faults, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store.fails(faults)
    assert synth(*SMALL, f"out={out.replace('BUCKET', bucket)}") == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1 and line in errors[0] and "s3cret" not in errors[0]
    store.works()
    assert store.files(bucket) == {}


def test_what_is_there_already_is_not_touched(
    store: ObjectStore, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store.storage().pipe_file(f"{bucket}/foreign/shards/part-0.tar", b"half")
    assert synth(*SMALL, f"out={bucket}/foreign") == 2
    assert "this one holds something that is not a data set" in capsys.readouterr().err
    assert store.files(bucket) == {"foreign/shards/part-0.tar": b"half"}
    assert synth(*SMALL, f"out={bucket}/data") == 0
    before = store.files(f"{bucket}/data")
    assert synth(*SMALL, "seed=1", f"out={bucket}/data") == 2
    assert "this one holds a data set with seed=0, not 1" in capsys.readouterr().err
    assert store.files(f"{bucket}/data") == before


def test_listings_that_lag_lose_nothing(store: ObjectStore, bucket: str, local: Path) -> None:
    store.fails(Faults(lag_s=3600))
    out = f"{bucket}/data"
    assert synth(*SMALL, f"out={out}") == 0
    store.works()
    assert remote_contents(store, out) == local_contents(local)


@pytest.mark.parametrize(
    "kills", [pytest.param((1, 3), id="2"), pytest.param(range(6), marks=pytest.mark.nightly, id="6")]
)
def test_a_run_that_is_killed_goes_on_and_leaves_the_bytes_of_one_that_was_not(
    store: ObjectStore, bucket: str, local: Path, kills: Sequence[int]
) -> None:
    out = f"{bucket}/data"
    overrides = [*COMMAND, *SMALL, f"out={out}"]
    wholes: set[str] = set()
    for kill in kills:
        process = subprocess.Popen(overrides, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if len(store.storage().find(out)) > min(2 * kill, 8):  # a little later every time
                break
            time.sleep(0.05)
        process.kill()
        process.wait()
        there = {name for name in remote_contents(store, out) if name.endswith(".json") and "shards" in name}
        assert wholes <= there
        wholes = there
    assert subprocess.run(overrides, cwd=REPOSITORY, capture_output=True).returncode == 0
    assert remote_contents(store, out) == local_contents(local)
