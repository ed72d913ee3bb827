"""One object store for all tests of a session, and a bucket for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.object_store import ObjectStore
from training.data import requests


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    pytest.importorskip("moto", reason="Skipped: needs moto")
    with ObjectStore(tmp_path_factory.mktemp("object-store")) as store:
        yield store


@pytest.fixture
def store(server: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    """The server without faults, with the environment of its clients.

    fsspec keeps one client in a process, with the credentials of its first use. After tests without a server, it would
    have none, so its cache of clients is cleared.
    """
    from s3fs import S3FileSystem

    server.works()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(requests, "WAITS_S", (0.01,) * 6)
    S3FileSystem.clear_instance_cache()
    yield server
    S3FileSystem.clear_instance_cache()


@pytest.fixture
def bucket(store: ObjectStore, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    name = "bucket-" + tmp_path.name.replace("_", "-").lower()[-40:].strip("-")
    store.storage().mkdir(name)
    return f"s3://{name}"
