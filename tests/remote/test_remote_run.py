"""A run whose folder is in a bucket, and what reads what it trained."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from conf.errors import UserError
from pipelines.painters import painter_folder
from tests.object_store import Faults, ObjectStore
from tests.pipelines.small_dataset import small_dataset
from tests.training.toy_runs import ROOT, train, words
from training.data.mirror import local_copy
from training.data.remote import RemotePath
from training.models.weights import parent_weights


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return small_dataset(tmp_path / "data", captions=[f"picture {number}" for number in range(24)])


def weights(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if name.endswith(".safetensors")}


def local_files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_run_in_a_bucket_is_the_local_one_and_goes_on_from_its_checkpoints(
    store: ObjectStore, bucket: str, data: Path, tmp_path: Path
) -> None:
    train(data, tmp_path / "run")
    out = f"{bucket}/runs/toy"
    store.fails(Faults(throttled=0.03, dropped=0.03, cut=0.03, seed=2))
    train(data, data, out=out, max_steps=4)
    store.works()
    first = store.files(out)
    assert {"checkpoints/step-00000004/checkpoint.json", "run.json", "log.jsonl", "weights/run_card.json"} <= set(first)
    train(data, data, out=out)
    remote, local = store.files(out), local_files(tmp_path / "run")
    assert set(remote) == set(local) and weights(remote) == weights(local)
    assert "checkpoints/step-00000008/checkpoint.json" in remote
    summary = train(data, data, out=out)
    assert out in summary.lines[0] and str(tmp_path) not in summary.lines[0]


def test_a_checkpoint_that_went_up_half_is_passed_over(store: ObjectStore, bucket: str, data: Path) -> None:
    out = f"{bucket}/run"
    train(data, data, out=out)
    whole = store.files(out)
    store.storage().rm_file(f"{out}/checkpoints/step-00000008/checkpoint.json")
    store.storage().rm(f"{out}/weights", recursive=True)
    train(data, data, out=out)
    assert weights(store.files(out)) == weights(whole) and set(store.files(out)) == set(whole)


@pytest.mark.nightly
def test_a_run_that_is_killed_while_it_writes_goes_on(store: ObjectStore, bucket: str, data: Path) -> None:
    train(data, data, out=f"{bucket}/whole", checkpoint_every=1)
    out = f"{bucket}/run"
    command = [sys.executable, "-m", "tests.training.toy", *words(data, data, out=out, checkpoint_every=1)]
    store.fails(Faults(latency_s=0.03))
    for kill in range(2):
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if f"{out}/checkpoints/step-{2 * kill + 1:08d}/checkpoint.json"[5:] in store.storage().find(out):
                break
            time.sleep(0.05)
        process.kill()
        process.wait()
    store.works()
    assert subprocess.run(command, cwd=ROOT, capture_output=True).returncode == 0
    assert weights(store.files(out)) == weights(store.files(f"{bucket}/whole"))


def test_what_a_run_in_a_bucket_trained_is_read_without_its_checkpoints(
    store: ObjectStore, bucket: str, data: Path
) -> None:
    out = f"{bucket}/run"
    train(data, data, out=out)
    store.works()
    place = parent_weights("base", RemotePath(out))
    assert place.name == "weights" and (place / "run_card.json").is_file()
    assert not (place.parent / "checkpoints").exists()
    fetched = store.counts()["GET"]
    assert parent_weights("base", RemotePath(out)) == place and store.counts()["GET"] - fetched <= 2  # a listing
    store.storage().pipe_file(f"{out}/weights/more.txt", b"later")
    assert (parent_weights("base", RemotePath(out)) / "more.txt").read_bytes() == b"later"


def test_a_painter_in_a_bucket_is_fetched_once(store: ObjectStore, bucket: str) -> None:
    store.storage().put(str(painter_folder(Path("tiny"))), f"{bucket}/tiny", recursive=True)
    folder = painter_folder(RemotePath(f"{bucket}/tiny"))
    assert local_files(folder) == local_files(painter_folder(Path("tiny")))
    with pytest.raises(UserError, match=r"painter=s3://.*: no such folder"):
        local_copy("painter", RemotePath(f"{bucket}/none"))


def test_a_folder_of_something_else_is_refused_and_not_touched(store: ObjectStore, bucket: str, data: Path) -> None:
    store.storage().pipe_file(f"{bucket}/other/notes.txt", b"mine")
    with pytest.raises(UserError, match="this one holds something that is not a run"):
        train(data, data, out=f"{bucket}/other")
    assert store.files(f"{bucket}/other") == {"notes.txt": b"mine"}
    train(data, data, out=f"{bucket}/run", max_steps=2)
    before = store.files(f"{bucket}/run")
    with pytest.raises(UserError, match=f"out={bucket}/run.*this one holds a run with"):
        train(data, data, out=f"{bucket}/run", batch_size=2)
    assert store.files(f"{bucket}/run") == before


def test_training_from_a_bucket_is_training_from_a_disk(store: ObjectStore, bucket: str, data: Path) -> None:
    store.storage().put(str(data), f"{bucket}/data", recursive=True)
    train(data, data.parent / "local", stream="sequential")
    train(data, data.parent / "remote", data=f"{bucket}/data")
    local, remote = (weights(local_files(data.parent / name)) for name in ("local", "remote"))
    assert local == remote and len(local) > 1
    with pytest.raises(UserError, match="a run with num_workers=0, not 2"):
        train(data, data.parent / "remote", data=f"{bucket}/data", num_workers=2)
