"""`source=parquet`: rows of pictures as other programs write them, or one line that says what is wrong."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import datasets
import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from conf.errors import UserError
from pipelines.sources.framing import Framing
from pipelines.sources.parquet import ParquetSource
from pipelines.sources.source import RefusedPicture, StorageFault
from tests.pipelines.runs import assert_same, contents, rows, synth

FRAMING = Framing(height_px=64, width_px=64)
COLOURS = ("red", "lime", "blue", "black", "white")


def picture(colour: str = "red") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (80, 60), colour).save(out, "PNG")
    return out.getvalue()


def write(path: Path, columns: dict[str, Any], group_size: int = 2) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=group_size)
    return path


def pictures(*colours: str) -> list[dict[str, Any]]:
    return [{"bytes": picture(colour), "path": f"{colour}.png"} for colour in colours]


def one_line_error(source: ParquetSource) -> str:
    with pytest.raises(UserError) as caught:
        source.index(None)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_datasets_writes_is_read_in_its_order(tmp_path: Path) -> None:
    features = datasets.Features(
        {"image": datasets.Image(), "text": datasets.Value("string"), "label": datasets.ClassLabel(names=["a", "b"])}
    )
    columns = {
        "image": pictures(*COLOURS),
        "text": [f"a {colour} wall" for colour in COLOURS],
        "label": [0, 1, 0, 1, 0],
    }
    datasets.Dataset.from_dict(columns, features=features).to_parquet(tmp_path / "train.parquet")
    source = ParquetSource(path=str(tmp_path))
    listing = source.index(None)
    assert [entry.id for entry in listing] == [f"train.parquet:{n}/{colour}.png" for n, colour in enumerate(COLOURS)]
    assert [entry.caption for entry in listing] == columns["text"] and listing.passed_over == ("column label",)
    assert [entry.sha256 for entry in listing] == [hashlib.sha256(picture(colour)).hexdigest() for colour in COLOURS]
    rgb = [source.load(entry, FRAMING).image[9, 9].tolist() for entry in listing]
    assert rgb == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0], [1, 1, 1]]


def test_columns_are_chosen_by_what_they_hold_or_by_name(tmp_path: Path) -> None:
    plain = [picture(colour) for colour in COLOURS]
    many = {"jpg": plain, "mask": plain[::-1], "captions": [["first", "second"], [], None, ["", "x"], ["last"]]}
    many |= {"license": ["CC0", None, "", "MIT", "a\nb"]}
    path = write(tmp_path / "a.parquet", many)
    assert "source.column=" in one_line_error(ParquetSource(path=str(path)))
    source = ParquetSource(path=str(path), column="mask", caption_column="captions", licence="CC-BY", caption="no %%")
    listing = source.index(None)
    assert [entry.sha256 for entry in listing] == [hashlib.sha256(each).hexdigest() for each in plain[::-1]]
    assert [entry.caption for entry in listing] == ["first", "no %", "no %", "no %", "last"]
    assert [entry.licence for entry in listing] == ["CC0", "CC-BY", "CC-BY", "MIT", "a b"]
    assert listing.passed_over == ("column jpg",)
    for key, column in (("column", "captions"), ("column", "none"), ("caption_column", "jpg")):
        choice: dict[str, Any] = {key: column}
        error = one_line_error(ParquetSource(path=str(path), **choice))
        assert f"{key}={column} is no column of" in error and "jpg, mask, captions" in error
    texts = write(tmp_path / "texts.parquet", {"text": ["a"]})
    assert "none holds bytes of pictures; all are text" in one_line_error(ParquetSource(path=str(texts)))


def test_a_row_without_text_has_the_other_column_s_and_so_for_licences(tmp_path: Path) -> None:
    columns = {
        "image": pictures("red", "blue", "green"), "text": ["one", None, " "], "caption": ["1", "2", "3"],
        "licence": [None, "CC0-1.0", None], "license": ["MIT", "MIT", None],
    }  # fmt: skip
    listing = ParquetSource(path=str(write(tmp_path / "a.parquet", columns))).index(None)
    assert [entry.caption for entry in listing] == ["one", "2", "3"]
    assert [entry.licence for entry in listing] == ["MIT", "CC0-1.0", None]
    assert listing.passed_over == ()


def test_any_row_is_loaded_whatever_was_loaded_before_it(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / f"{number}.parquet", {"image": pictures(*COLOURS), "text": list(COLOURS)})
    source = ParquetSource(path=f"{tmp_path}/{{2,0,1}}.parquet")
    entries = source.index(None)
    assert [entry.id.partition(":")[0] for entry in entries[::5]] == ["0.parquet", "1.parquet", "2.parquet"]
    for place in np.random.default_rng(0).integers(0, 15, 60):
        expected = np.asarray(Image.new("RGB", (1, 1), COLOURS[place % 5]), np.float32)[0, 0] / 255
        np.testing.assert_array_equal(source.load(entries[place], FRAMING).image[3, 3], expected)
    assert source.index(7) == entries[:7]


def test_a_limit_reads_no_file_beyond_it(tmp_path: Path) -> None:
    for number in range(12):
        write(tmp_path / f"{number:02}.parquet", {"image": pictures(*COLOURS)})
    entries = ParquetSource(path=str(tmp_path)).index(5)
    (tmp_path / "11.parquet").write_bytes(b"damaged, and never read")
    assert ParquetSource(path=str(tmp_path)).index(5) == entries


def test_rows_without_a_sound_picture_are_refused_by_name_and_no_path_is_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(picture())
    bad = [None, {"bytes": None, "path": str(tmp_path / "secret.png")}, {"bytes": b"<html>", "path": None}]
    source = ParquetSource(path=str(write(tmp_path / "a.parquet", {"image": [*bad, *pictures("blue")]})))
    reasons = []
    *broken, sound = source.index(None)
    for entry in broken:
        with pytest.raises(RefusedPicture) as caught:
            source.load(entry, FRAMING)
        reasons.append(str(caught.value))
    assert reasons[0] == "holds no bytes" and "not a picture" in reasons[2]
    assert reasons[1] == f"names a file ({tmp_path}/secret.png) and does not hold it"
    assert broken[1].id == "a.parquet:1/secret.png" and len({entry.sha256 for entry in broken}) == 3
    assert source.load(sound, FRAMING).image.shape == (64, 64, 3)


def test_damaged_and_missing_files_are_named_in_one_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", {"image": pictures(*COLOURS)})
    whole = path.read_bytes()
    middle = whole.index(picture("blue")) - 20  # the head of a page
    for damaged in (b"", b"PAR1", whole[:-10], b"x" * 300, whole[:middle] + b"\xff" * 20 + whole[middle + 20 :]):
        path.write_bytes(damaged)
        assert str(path) in (error := one_line_error(ParquetSource(path=str(tmp_path)))) and "damaged" in error
    (tmp_path / "none").mkdir()
    assert "holds no parquet files (*.parquet)" in one_line_error(ParquetSource(path=str(tmp_path / "none")))
    assert one_line_error(ParquetSource(path=str(tmp_path / "no.parquet"))).endswith("no.parquet: missing")
    empty = write(tmp_path / "empty.parquet", {"image": pa.array([], pa.binary())})
    assert "holds no rows" in one_line_error(ParquetSource(path=str(empty)))


def test_what_changed_since_the_plan_is_refused_and_a_file_that_is_gone_stops_the_run(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", {"image": pictures(*COLOURS)})
    source = ParquetSource(path=str(path))
    entries = source.index(None)
    write(path, {"image": pictures("white", "white", "white")})
    for entry in (entries[0], entries[4]):
        with pytest.raises(RefusedPicture, match="changed since the run was planned"):
            source.load(entry, FRAMING)
    path.write_bytes(b"no parquet")
    with pytest.raises(RefusedPicture, match="damaged, or not a parquet file"):
        source.load(entries[2], FRAMING)
    path.unlink()
    with pytest.raises(StorageFault, match="gone"):
        source.load(entries[2], FRAMING)


def test_rows_that_repeat_one_large_value_take_the_memory_of_one(tmp_path: Path) -> None:
    """A dictionary of one large picture, and a row group of rows that repeat it."""
    large = picture() + bytes(1_000_000)
    path = tmp_path / "a.parquet"
    table = pa.table({"image": pa.array([large] * 40)})
    pq.write_table(table, path, use_dictionary=True, dictionary_pagesize_limit=1 << 24)
    assert path.stat().st_size < 2_000_000
    del table
    source, before = ParquetSource(path=str(path)), pa.total_allocated_bytes()
    entry = source.index(None)[-1]
    assert source.load(entry, FRAMING).image.shape == (64, 64, 3)
    assert pa.total_allocated_bytes() - before < 8_000_000


def test_remote_files_are_read_like_local_ones(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", {"image": pictures(*COLOURS)})
    memory = fsspec.filesystem("memory")
    memory.pipe("/tables/a.parquet", (tmp_path / "a.parquet").read_bytes())
    source = ParquetSource(path="memory://tables")
    entry = source.index(None)[2]
    np.testing.assert_array_equal(source.load(entry, FRAMING).image[5, 5], (0, 0, 1))
    assert json.loads(entry.locator)["group"] == 1


def test_a_data_set_of_parquet_resumes_to_the_same_bytes_with_broken_rows_in_quarantine(tmp_path: Path) -> None:
    scenes = [np.random.default_rng(n).integers(0, 255, (70, 70, 3)).astype(np.uint8) for n in range(5)]
    columns: dict[str, Any] = {"image": [], "text": [f"noise {n}" for n in range(6)]}
    for scene in scenes:
        Image.fromarray(scene).save(out := io.BytesIO(), "PNG")
        columns["image"].append(out.getvalue())
    columns["image"].insert(3, b"no picture")
    columns["license"] = ["CC0-1.0"] * 6
    write(tmp_path / "in" / "a.parquet", columns)
    overrides = [
        "source=parquet",
        f"source.path={tmp_path / 'in'}",
        "renderer=bezier",
        "renderer.num_strokes=20",
        "size=64",
    ]
    overrides += ["num_frames=3", "cluster=inline", "gallery=false", "shard_size=2", "val_fraction=0.3"]
    assert synth(*overrides, f"out={tmp_path / 'a'}") == 3
    (refused,) = [json.loads(line) for line in (tmp_path / "a" / "quarantine.jsonl").read_text().splitlines()]
    assert refused["source"] == "a.parquet:3" and "not a picture" in refused["reason"]
    table = rows(tmp_path / "a" / "samples.parquet")
    assert sorted(str(row["caption"])[:8] for row in table) == [f"noise {n}," for n in (0, 1, 2, 4, 5)]
    assert {row["licence"] for row in table} == {"CC0-1.0"}
    assert synth(*overrides, f"out={tmp_path / 'b'}") == 3
    shard = sorted((tmp_path / "b" / "shards").glob("*.json"))[0]
    shard.unlink()
    assert synth(*overrides, f"out={tmp_path / 'b'}") == 3
    assert_same(contents(tmp_path / "a"), contents(tmp_path / "b"))


def test_of_lists_and_lists_of_lists_the_first_text_counts(tmp_path: Path) -> None:
    texts = [["a", "b"], ["c", "d"], [None, "x"]]
    kinds = {
        "fixed": pa.array(texts, pa.list_(pa.string(), 2)),
        "deep": pa.array([[text] for text in texts], pa.list_(pa.list_(pa.string()))),
        "large": pa.array(texts, pa.large_list(pa.large_string())),
    }
    for name, column in kinds.items():
        columns = {"image": pictures(*COLOURS[:3]), "caption": column, "licence": column}
        listing = ParquetSource(path=str(write(tmp_path / f"{name}.parquet", columns))).index(None)
        assert [entry.caption for entry in listing] == ["a", "c", None], name
        assert [entry.licence for entry in listing] == ["a", "c", None], name


def test_files_in_capitals_count_and_what_lies_beside_them_is_named(tmp_path: Path) -> None:
    for name in ("a.parquet", "b.PARQUET"):
        write(tmp_path / name, {"image": pictures("red")})
    (tmp_path / "README.md").write_text("# Walls")
    listing = ParquetSource(path=str(tmp_path)).index(None)
    assert [entry.id for entry in listing] == ["a.parquet:0/red.png", "b.PARQUET:0/red.png"]
    assert listing.passed_over == ("README.md",)


@pytest.mark.parametrize("column", ["text", "licence", "path"])
def test_a_row_with_text_that_is_no_utf8_is_refused_alone(tmp_path: Path, column: str) -> None:
    offsets, half = pa.py_buffer(np.array([0, 3, 4], np.int32).tobytes()), pa.py_buffer(b"\xed\xa0\x80b")
    text = pa.Array.from_buffers(pa.string(), 2, [None, offsets, half])
    image = pa.array([picture(), picture("blue")])
    pictures_with_paths = pa.StructArray.from_arrays([image, text], ["bytes", "path"])
    file = write(
        tmp_path / "a.parquet", {"image": pictures_with_paths} if column == "path" else {"image": image, column: text}
    )
    source = ParquetSource(path=str(file))
    bad, good = source.index(None)
    with pytest.raises(RefusedPicture, match="holds text that is not UTF-8"):
        source.load(bad, FRAMING)
    assert source.load(good, FRAMING).image.shape == (64, 64, 3)
    unread = write(tmp_path / "b.parquet", {"image": image, "note": text})
    assert [entry.fault for entry in ParquetSource(path=str(unread)).index(None)] == [None, None]


@pytest.mark.parametrize("column", ["image", "text", "license"])
def test_a_column_that_is_there_twice_is_refused(tmp_path: Path, column: str) -> None:
    values = [picture()] if column == "image" else ["a"]
    table = pa.table([[picture()], values, values], names=["image", column, "x" if column == "image" else column])
    pq.write_table(table, tmp_path / "a.parquet")
    error = one_line_error(ParquetSource(path=str(tmp_path)))
    assert error == f"{tmp_path}/a.parquet: the column {column} is there 2 times; rename one"
