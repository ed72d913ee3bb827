"""`source=folder` on storage that fails."""

import errno
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem

from pipelines.sources.folder import FolderSource
from pipelines.sources.source import RefusedPicture, StorageFault
from tests.pipelines.sources.picture_folders import FRAMING, fill, grey_png, one_line_error, png

FAULTS = [
    OSError(errno.EIO, "Input/output error"),
    OSError(errno.ESTALE, "Stale file handle"),
    OSError(errno.EMFILE, "Too many open files"),
    OSError(errno.ENODEV, "No such device"),
    TimeoutError(errno.ETIMEDOUT, "Connection timed out"),
    ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
    RuntimeError("whatever a client of remote storage raises"),
]


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception, ending: str, times: int) -> list[float]:
    """Let local storage fail several times on files of one kind; waits are recorded instead of taken."""
    waits: list[float] = []
    monkeypatch.setattr("training.data.retries.time.sleep", waits.append)
    read = LocalFileSystem.cat_file
    left = [times]

    def cat_file(self: LocalFileSystem, path: str, *arguments: Any, **options: Any) -> bytes:
        if str(path).endswith(ending) and left[0]:
            left[0] -= 1
            raise error
        data: bytes = read(self, path, *arguments, **options)
        return data

    monkeypatch.setattr(LocalFileSystem, "cat_file", cat_file)
    return waits


@pytest.mark.parametrize("error", FAULTS, ids=lambda error: f"{type(error).__name__} {error}"[:40])
@pytest.mark.parametrize("ending", ["a.png", "a.depth.png"])
def test_storage_that_hiccups_is_waited_for_and_one_that_fails_is_not_held_against_the_picture(
    error: Exception, ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, {"a.png": png(), "a.depth.png": grey_png()})
    source = FolderSource(path=str(tmp_path))
    with monkeypatch.context() as hiccup:
        waits = failing(hiccup, error, ending, times=2)
        (entry,) = source.index(None)
        assert len(waits) == 2 and waits[0] < waits[1]
        failing(hiccup, error, ending, times=2)
        assert source.load(entry, FRAMING).image.shape == (64, 64, 3)
    failing(monkeypatch, error, ending, times=1000)
    with pytest.raises(StorageFault, match=ending):
        source.load(entry, FRAMING)
    message = one_line_error(source)
    assert str(tmp_path / ending) in message and "fails" in message


def test_a_depth_map_that_is_a_broken_link_or_vanishes_is_refused_like_a_picture(tmp_path: Path) -> None:
    fill(tmp_path, {"a.png": png(), "b.png": png("blue"), "b.depth.png": grey_png()})
    (tmp_path / "a.depth.png").symlink_to(tmp_path / "gone")
    source = FolderSource(path=str(tmp_path))
    broken, vanishing = source.index(None)
    (tmp_path / "b.depth.png").unlink()
    for entry in (broken, vanishing):
        with pytest.raises(RefusedPicture, match="its depth map cannot be read: No such file"):
            source.load(entry, FRAMING)


def test_a_disk_that_is_unplugged_is_not_held_against_its_pictures(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    fill(disk, {"a.png": png(), "b.png": png("blue")})
    source = FolderSource(path=str(disk))
    entry = source.index(None)[0]
    (disk / "a.png").unlink()
    with pytest.raises(RefusedPicture, match="No such file"):
        source.load(entry, FRAMING)
    (disk / "b.png").unlink()
    with pytest.raises(StorageFault, match="gone"):
        source.load(entry, FRAMING)
