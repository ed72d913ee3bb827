"""Files whose names are not UTF-8, as in old archives: they are read, under names that every format can hold."""

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.sources.folder import FolderSource
from pipelines.sources.parquet import ParquetSource
from pipelines.sources.source import RefusedPicture
from pipelines.sources.webdataset import WebDatasetSource
from tests.pipelines.artists.ingest_runs import ingest, refused, save, sequences, sheet_of, stages
from tests.pipelines.runs import PAINT_FAST, rows, save_picture, synth
from tests.pipelines.sources.picture_folders import FRAMING, fill, grey_png, png
from tests.pipelines.sources.test_webdataset import tar_bytes

CAFE = os.fsdecode(b"caf\xe9")
SHOWN = "caf\\xe9"


def test_pictures_are_read_with_what_belongs_to_them(tmp_path: Path) -> None:
    fill(tmp_path, {f"{CAFE}/{CAFE}.png": png("blue"), f"{CAFE}/{CAFE}.depth.png": grey_png(), "a.png": png()})
    row = json.dumps({"file_name": f"{CAFE}/{CAFE}.png", "text": "by table"})
    fill(tmp_path, {"metadata.jsonl": row})
    source = FolderSource(path=str(tmp_path))
    listing = source.index(None)
    _, entry = listing
    assert entry.id == f"{SHOWN}/{SHOWN}.png" and entry.caption == "by table" and not listing.passed_over
    picture = source.load(entry, FRAMING)
    assert picture.image[0, 0].tolist() == [0, 0, 1] and picture.depth is not None
    fill(tmp_path, {f"{CAFE}/{CAFE}.txt": "by text"})
    assert source.index(None)[1].caption == "by text"


def test_one_that_is_gone_is_refused_for_that_reason(tmp_path: Path) -> None:
    fill(tmp_path, {f"{CAFE}.png": png(), "a.png": png()})
    source = FolderSource(path=str(tmp_path))
    entry = source.index(None)[1]
    (tmp_path / f"{CAFE}.png").unlink()
    with pytest.raises(RefusedPicture, match="cannot be read: No such file"):
        source.load(entry, FRAMING)


def test_a_large_folder_keeps_their_hashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.sources.folder._WORTH_NOTING", 1)
    monkeypatch.setattr("pipelines.sources.folder.cache_home", lambda: tmp_path / "cache")
    fill(tmp_path / "in", {f"{CAFE}.png": png()})
    source = FolderSource(path=str(tmp_path / "in"))
    assert source.index(None)[0].sha256 == source.index(None)[0].sha256 and source.load(source.index(None)[0], FRAMING)


@pytest.mark.parametrize("kind", [WebDatasetSource, ParquetSource])
def test_tars_and_tables_are_read(kind: Any, tmp_path: Path) -> None:
    fill(tmp_path, {f"{CAFE}.tar": tar_bytes([(f"{CAFE}.png", png())])})
    pq.write_table(pa.table({"image": [png()]}), tmp_path / "a.parquet")
    (tmp_path / "a.parquet").rename(tmp_path / f"{CAFE}.parquet")
    source = kind(path=str(tmp_path))
    (entry,) = source.index(None)
    assert entry.id.startswith(SHOWN) and source.load(entry, FRAMING).image.shape == (64, 64, 3)


@pytest.mark.parametrize("cluster", ["inline", pytest.param("local", marks=pytest.mark.nightly)])
def test_they_are_painted_like_others(cluster: str, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for number, name in enumerate("abc"):
        save_picture(folder / f"{name}.png", number)
    (folder / "b.png").rename(folder / f"{CAFE}.png")
    assert synth(*PAINT_FAST, f"cluster={cluster}", "source=folder", f"source.path={folder}", f"out={out}") == 0
    assert sorted(str(row["source"]) for row in rows(out / "samples.parquet")) == ["a.png", "c.png", f"{SHOWN}.png"]


def test_sequences_of_artists_are_read_and_refused_by_such_names(tmp_path: Path) -> None:
    for number, frame in enumerate(stages(9)):
        save(tmp_path / "frames" / CAFE / f"{CAFE}{number}.png", frame)
        fill(tmp_path / "frames", {f"bad{CAFE}/{CAFE}{number}.png": b"none"})
    save(tmp_path / "grids" / f"{CAFE}.png", sheet_of(stages(9), 3, 3, "row_major"))
    for layout, more in (("frames", ()), ("grid", ("num_frames=9", "grid.rows=3", "grid.columns=3"))):
        out = tmp_path / f"out-{layout}"
        ingest(f"source.path={tmp_path / layout}{'s' * (layout == 'grid')}", f"layout={layout}", *more, f"out={out}")
        assert set(sequences(out)) == {SHOWN if layout == "frames" else f"{SHOWN}.png"}
    assert refused(tmp_path / "out-frames")[f"bad{SHOWN}"].startswith(f"{SHOWN}0.png: ")
