import errno
import hashlib
import io
import json
import os
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import fsspec
import numpy as np
import pytest
from fsspec.implementations.local import LocalFileSystem
from PIL import Image

from conf.errors import ConfigError, UserError
from pipelines.sources import SOURCES, source_class
from pipelines.sources.folder import FolderSource
from pipelines.sources.framing import Framing
from pipelines.sources.source import RefusedPicture, StorageFault

FRAMING = Framing(height_px=64, width_px=64)

Form = Literal["NFC", "NFD"]


def png(colour: str = "red") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (80, 60), colour).save(out, "PNG")
    return out.getvalue()


def grey_png() -> bytes:
    out = io.BytesIO()
    Image.new("L", (80, 60), 128).save(out, "PNG")
    return out.getvalue()


def fill(root: Path, files: Mapping[str, bytes | str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def ids(source: FolderSource, limit: int | None = None) -> list[str]:
    return [entry.id for entry in source.index(limit)]


def caption_of(root: Path, id_: str) -> str | None:
    return {entry.id: entry.caption for entry in FolderSource(path=str(root)).index(None)}[id_]


def one_line_error(source: FolderSource) -> str:
    with pytest.raises(UserError) as caught:
        source.index(None)
    assert "\n" not in str(caught.value)
    return str(caught.value)


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


def test_a_name_that_is_not_utf8_is_refused_and_spoils_nothing(tmp_path: Path) -> None:
    fill(tmp_path, {"a.png": png()})
    with open(os.fsencode(tmp_path) + b"/caf\xe9.png", "wb") as file:
        file.write(png())
    source = FolderSource(path=str(tmp_path))
    entry = source.index(None)[1]
    assert entry.id == "caf\\xe9.png"
    assert (entry.id + entry.locator).encode()  # parquet and json can hold it
    with pytest.raises(RefusedPicture, match="cannot be read"):
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


def test_captions_come_from_sidecar_then_nearest_table_then_jsonl_before_csv(tmp_path: Path) -> None:
    root_jsonl = [
        {"file_name": "sub/sidecar.png", "text": "root"},
        {"file_name": "sub/near.png", "text": "root"},
        {"file_name": "./sub/far.png", "caption": "root jsonl", "license": "CC-BY"},
    ]
    fill(
        tmp_path,
        {
            **{f"sub/{name}.png": png() for name in ("sidecar", "near", "far", "none")},
            "metadata.jsonl": "\n".join(json.dumps(row) for row in root_jsonl) + "\n\n",
            "captions.csv": 'path,caption\nsub/far.png,"root, csv"\n',
            "sub/captions.csv": "\ufefffile,Text\nnear.png,near csv\n",
            "sub/sidecar.txt": "\ufeff  from the\nsidecar  ",
        },
    )
    found = {entry.id: entry for entry in FolderSource(path=str(tmp_path), licence="CC0").index(None)}
    assert {id_: entry.caption for id_, entry in found.items()} == {
        "sub/sidecar.png": "from the sidecar",
        "sub/near.png": "near csv",
        "sub/far.png": "root jsonl",
        "sub/none.png": None,
    }
    assert found["sub/far.png"].licence == "CC-BY"  # its own before the source's
    assert found["sub/none.png"].licence == "CC0"


def test_a_blank_caption_is_none(tmp_path: Path) -> None:
    fill(tmp_path, {"a.png": png(), "a.txt": " \n"})
    assert caption_of(tmp_path, "a.png") is None


def test_required_captions_that_lack_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    fill(tmp_path, {"a.png": png(), "a.txt": "a", "b.png": png(), "c.png": png()})
    message = one_line_error(FolderSource(path=str(tmp_path), require_captions=True))
    assert "2 of 3" in message and "b.png" in message
    assert len(FolderSource(path=str(tmp_path), require_captions=True).index(1)) == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("metadata.jsonl", '{"file_name": "a.png"}\n{oops', "metadata.jsonl, line 2: not JSON"),
        ("metadata.jsonl", "[1]", "metadata.jsonl, line 1: not a JSON object"),
        ("metadata.jsonl", '{"text": "a"}', "metadata.jsonl, line 1: names no picture"),
        ("metadata.jsonl", '{"file_name": "a.png", "text": 3}', "metadata.jsonl, line 1: text is not text"),
        ("captions.csv", "name,caption\na.png,b", "captions.csv, line 1: no column named file_name"),
        ("captions.csv", "file,caption\na.png,b\na.png,b,c", "captions.csv, line 3: 3 fields where"),
        ("captions.csv", 'file,caption\na.png,"b', "captions.csv, line 2: not CSV"),
        ("captions.csv", b"file,caption\na.png,caf\xe9", "captions.csv: not UTF-8"),
        ("a.txt", b"caf\xe9", "a.txt: not UTF-8"),
        ("a.txt", "a lake".encode("utf-16-le"), "a.txt: not UTF-8"),
        ("Metadata.CSV", b"name,text", "Metadata.CSV, line 1: no column"),
    ],
)
def test_malformed_captions_name_file_and_line(tmp_path: Path, name: str, content: bytes | str, message: str) -> None:
    fill(tmp_path, {"a.png": png(), name: content})
    assert f"{tmp_path}/{message}" in one_line_error(FolderSource(path=str(tmp_path)))


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
    """Let local storage fail so many times on files of a kind; the waits in between are told and not taken."""
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


@pytest.mark.parametrize("text", ["a.txt", "a.TXT", "a.caption", "a.png.txt", "a.png.caption"])
def test_captions_beside_a_picture_are_found_under_all_their_usual_names(tmp_path: Path, text: str) -> None:
    fill(tmp_path, {"a.png": png(), text: "a lake"})
    assert caption_of(tmp_path, "a.png") == "a lake"


def test_the_plainest_name_of_a_caption_counts(tmp_path: Path) -> None:
    fill(tmp_path, {"a.png": png(), "a.png.caption": "4", "a.png.txt": "3", "a.caption": "2"})
    assert caption_of(tmp_path, "a.png") == "2"
    fill(tmp_path, {"a.txt": "1"})
    assert caption_of(tmp_path, "a.png") == "1"


@pytest.mark.parametrize("column", ["file_name", "file", "path", "filename", "image"])
def test_metadata_csv_is_a_table_of_captions(tmp_path: Path, column: str) -> None:
    fill(tmp_path, {"a.png": png(), "metadata.csv": f"{column},text\na.png,a lake\n"})
    assert caption_of(tmp_path, "a.png") == "a lake"


@pytest.mark.parametrize(("form", "other"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_are_the_same_in_every_unicode_form(tmp_path: Path, form: Form, other: Form) -> None:
    name, alike = (unicodedata.normalize(each, "château.png") for each in (form, other))
    fill(tmp_path, {name: png(), "captions.csv": f"file,caption\n{alike},by table\n"})
    assert caption_of(tmp_path, name) == "by table"
    fill(tmp_path, {alike.replace(".png", ".txt"): "by text"})
    assert caption_of(tmp_path, name) == "by text"
    assert not FolderSource(path=str(tmp_path)).index(None).passed_over


def test_a_template_captions_what_has_no_caption(tmp_path: Path) -> None:
    fill(tmp_path, {"a.png": png(), "a.txt": "a lake", "sub/red_house-2.png": png("red")})
    source = FolderSource(path=str(tmp_path), caption="a picture of %name, 5 %% grey")
    assert [entry.caption for entry in source.index(None)] == ["a lake", "a picture of red house 2, 5 % grey"]
    for wrong in ("%nobody", "100 % wool"):
        with pytest.raises(ConfigError, match="caption="):
            FolderSource(path="x", caption=wrong)


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
