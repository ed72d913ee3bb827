"""What `source=folder` lists, loads and refuses."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

from conf.errors import ConfigError, UserError
from pipelines.sources import SOURCES, source_class
from pipelines.sources.folder import FolderSource
from pipelines.sources.source import RefusedPicture
from tests.pipelines.sources.picture_folders import FRAMING, fill, grey_png, ids, one_line_error, png


def test_pictures_are_listed_by_sorted_relative_path_whatever_else_lies_there(tmp_path: Path) -> None:
    fill(
        tmp_path,
        {
            **dict.fromkeys(("b.JPG", "a/z.png", "a/b/c.WebP", "a.png", "zero.jpg"), b""),
            **dict.fromkeys(
                ("a.txt", "notes.csv", "x.json", "Thumbs.db", ".hidden.png", ".git/p.png", "a/._z.png"), b"?"
            ),
        },
    )
    assert ids(FolderSource(path=str(tmp_path))) == ["a.png", "a/b/c.WebP", "a/z.png", "b.JPG", "zero.jpg"]


def test_a_single_picture_is_a_source_with_what_lies_beside_it(tmp_path: Path) -> None:
    fill(tmp_path, {"a(1).png": png("blue"), "a(1).txt": "a blue wall", "b.png": png("red"), "sub/c.png": png()})
    source = FolderSource(path=str(tmp_path / "a(1).png"))
    (entry,) = source.index(None)
    assert (entry.id, entry.caption) == ("a(1).png", "a blue wall")
    assert source.load(entry, FRAMING).image[0, 0].tolist() == [0, 0, 1]
    in_folder = {other.id: other for other in FolderSource(path=str(tmp_path)).index(None)}
    assert entry.sha256 == in_folder["a(1).png"].sha256


def test_a_single_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    fill(tmp_path, {"notes.txt": "a", "b.png": png()})
    with pytest.raises(UserError, match="not a picture"):
        FolderSource(path=str(tmp_path / "notes.txt")).index(None)


def test_limit_takes_the_first_of_the_same_order(tmp_path: Path) -> None:
    fill(tmp_path, {f"{n:02}.png": png() for n in range(20)})
    source = FolderSource(path=str(tmp_path))
    assert source.index(7) == source.index(None)[:7]


def test_entries_carry_the_hash_of_the_bytes_and_load_gives_the_picture(tmp_path: Path) -> None:
    fill(tmp_path, {"sub/blue.png": png("blue")})
    source = FolderSource(path=str(tmp_path), licence="CC0")
    (entry,) = source.index(None)
    assert entry.sha256 == hashlib.sha256(png("blue")).hexdigest()
    assert entry.locator == str(tmp_path / "sub/blue.png")
    assert entry.licence == "CC0"
    image = source.load(entry, FRAMING).image
    np.testing.assert_array_equal(image, np.broadcast_to(np.array((0, 0, 1), np.float32), (64, 64, 3)))


def test_a_folder_given_relatively_loads_from_any_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, {"in/a.png": png()})
    monkeypatch.chdir(tmp_path)
    source = FolderSource(path="in")
    (entry,) = source.index(None)
    monkeypatch.chdir("/")
    assert source.load(entry, FRAMING).image.shape == (64, 64, 3)


def test_what_only_claims_to_be_a_picture_is_refused_when_loaded(tmp_path: Path) -> None:
    fill(tmp_path, {"empty.jpg": b"", "page.png": "<html>", "whole.png": png(), "cut.png": png()[:60]})
    source = FolderSource(path=str(tmp_path))
    outcome = {}
    for entry in source.index(None):
        try:
            source.load(entry, FRAMING)
            outcome[entry.id] = "fine"
        except RefusedPicture as refused:
            outcome[entry.id] = str(refused)
    assert "truncated" in outcome["cut.png"] and "empty" in outcome["empty.jpg"]
    assert "not a picture" in outcome["page.png"] and outcome["whole.png"] == "fine"


def test_a_file_that_cannot_be_read_is_planned_and_refused_with_the_reason(tmp_path: Path) -> None:
    fill(tmp_path, {"a.png": png()})
    (tmp_path / "broken.png").symlink_to(tmp_path / "gone")
    source = FolderSource(path=str(tmp_path))
    entry = source.index(None)[1]
    assert entry.sha256 == hashlib.sha256(b"broken.png").hexdigest()
    with pytest.raises(RefusedPicture, match="cannot be read: No such file"):
        source.load(entry, FRAMING)


def test_a_file_changed_since_the_plan_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, {"a.png": png("red")})
    source = FolderSource(path=str(tmp_path))
    (entry,) = source.index(None)
    fill(tmp_path, {"a.png": png("blue")})
    with pytest.raises(RefusedPicture, match="changed since the run was planned"):
        source.load(entry, FRAMING)


@pytest.mark.timeout(20)
def test_circles_of_links_and_named_pipes_do_not_hang(tmp_path: Path) -> None:
    fill(tmp_path, {"a/one.png": png(), "b/two.png": png()})
    (tmp_path / "a/up").symlink_to(tmp_path)
    (tmp_path / "a/other").symlink_to(tmp_path / "b")
    (tmp_path / "b/other").symlink_to(tmp_path / "a")
    os.mkfifo(tmp_path / "pipe.png")
    found = ids(FolderSource(path=str(tmp_path)))
    assert sorted(Path(name).name for name in found) == ["one.png", "two.png"]  # each once


def test_linked_files_and_folders_count(tmp_path: Path) -> None:
    fill(tmp_path, {"store/one.png": png(), "more/two.png": png(), "in/three.png": png()})
    (tmp_path / "in/link.png").symlink_to(tmp_path / "store/one.png")
    (tmp_path / "in/more").symlink_to(tmp_path / "more")
    assert ids(FolderSource(path=str(tmp_path / "in"))) == ["link.png", "more/two.png", "three.png"]


def test_a_folder_that_may_not_be_entered_is_not_passed_over_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, {"a.png": png(), "locked/b.png": png()})
    scandir = os.scandir

    def refuse(path: str) -> Iterator[os.DirEntry[str]]:  # tests may run as root, whom no mode bits stop
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert "Permission denied" in one_line_error(FolderSource(path=str(tmp_path)))


def test_a_folder_that_is_missing_a_file_or_bare_is_named(tmp_path: Path) -> None:
    fill(tmp_path, {"file.png": png(), "bare/readme.md": "x"})
    assert one_line_error(FolderSource(path=f"{tmp_path}/gone")) == f"{tmp_path}/gone: missing"
    assert "not a picture" in one_line_error(FolderSource(path=f"{tmp_path}/bare/readme.md"))
    assert f"{tmp_path}/bare: holds no pictures" in one_line_error(FolderSource(path=f"{tmp_path}/bare"))


def test_urls_are_read_like_folders() -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe({"/pictures/b.png": png("blue"), "/pictures/a/x.jpg": b"", "/pictures/b.txt": b"sea"})
    source = FolderSource(path="memory://pictures")
    empty, blue = source.index(None)
    assert (empty.id, blue.id, blue.caption) == ("a/x.jpg", "b.png", "sea")
    np.testing.assert_array_equal(source.load(blue, FRAMING).image[5, 5], (0, 0, 1))
    assert one_line_error(FolderSource(path="memory://nothing")) == "memory://nothing: missing"
    assert "zip://a::/gone.zip: cannot be read" in one_line_error(FolderSource(path="zip://a::/gone.zip"))


@pytest.mark.parametrize("path", ["pipe:cat /etc/passwd", "PIPE:ls", "simplecache::pipe:ls", "nosuch://bucket/x", " "])
def test_urls_that_run_commands_or_are_unknown_are_bad_configuration(path: str) -> None:
    for kind in ("folder", "webdataset", "parquet", "hf"):
        with pytest.raises(ConfigError) as caught:
            source_type: Any = source_class(kind)
            source_type(path=path).index(None)
        assert caught.value.key == "path"


def test_what_is_passed_over_is_named(tmp_path: Path) -> None:
    fill(
        tmp_path,
        {
            **{"a.png": png(), "a.txt": "a", "a.depth.png": grey_png(), "sub/metadata.csv": "file,text\ngone.png,b\n"},
            **{"b.txt": "no picture", "clip.MTS": b"", "raw/a.dng": b"", ".hidden": b"", "c.depth.png": grey_png()},
        },
    )
    assert FolderSource(path=str(tmp_path)).index(1).passed_over == (
        *("b.txt", "c.depth.png", "clip.MTS", "raw/a.dng"), "sub/gone.png (in sub/metadata.csv)",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value"), [("max_pixels", 0), ("max_pixels", 10**9), ("extensions", ["png"]), ("extensions", [])]
)
def test_fields_out_of_range_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"{field}="):
        FolderSource(path="x", **{field: value})  # type: ignore[arg-type]


def test_fields_decide_what_is_listed_and_decoded(tmp_path: Path) -> None:
    fill(tmp_path, {"a.png": png(), "b.scan": png()})
    source = FolderSource(path=str(tmp_path), extensions=(".scan",), max_pixels=4799)
    (entry,) = source.index(None)
    assert entry.id == "b.scan"
    with pytest.raises(RefusedPicture, match="80x60 px is more than max_pixels=4799"):
        source.load(entry, FRAMING)


def test_every_kind_of_source_has_its_class_and_no_other() -> None:
    for kind, target in SOURCES.items():
        assert source_class(kind).__name__ == target.split(":")[1]
    with pytest.raises(ConfigError, match="kind=laion: not allowed; allowed: one of folder, hf, parquet, scenes"):
        source_class("laion")


OWN_CARD = '{"recipe": {}, "config_hash": "c", "shards": [], "totals": null}'
FOREIGN_CARD = '{"labels": [["a.png", 3]]}'


@pytest.mark.parametrize("place", ["local", "memory"])
def test_data_sets_of_ours_below_a_source_are_named_and_not_read(place: str, tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {
        **{"a.png": png(), "sets/mine/dataset.json": OWN_CARD, "sets/mine/contact_sheet.png": png()},
        **{"sets/mine/shards/train-00000-of-00001.tar": b"", "sets/theirs/dataset.json": FOREIGN_CARD},
        **{"sets/theirs/b.png": png(), "sets/mine.png": png()},
    }
    path = str(tmp_path) if place == "local" else "memory://own"
    for name, content in files.items():
        with fsspec.open(f"{path}/{name}", "wb", auto_mkdir=True) as file:
            file.write(content if isinstance(content, bytes) else content.encode())
    listing = FolderSource(path=path).index(None)
    assert [entry.id for entry in listing] == ["a.png", "sets/mine.png", "sets/theirs/b.png"]
    assert listing.passed_over == ("sets/mine/", "sets/theirs/dataset.json")
    inside = FolderSource(path=f"{path}/sets/mine").index(None)
    assert [entry.id for entry in inside] == ["contact_sheet.png"]
