"""Tars of strangers: nothing leaves them but pictures and captions, and nothing is ever unpacked, followed or run."""

import os
import time
from pathlib import Path

import pytest

from conf.errors import ConfigError, UserError
from pipelines.sources.framing import Framing
from pipelines.sources.source import RefusedPicture
from pipelines.sources.webdataset import WebDatasetSource
from tests.fuzz.mutations import tar
from tests.fuzz.pictures import pictures
from training.data.storage import open_storage

FRAMING = Framing(height_px=64, width_px=64, fit="crop")
SIZE, KIND, LINK = slice(124, 136), slice(156, 157), slice(157, 257)
PNG = pictures()["png"]


def source_of(folder: Path, data: bytes) -> WebDatasetSource:
    (folder / "tars").mkdir(exist_ok=True)
    (folder / "tars" / "a.tar").write_bytes(data)
    return WebDatasetSource(path=str(folder / "tars"))


@pytest.mark.parametrize("name", ["../../escaped.png", "/tmp/escaped.png", "a/../../escaped.png"])
def test_names_that_lead_out_of_a_tar_are_only_names(name: str, tmp_path: Path) -> None:
    source = source_of(tmp_path, tar([(name, PNG)]))
    (entry,) = source.index(None)
    assert source.load(entry, FRAMING).image.shape == (64, 64, 3)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.tar", "tars"]
    assert not Path("/tmp/escaped.png").exists()


@pytest.mark.parametrize("kind", [b"1", b"2", b"3", b"4", b"5", b"6"])
def test_links_devices_pipes_and_folders_in_a_tar_are_passed_over(kind: bytes, tmp_path: Path) -> None:
    link = tar([("a.png", b""), ("b.png", PNG)], {0: (KIND, kind)})
    assert [entry.id for entry in source_of(tmp_path, link).index(None)] == ["a.tar:b"]


def test_a_picture_that_is_a_link_to_a_file_outside_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "private.png").write_bytes(PNG)
    data = bytearray(tar([("a.png", b""), ("b.png", PNG)], {0: (LINK, str(tmp_path / "private.png").encode())}))
    source = source_of(tmp_path, bytes(data))
    first, _ = source.index(None)
    with pytest.raises(RefusedPicture, match="empty"):
        source.load(first, FRAMING)


@pytest.mark.parametrize(
    "size", [b"\xff" * 10 + b"\xfc\0", b"\xff" * 12, b"\x80" + (2**62).to_bytes(11, "big"), b"77777777777\0"]
)
@pytest.mark.parametrize("name", ["a.png", ".hidden", "a.txt"])
def test_sizes_that_lie_are_refused_at_once(size: bytes, name: str, tmp_path: Path) -> None:
    data = tar([("b.png", PNG), (name, b"x"), ("c.png", PNG)], {1: (SIZE, size)})
    start = time.monotonic()
    with pytest.raises(UserError, match=r"a\.tar: "):
        source_of(tmp_path, data).index(None)
    assert time.monotonic() - start < 5


def test_sparse_members_are_refused_as_their_bytes_are_not_where_they_seem(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no plain file; write the tar without --sparse"):
        source_of(tmp_path, tar([("a.png", PNG)], {0: (KIND, b"S")})).index(None)


@pytest.mark.parametrize("second", [PNG, b"other bytes"])
def test_of_two_members_of_one_name_the_first_counts(second: bytes, tmp_path: Path) -> None:
    source = source_of(tmp_path, tar([("a.png", PNG), ("a.png", second), ("b.png", PNG)]))
    entries = source.index(None)
    assert [entry.id for entry in entries] == ["a.tar:a", "a.tar:b"]
    assert source.read(entries[0]) == PNG


@pytest.mark.parametrize("ending", ["pyd", "pickle", "pkl", "pth", "npy", "npz", "ten"])
def test_members_that_other_readers_unpickle_are_never_opened(ending: str, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    pickled = b"cos\nsystem\n(S'touch " + os.fsencode(marker) + b"'\ntR."
    source = source_of(tmp_path, tar([("a.png", PNG), (f"a.{ending}", pickled), ("b." + ending, pickled)]))
    entries = source.index(None)
    source.load(entries[0], FRAMING)
    assert [entry.id for entry in entries] == ["a.tar:a"] and not marker.exists()


@pytest.mark.parametrize("path", ["/x/{0..99999999999}.tar", "/x/{0..9999}/{0..9999}.tar", "/x/{1..-9999999}.tar"])
def test_patterns_of_more_tars_than_there_can_be_are_refused_at_once(path: str) -> None:
    start = time.monotonic()
    with pytest.raises(ConfigError, match="more than 1000000 tars"):
        WebDatasetSource(path=path).index(None)
    assert time.monotonic() - start < 30


@pytest.mark.parametrize(
    "path", ["pipe:touch {}", "PIPE:touch {}", " pipe:touch {}", "simplecache::pipe:touch {}", "tar://a::pipe:touch {}"]
)
def test_addresses_never_run_a_command(path: str, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    with pytest.raises(ConfigError, match="would run a shell command"):
        open_storage(path.format(marker))
    assert not marker.exists()


@pytest.mark.parametrize(
    "data", [b"a red\x00 house\x1b[31m\x9b\x07", b'{"caption": "a red\\u0000 house\\ud800\\u001b[31m"}']
)
def test_captions_hold_letters_and_nothing_that_controls(data: bytes, tmp_path: Path) -> None:
    member = "a.json" if data.startswith(b"{") else "a.txt"
    (entry,) = source_of(tmp_path, tar([("a.png", PNG), (member, data.replace(b"\x9b", "\x9b".encode()))])).index(None)
    assert entry.caption == "a red house [31m"
