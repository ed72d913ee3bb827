"""One run writes in a folder of an object store; whose process has ended, or shows no life, is passed over."""

import json
import subprocess
import sys
import threading
import time

import pytest

from conf.errors import UserError
from tests.object_store import ObjectStore
from training.data import remote_claim
from training.data.claim import is_being_written
from training.data.remote import RemotePath
from training.data.remote_claim import sole_remote_writer


@pytest.fixture
def root(bucket: str, monkeypatch: pytest.MonkeyPatch) -> RemotePath:
    for name, seconds in (("BEAT_S", 0.2), ("EXPIRY_S", 1.0), ("_LOOK_S", 0.05)):
        monkeypatch.setattr(remote_claim, name, seconds)
    return RemotePath(f"{bucket}/data")


def elsewhere(claim: RemotePath) -> bytes:
    """The same claim as if another machine had made it."""
    return json.dumps({**json.loads(claim.read_bytes()), "host": "elsewhere", "boot": "other"}).encode()


def test_a_folder_that_is_held_is_refused_and_free_afterwards(root: RemotePath) -> None:
    with sole_remote_writer(root):
        assert is_being_written(root)
        with (
            pytest.raises(UserError, match="another run is writing here"),
            sole_remote_writer(root),
        ):
            pass
        assert len(list(root.iterdir())) == 1
    assert not is_being_written(root) and list(root.iterdir()) == []


def test_a_holder_that_was_killed_on_this_machine_is_passed_over_at_once(
    root: RemotePath, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_claim, "EXPIRY_S", 60.0)
    code = (
        "import os, sys\nfrom training.data.remote import RemotePath\n"
        "from training.data.remote_claim import sole_remote_writer\n"
        "with sole_remote_writer(RemotePath(sys.argv[1])):\n    os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, root.url], check=False)
    assert len(list(root.iterdir())) == 1
    began = time.monotonic()
    with sole_remote_writer(root):
        assert time.monotonic() - began < 5
    assert list(root.iterdir()) == []


def test_a_holder_elsewhere_is_believed_while_it_shows_life_and_passed_over_when_it_does_not(root: RemotePath) -> None:
    with sole_remote_writer(root):
        (claim,) = root.iterdir()
    content = {"host": "elsewhere", "boot": "other", "pid": 1, "began": "1"}
    claim.write_bytes(json.dumps({**content, "beat": 0}).encode())
    stop = threading.Event()

    def live() -> None:
        beat = 0
        while not stop.wait(0.1):
            beat += 1
            claim.write_bytes(json.dumps({**content, "beat": beat}).encode())

    thread = threading.Thread(target=live)
    thread.start()
    try:
        assert is_being_written(root)
        with pytest.raises(UserError, match=r"another run is writing here .process 1 of elsewhere"):
            sole_remote_writer(root).__enter__()
    finally:
        stop.set()
        thread.join()
    with sole_remote_writer(root):
        assert sorted(path.name for path in root.iterdir()) == [".writer-00000001.json", ".writer-00000002.json"]
    assert list(root.iterdir()) == []


def test_a_holder_that_was_passed_over_stops_and_leaves_the_other_alone(root: RemotePath) -> None:
    with pytest.raises(UserError, match="another run has taken over this folder"), sole_remote_writer(root):
        (claim,) = root.iterdir()
        later = root / ".writer-00000002.json"
        later.write_bytes(elsewhere(claim))
        time.sleep(1.0)
    assert later.is_file()


def test_of_many_who_try_at_once_one_gets_it(root: RemotePath) -> None:
    held, refused = [], []
    together = threading.Barrier(6)

    def attempt() -> None:
        together.wait()
        try:
            claim = remote_claim._taken(root)
        except UserError as error:
            refused.append(error)
        else:
            held.append(claim)

    threads = [threading.Thread(target=attempt) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(held) == 1 and len(refused) == 5
