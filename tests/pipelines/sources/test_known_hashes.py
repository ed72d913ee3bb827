"""A folder that was indexed before is not read again, unless anything in it changed."""

import os
from pathlib import Path

import pytest
from fsspec import AbstractFileSystem

from conf.cache_home import cache_home
from pipelines.sources import folder as folder_source
from pipelines.sources import known_hashes
from pipelines.sources.folder import FolderSource


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of ten files with names of pictures, which count as settled at once; the cache is the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(known_hashes, "SETTLED_S", 0.0)
    monkeypatch.setattr(folder_source, "_WORTH_NOTING", 1)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(10):
        (pictures / f"{number}.png").write_bytes(b"picture %d" % number)
    return pictures


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were read."""
    names: list[str] = []
    actual = folder_source._bytes

    def noted(storage: AbstractFileSystem, path: str) -> bytes:
        names.append(Path(path).name)
        return actual(storage, path)

    monkeypatch.setattr(folder_source, "_bytes", noted)
    return names


def hashes_of(pictures: Path) -> list[str]:
    return [entry.sha256 for entry in FolderSource(path=str(pictures)).index(None)]


def test_a_folder_is_read_once(pictures: Path, read: list[str]) -> None:
    first = hashes_of(pictures)
    assert len(read) == len(set(first)) == 10
    assert hashes_of(pictures) == first and len(read) == 10


def test_a_file_that_keeps_its_size_and_time_is_read_again_when_it_changed(pictures: Path, read: list[str]) -> None:
    before = hashes_of(pictures)
    read.clear()
    times = (pictures / "3.png").stat()
    (pictures / "3.png").write_bytes(b"PICTURE 3")
    os.utime(pictures / "3.png", ns=(times.st_atime_ns, times.st_mtime_ns))
    (pictures / "4.png").replace(pictures / "5.png")
    after = hashes_of(pictures)
    assert sorted(read) == ["3.png", "5.png"]  # several threads read
    assert after == [*before[:3], after[3], before[4], *before[6:]] and after[3] != before[3]


def test_a_file_that_changed_a_moment_ago_is_not_noted(
    pictures: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_hashes, "SETTLED_S", 60.0)
    assert hashes_of(pictures) == hashes_of(pictures) and len(read) == 20


def test_a_file_that_cannot_be_read_is_asked_for_again(pictures: Path, read: list[str]) -> None:
    (pictures / "link.png").symlink_to(pictures / "later")
    unreadable = hashes_of(pictures)
    (pictures / "later").write_bytes(b"there now")
    assert hashes_of(pictures) != unreadable


@pytest.mark.parametrize("damage", ["no database", "a folder"])
def test_a_cache_that_cannot_be_used_is_done_without(pictures: Path, read: list[str], damage: str) -> None:
    first, file = hashes_of(pictures), cache_home() / "hashes.sqlite"
    file.unlink()
    file.mkdir() if damage == "a folder" else file.write_bytes(b"no database" * 100)
    assert hashes_of(pictures) == first and len(read) == 20


def test_few_pictures_leave_nothing_in_the_cache(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_source, "_WORTH_NOTING", 11)
    hashes_of(pictures)
    assert not cache_home().exists()
