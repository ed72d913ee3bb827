"""Pipes, sockets and devices with the names of files: to read one may never end, so none is opened."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from conf.errors import UserError
from pipelines.artists.find import ArtistSource, find_sequences, is_animated
from pipelines.artists.frames import read_frames
from pipelines.artists.grid import GridConfig, read_grid
from pipelines.artists.video import read_video
from pipelines.sources.folder import FolderSource
from pipelines.sources.picture_file import read_bytes, read_picture
from pipelines.sources.source import RefusedPicture
from pipelines.sources.webdataset import WebDatasetSource
from tests.pipelines.sources.picture_folders import fill, png
from training.data.storage import open_storage

READERS: dict[str, Callable[[Path], object]] = {
    "picture": lambda path: read_picture(path),
    "picture by URL": lambda path: read_picture(path.as_uri()),
    "file": lambda path: read_bytes(path, "split_file"),
    "tar": lambda path: WebDatasetSource(path=str(path)).index(None),
    "frames": lambda path: read_frames(str(path.parent), [path.name], 64, range(2, 9)),
    "grid": lambda path: read_grid(str(path), GridConfig(rows=2, columns=2)),
    "video": lambda path: read_video(str(path), 64, range(2, 9)),
}


@pytest.fixture(params=["pipe", "socket", "device"])
def special(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "b.png"
    if request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "device":
        path.symlink_to("/dev/zero")
    else:
        monkeypatch.chdir(tmp_path)  # the path of a socket may have about 100 characters
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    return path


@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_file_is_not_opened(special: Path, reader: str) -> None:
    with pytest.raises((UserError, RefusedPicture), match="not a file"):
        READERS[reader](special)


def test_sources_look_past_what_is_no_file(special: Path) -> None:
    fill(special.parent, {"a.png": png()})
    assert [entry.id for entry in FolderSource(path=str(special.parent)).index(None)] == ["a.png"]
    filesystem, root = open_storage(str(special.parent))
    assert not is_animated(filesystem, root, special.name)
    (sequence,) = find_sequences(ArtistSource(path=str(special)), "grid")
    assert sequence.id == special.name  # it is refused when it is loaded
