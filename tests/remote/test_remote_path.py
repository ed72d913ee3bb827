"""A place in an object store answers as a local path does, whatever the store does meanwhile."""

import pickle
import tempfile
import threading
from itertools import islice

import pytest

from conf.errors import ConfigError, UserError
from tests.object_store import Faults, ObjectStore
from training.data.manifest import hash_file
from training.data.remote import RemotePath, answers


def test_files_are_written_read_listed_and_removed_as_local_ones(bucket: str) -> None:
    root = RemotePath(f"{bucket}/data")
    assert not root.exists() and not root.is_dir() and list(root.iterdir()) == []
    path = root / "shards/a.json"
    path.write_bytes(b"one")
    path.write_bytes(b"three")
    assert path.read_bytes() == b"three" and path.stat().st_size == 5 and path.is_file() and not path.is_dir()
    assert root.is_dir() and list(root.iterdir()) == [root / "shards"] and path.parent.parent == root
    (root / "shards/b.tar").write_bytes(b"")
    assert sorted(path.name for path in (root / "shards").iterdir()) == ["a.json", "b.tar"]
    assert [path.stem for path in (root / "shards").glob("*.json")] == ["a"]
    with path.open() as file:
        assert file.seek(2) == 2 and file.read(2) == b"re" and file.read() == b"e"
    path.unlink()
    path.unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        path.read_bytes()


def test_of_two_who_create_one_succeeds_and_who_asks_again_succeeds_again(bucket: str) -> None:
    path = RemotePath(f"{bucket}/claim")
    assert path.create(b"mine") and not path.create(b"theirs") and path.create(b"mine")
    assert path.read_bytes() == b"mine"


def test_a_large_file_goes_up_and_comes_back_whole_through_a_store_that_fails(store: ObjectStore, bucket: str) -> None:
    path, data = RemotePath(f"{bucket}/large"), bytes(range(256)) * 12_000
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        store.fails(Faults(throttled=0.1, dropped=0.1, cut=0.1, seed=3))
        path.upload(file)
        with path.open() as back:
            assert back.read() == data
        assert len(hash_file(path)) == 64
    counts = store.counts()
    assert counts["SlowDown"] and counts["dropped"] and counts["cut"]


@pytest.mark.parametrize(
    ("faults", "reason"),
    [
        (Faults(expired=True), "are the credentials in the environment right, and not expired"),
        (Faults(forbidden=True), "are the credentials in the environment right, and not expired"),
        (Faults(throttled=1.0), "the same command again goes on when the storage answers"),
        (Faults(dropped=1.0), "the same command again goes on when the storage answers"),
    ],
)
def test_a_store_that_does_not_answer_is_told_of_in_one_line(
    store: ObjectStore, bucket: str, faults: Faults, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.data.requests.WAITS_S", (0.01,))
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 1)  # its own would take seconds for each request
    path = RemotePath(f"{bucket}/data/a")
    store.fails(faults)
    for ask in (path.read_bytes, path.exists, lambda: path.write_bytes(b""), lambda: list(path.parent.iterdir())):
        with pytest.raises(UserError, match=reason) as caught:
            ask()
        assert str(caught.value).startswith(f"{bucket}/data") and "\n" not in str(caught.value)


def test_who_writes_to_a_bucket_that_is_not_there_is_told(store: ObjectStore) -> None:
    with pytest.raises(UserError, match=r"s3://no-such-bucket/a: cannot be written .*bucket does not exist"):
        RemotePath("s3://no-such-bucket/a").write_bytes(b"")


def test_it_travels_to_other_processes_and_shows_no_secret() -> None:
    path = RemotePath("https://host/a?sig=s3cret")
    assert pickle.loads(pickle.dumps(path)) == path and "s3cret" not in str(path)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("s3://ann:s3cret@bucket/x", "without password: credentials are of the environment"),
        ("nosuch://bucket/x", "a URL that fsspec can open"),
        ("simplecache::s3://bucket/x", "one URL such as s3://bucket/folder"),
        ("file:///tmp/x", "a local path, or one URL"),
        ("s3://", "with a folder"),
        ("memory:///", "with a folder"),
        ("abfs://container/x", r"pip install 'process-painter\[remote\]'"),
    ],
)
def test_urls_that_will_not_do_are_refused_by_key(url: str, allowed: str) -> None:
    with pytest.raises(ConfigError, match=allowed) as caught:
        RemotePath.from_url(url, "out")
    assert caught.value.key == "out"


def test_it_is_no_local_path() -> None:
    with pytest.raises(TypeError):
        open(RemotePath("s3://bucket/x"))  # type: ignore[call-overload]  # noqa: SIM115


def test_no_thread_waits_for_a_reader_of_answers_that_stops_early() -> None:
    threads = threading.active_count()
    replies = answers(RemotePath("memory://x"), lambda number: -number, range(100))
    assert next(replies) == 0 and threading.active_count() == threads
    assert list(replies) == [-number for number in range(1, 100)]


def test_answers_before_one_that_fails_are_given() -> None:
    replies = answers(RemotePath("memory://x"), lambda number: 6 // (3 - number), range(9))
    assert list(islice(replies, 3)) == [2, 3, 6]
    with pytest.raises(ZeroDivisionError):
        next(replies)
