"""Where `source=folder` finds captions."""

import json
import unicodedata
from pathlib import Path
from typing import Literal

import pytest

from conf.errors import ConfigError, UserError
from pipelines.artists.find import ArtistSource, find_sequences
from pipelines.sources.folder import FolderSource
from pipelines.sources.source import RefusedPicture
from tests.pipelines.sources.picture_folders import FRAMING, fill, one_line_error, png

Form = Literal["NFC", "NFD"]


def caption_of(root: Path, id_: str) -> str | None:
    return {entry.id: entry.caption for entry in FolderSource(path=str(root)).index(None)}[id_]


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
        ("Metadata.CSV", b"name,text", "Metadata.CSV, line 1: no column"),
        ("captions.csv", "file,text,text\na.png,b,c", "captions.csv, line 1: text is there 2 times"),
        ("captions.csv", "file,Caption,text,caption\n", "captions.csv, line 1: caption is there 2 times"),
        ("metadata.csv", "file,file,text\na.png,b.png,c", "metadata.csv, line 1: file is there 2 times"),
        ("metadata.jsonl", '{"file": "a.png", "text": "b", "text": "c"}', "metadata.jsonl, line 1: text is there 2"),
    ],
)
def test_malformed_tables_name_file_and_line(tmp_path: Path, name: str, content: bytes | str, message: str) -> None:
    fill(tmp_path, {"a.png": png(), name: content})
    assert f"{tmp_path}/{message}" in one_line_error(FolderSource(path=str(tmp_path)))


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"caf\xe9", "a.txt: not UTF-8"),
        ("a lake".encode("utf-16-le"), "a.txt: not UTF-8"),
        (None, "a.txt: cannot be read: No such file"),
    ],
)
def test_a_picture_whose_caption_cannot_be_read_is_refused_alone(
    tmp_path: Path, content: bytes | None, fault: str
) -> None:
    fill(tmp_path, {"a.png": png(), "b.png": png("blue"), "b.txt": "a lake"})
    if content is None:
        (tmp_path / "a.txt").symlink_to(tmp_path / "gone")
    else:
        (tmp_path / "a.txt").write_bytes(content)
    source = FolderSource(path=str(tmp_path), require_captions=True)
    bad, good = source.index(None)
    with pytest.raises(RefusedPicture, match=fault):
        source.load(bad, FRAMING)
    assert source.load(good, FRAMING).image.shape == (64, 64, 3) and good.caption == "a lake"
    sequences = find_sequences(ArtistSource(path=str(tmp_path), require_captions=True), "grid")
    assert [entry.fault for entry in sequences] == [bad.fault, None]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("captions.csv", "file_name,description\na.png,b\n", ", line 1: no column named text, caption, licence or"),
        ("captions.csv", "file_name,text\n", ": holds no rows, and so no captions"),
        ("captions.csv", "", ": holds no rows, and so no captions"),
    ],
)
def test_captions_without_captions_are_refused_with_the_columns_they_have(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    fill(tmp_path, {"a.png": png(), name: content})
    error = one_line_error(FolderSource(path=str(tmp_path)))
    assert error.startswith(f"{tmp_path}/{name}{message}")
    assert ("file_name, description" in error) == ("description" in content)
    with pytest.raises(UserError, match=message):
        find_sequences(ArtistSource(path=str(tmp_path)), "grid")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metadata.csv", "file_name,description\n"),
        ("metadata.csv", "\n\n"),
        ("metadata.jsonl", ""),
        ("metadata.jsonl", '{"file_name": "a.png", "label": 3}'),
    ],
)
def test_metadata_of_other_facts_is_passed_over_and_named(tmp_path: Path, name: str, content: str) -> None:
    fill(tmp_path, {"a.png": png(), name: content})
    listing = FolderSource(path=str(tmp_path)).index(None)
    assert [entry.caption for entry in listing] == [None] and list(listing.passed_over) == [name]


def test_a_table_of_licences_alone_or_with_few_captions_is_read(tmp_path: Path) -> None:
    fill(
        tmp_path, {"a.png": png(), "captions.csv": "file,license\na.png,CC0\n", "sub/b.png": png(), "sub/c.png": png()}
    )
    fill(tmp_path, {"sub/metadata.jsonl": '{"file": "b.png", "text": "b"}\n{"file": "c.png", "label": 3}\n'})
    notes = {entry.id: (entry.caption, entry.licence) for entry in FolderSource(path=str(tmp_path)).index(None)}
    assert notes == {"a.png": (None, "CC0"), "sub/b.png": ("b", None), "sub/c.png": (None, None)}


HALVES = r"\ud800 \udce9 \udfff"


def test_halves_of_characters_in_json_spoil_nothing_and_are_named(tmp_path: Path) -> None:
    row = f'{{"file_name": "a{HALVES}.png", "text": "{HALVES}"}}\n{{"file_name": "a.png", "text": "a {HALVES} b"'
    fill(tmp_path, {"a.png": png(), "metadata.jsonl": f'{row}, "licence": "CC {HALVES}"}}\n'})
    listing = FolderSource(path=str(tmp_path)).index(None)
    assert [(entry.caption, entry.licence) for entry in listing] == [("a b", "CC")]
    named = ("a\\ud800 \\xe9 \\udfff.png (in metadata.jsonl)",)
    assert listing.passed_over == find_sequences(ArtistSource(path=str(tmp_path)), "grid").passed_over == named


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


def test_rows_that_another_row_of_the_same_picture_replaces_are_named(tmp_path: Path) -> None:
    rows = [("a.png", "one"), ("b.png", "two"), ("a.png", "three")]
    table = "\n".join(json.dumps({"file_name": name, "text": text}) for name, text in rows)
    listing = FolderSource(path=str(fill(tmp_path, {"a.png": png(), "b.png": png(), "metadata.jsonl": table}))).index(
        None
    )
    assert [entry.caption for entry in listing] == ["three", "two"]
    assert listing.passed_over == ("all rows of a.png but the last (in metadata.jsonl)",)
