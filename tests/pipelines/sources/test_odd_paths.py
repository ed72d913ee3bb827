"""A path that exists is used as it was typed, even if it looks like a URL."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from conf.compose import compose
from conf.errors import ConfigError
from pipelines import export, film, ingest
from pipelines.artists.find import ArtistSource, files_of, find_sequences
from pipelines.artists.frames import read_frames
from pipelines.sources.folder import FolderSource
from pipelines.sources.hub import HubSource
from pipelines.sources.parquet import ParquetSource
from pipelines.sources.picture_file import read_picture
from pipelines.sources.webdataset import WebDatasetSource
from tests.pipelines.runs import PAINT_FAST, synth
from tests.pipelines.sources.picture_folders import FRAMING, fill, png
from tests.pipelines.sources.test_webdataset import samples, tar_bytes
from training.data.split import open_split

ODD_NAMES = ["file:", "local:", "data:", "a::b", "few::x", "zip::a", "file::a", "s3:", "x:y", "[a]::{b}"]
COLOURS = ("red", "lime", "blue")


def _parquet(file: Path) -> None:
    pq.write_table(pa.table({"image": [png(colour) for colour in COLOURS], "text": list(COLOURS)}), file)


@pytest.fixture(params=ODD_NAMES)
def odd(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an odd name in the working directory, where there are other pictures and a plain copy as well."""
    fill(tmp_path / "plain", {f"{colour}.png": png(colour) for colour in COLOURS})
    fill(tmp_path / "plain", {"a.tar": tar_bytes(samples("x", "y")), "b.tar": tar_bytes(samples("z"))})
    _parquet(tmp_path / "plain" / "a.parquet")
    name = str(request.param)
    odd_folder = tmp_path / name
    shutil.copytree(tmp_path / "plain", odd_folder)
    (odd_folder / "a.tar").rename(odd_folder / f"{name}.tar")
    (tmp_path / "plain" / "a.tar").rename(tmp_path / "plain" / f"{name}.tar")
    fill(tmp_path, {"a.png": png("white"), "a/b.png": png("white"), "b.tar": tar_bytes(samples("w"))})
    monkeypatch.chdir(tmp_path)
    return odd_folder


@pytest.mark.parametrize("relative", [True, False], ids=["relative", "absolute"])
@pytest.mark.parametrize(
    ("source", "below"),
    [
        (lambda path: FolderSource(path=path), ""),
        (lambda path: FolderSource(path=path), "/red.png"),
        (lambda path: WebDatasetSource(path=path), ""),
        (lambda path: WebDatasetSource(path=path), "/b.tar"),
        (lambda path: ParquetSource(path=path), ""),
        (lambda path: ParquetSource(path=path), "/a.parquet"),
    ],
    ids=["folder", "picture", "tars", "tar", "tables", "table"],
)
def test_every_source_reads_what_is_at_the_path_that_was_typed(
    odd: Path, source: Callable[[str], FolderSource], below: str, relative: bool
) -> None:
    read = source((odd.name if relative else str(odd)) + below)
    listing, expected = read.index(None), source(str(odd.parent / "plain") + below).index(None)
    assert [(entry.id, entry.sha256, entry.caption) for entry in listing] == [
        (entry.id, entry.sha256, entry.caption) for entry in expected
    ]
    assert listing.passed_over == expected.passed_over
    for entry in listing:
        assert read.load(entry, FRAMING).image.shape == (64, 64, 3)


@pytest.mark.parametrize("name", ["file:", "a::b", "few::x", "h[1]"])
def test_patterns_and_folders_of_the_hub_and_single_pictures_are_found_below_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / name, {"t/a-0.tar": tar_bytes(samples("x")), "t/a-1.tar": tar_bytes(samples("y"))})
    fill(
        tmp_path / name,
        {"p/red.png": png("red"), "p/blue.png": png("blue"), "p/metadata.csv": "file_name,text\nred.png,a"},
    )
    for pattern in (f"{name}/t/a-*.tar", f"{tmp_path}/{name}/t/a-{{0..1}}.tar") if "[" not in name else ():
        assert [entry.id for entry in WebDatasetSource(path=pattern).index(None)] == ["a-0.tar:x", "a-1.tar:y"]
    hub = HubSource(path=f"{name}/p")
    entries = hub.index(None)
    assert [(entry.id, entry.caption) for entry in entries] == [("blue.png", None), ("red.png", "a")]
    assert hub.load(entries[1], FRAMING).image[0, 0].tolist() == [1, 0, 0]
    for path in (Path(f"{name}/p/red.png"), f"{tmp_path}/{name}/p/red.png"):
        assert read_picture(path)[0, 0].tolist() == [1, 0, 0]


@pytest.mark.parametrize("name", ["file:", "a::b", "few::x"])
def test_sequences_of_artists_are_found_below_it(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        frame = Image.fromarray(np.full((60, 80, 3), 60 * number, np.uint8))
        (tmp_path / name / "boat::one").mkdir(parents=True, exist_ok=True)
        frame.save(tmp_path / name / "boat::one" / f"{number}.png")
    for path in (name, f"{tmp_path}/{name}"):
        (entry,) = find_sequences(ArtistSource(path=path), "frames")
        assert entry.id == "boat::one" and files_of(entry, "frames")[2] == ["0.png", "1.png", "2.png"]
        assert len(read_frames(entry.locator, ["0.png", "1.png", "2.png"], 64, range(2, 9))) == 3


def test_data_sets_are_made_and_read_below_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a::b", "file:"):
        fill(tmp_path / name, {f"{colour}.png": png(colour) for colour in COLOURS})
        run = (*PAINT_FAST, "cluster=inline", "source=folder", f"source.path={name}", f"out=made-{name}")
        assert synth(*run, "val_fraction=0") == 0
        split = open_split(f"made-{name}", "train")
        painted = [sequence.facts["source"]["id"] for sequence in split.read(range(len(split)))]
        assert split.name == f"made-{name}" and painted == ["blue.png", "lime.png", "red.png"]


@pytest.mark.parametrize("kind", ["folder", "webdataset", "parquet", "hf"])
def test_a_refused_path_is_called_by_its_whole_key(
    kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = (*PAINT_FAST, "cluster=inline", f"source={kind}", "source.path=nosuch://x", f"out={tmp_path / 'out'}")
    assert synth(*run) == 2
    assert "source.path=nosuch://x: not allowed" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("film", ["picture=nosuch://x.png", "out=a.mp4"]),
        ("export", ["picture=nosuch://x.png", "out=a.svg"]),
        ("ingest", ["source.path=nosuch://x", "layout=frames", "out=a"]),
        ("ingest", ["source.path=.", "layout=grid", "out=a", "source.split_file=nosuch://x", "source.split=eval"]),
    ],
    ids=["film", "export", "ingest", "split_file"],
)
def test_other_commands_name_theirs(
    command: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fill(tmp_path, {"a.png": png()})
    module: Any = {"film": film, "export": export, "ingest": ingest}[command]
    with pytest.raises(ConfigError) as caught:
        module.run(getattr(module, f"{command}_config")(compose(command, words)))
    assert f"{caught.value.key}={caught.value.value}" == next(word for word in words if "nosuch" in word)
