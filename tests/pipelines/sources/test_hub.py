"""`source=hf`: data sets of the Hub and folders laid out as such, read by the sources of this project."""

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from conf.errors import ConfigError, UserError
from pipelines.sources.framing import Framing
from pipelines.sources.hub import HubSource
from tests.pipelines.sources.readable_hub import COMMIT, ReadableHub, readable_hub
from tests.pipelines.sources.test_webdataset import samples, tar_bytes

FRAMING = Framing(height_px=64, width_px=64)
CARD = b"---\nlicense: cc-by-4.0\n---\n# Walls\n"


def picture(colour: str = "red") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (80, 60), colour).save(out, "PNG")
    return out.getvalue()


def table(*colours: str) -> bytes:
    rows: dict[str, Any] = {"image": [{"bytes": picture(colour), "path": None} for colour in colours]}
    pq.write_table(pa.table({**rows, "text": [f"a {colour} wall" for colour in colours]}), out := io.BytesIO())
    return out.getvalue()


def fill(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def corner(source: HubSource, number: int) -> list[float]:
    """The colour of a picture."""
    colour: list[float] = source.load(source.index(None)[number], FRAMING).image[5, 5].tolist()
    return colour


def one_line_error(source: HubSource) -> str:
    with pytest.raises(UserError) as caught:
        source.index(None)
    assert "\n" not in str(caught.value)
    return str(caught.value)


PICTURES = {
    "train/red.png": picture("red"),
    "train/blue.png": picture("blue"),
    "test/lime.png": picture("lime"),
    "train/metadata.jsonl": b'{"file_name": "red.png", "text": "a red wall"}\n',
}


@pytest.mark.parametrize("kind", ["parquet", "pictures", "tars"])
def test_one_split_of_a_folder_is_read_by_the_source_that_reads_its_files(tmp_path: Path, kind: str) -> None:
    layouts = {
        "parquet": {"data/train-0.parquet": table("red", "blue"), "data/test-0.parquet": table("lime")},
        "pictures": PICTURES,
        "tars": {"train-0.tar": tar_bytes(samples("x", "y")), "test-0.tar": tar_bytes(samples("z"))},
    }
    root = fill(tmp_path, {**layouts[kind], "README.md": CARD})
    names = {
        "parquet": ["train-0.parquet:0", "train-0.parquet:1"],
        "pictures": ["train/blue.png", "train/red.png"],
        "tars": ["train-0.tar:x", "train-0.tar:y"],
    }
    captions = {"parquet": ["a red wall", "a blue wall"], "pictures": [None, "a red wall"], "tars": ["a x", "a y"]}
    source = HubSource(path=str(root))
    listing = source.index(None)
    assert [entry.id for entry in listing] == names[kind]
    assert len(HubSource(path=str(root), split="test").index(None)) == 1
    assert [entry.caption for entry in listing] == captions[kind]
    assert {entry.licence for entry in listing} == {"cc-by-4.0"}
    assert source.index(1) == listing[:1] and listing == HubSource(path=f"{root}/").index(None)
    assert {entry.licence for entry in HubSource(path=str(root), licence="mine").index(None)} == {"mine"}
    for entry in listing:
        assert source.load(entry, FRAMING).image.shape == (64, 64, 3) and source.home(entry)[1].startswith(str(root))


def test_a_table_of_other_facts_is_named_as_nobody_can_mend_the_set_of_another(tmp_path: Path) -> None:
    root = fill(tmp_path, {"red.png": picture("red"), "metadata.csv": b"file_name,label\nred.png,3\n"})
    listing = HubSource(path=str(root)).index(None)
    assert [(entry.id, entry.caption) for entry in listing] == [("red.png", None)]
    assert listing.passed_over == ("metadata.csv",)


def test_datasets_itself_sees_the_same_pictures_and_captions(tmp_path: Path) -> None:
    root = fill(tmp_path / "in", {"data/train-0.parquet": table("red", "blue", "lime")})
    source = HubSource(path=str(root))
    rows = datasets.load_dataset(str(root), split="train", cache_dir=str(tmp_path / "cache"))
    assert [row["text"] for row in rows] == [entry.caption for entry in source.index(None)]
    for number, row in enumerate(rows):
        shown = Image.open(io.BytesIO(row["image"]["bytes"]))
        np.testing.assert_array_equal(np.asarray(shown)[5, 5] / 255, corner(source, number))


def test_subsets_and_splits_are_those_that_the_card_names(tmp_path: Path) -> None:
    card = b"---\nconfigs:\n- config_name: walls\n  data_files:\n  - {split: held_out, path: w/*.parquet}\n"
    card += b"- config_name: doors\n  data_files: d/*.parquet\n---\n"
    root = fill(tmp_path, {"w/a.parquet": table("red"), "d/b.parquet": table("blue"), "README.md": card})
    assert corner(HubSource(path=str(root), subset="walls", split="held_out"), 0) == [1, 0, 0]
    assert corner(HubSource(path=str(root), subset="doors"), 0) == [0, 0, 1]
    assert "has no split train, but held_out" in one_line_error(HubSource(path=str(root), subset="walls"))
    assert "no data set that can be opened" in one_line_error(HubSource(path=str(root), subset="none"))


def test_folders_that_hold_scripts_texts_or_nothing_are_refused_and_nothing_is_run(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    script = f"open({str(ran)!r}, 'w')\nraise SystemExit".encode()
    refused = {
        "script": {"script.py": script, "script/__init__.py": script},
        "texts": {"train.csv": b"text\na\n"},
        "empty": {},
    }
    for name, files in refused.items():
        root = fill(tmp_path / name, files)
        root.mkdir(exist_ok=True)
        error = one_line_error(HubSource(path=str(root)))
        assert str(root) in error and ("no data set that can be opened" in error or "another kind (Csv)" in error)
    beside = fill(tmp_path / "beside", {"beside.py": script, "data/train.parquet": table("red")})
    assert "scripts are no longer supported" in one_line_error(HubSource(path=str(beside))) and not ran.exists()
    for path in ("nowhere", "a/b/c", "../x", "parquet", "s3://bucket/x"):
        with pytest.raises(ConfigError, match="path="):
            HubSource(path=path).index(None)
    broken = fill(tmp_path / "card", {"train.parquet": table("red"), "README.md": b"---\nlicense: [\n---\n"})
    assert str(broken) in one_line_error(HubSource(path=str(broken)))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ReadableHub]:
    """A Hub with one data set of two splits."""
    files = {"data/train-0.parquet": table("red", "blue"), "data/test-0.parquet": table("lime"), "README.md": CARD}
    with readable_hub("ann/walls", files) as hub:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.endpoint)
        address = hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", address)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr("datasets.config.HF_ENDPOINT", hub.endpoint)
        yield hub


def test_a_data_set_of_the_hub_is_read_in_place_and_pinned_to_its_commit(hub: ReadableHub) -> None:
    source = HubSource(path="ann/walls")
    listing = source.index(None)
    assert [entry.caption for entry in listing] == ["a red wall", "a blue wall"]
    assert {entry.licence for entry in listing} == {"cc-by-4.0"}
    assert all(COMMIT in entry.locator for entry in listing)
    assert source.load(listing[1], FRAMING).image[5, 5].tolist() == [0, 0, 1]
    assert {name for name, _ in hub.asked if name != "README.md"} == {"data/train-0.parquet"}
    assert "no data set that can be opened" in one_line_error(HubSource(path="ann/doors"))


def test_without_datasets_a_line_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert "pip install 'process-painter[import]'" in one_line_error(HubSource(path=str(tmp_path)))


@pytest.mark.parametrize("card", [True, False])
def test_a_data_set_of_ours_below_a_folder_is_named_and_not_read(card: bool, tmp_path: Path) -> None:
    own = {"dataset.json": b'{"recipe": {}, "config_hash": "c", "shards": []}', "contact_sheet.png": picture()}
    own |= {f"shards/train-{n}.tar": tar_bytes(samples("x")) for n in range(9)}
    pictures = {"red.png": picture("red"), "blue.png": picture("blue"), **({"README.md": CARD} if card else {})}
    root = fill(tmp_path, {**pictures, **{f"out/mine/{name}": data for name, data in own.items()}})
    source = HubSource(path=str(root))
    listing = source.index(None)
    assert [entry.id for entry in listing] == ["blue.png", "red.png"] and listing.passed_over == ("out/mine/",)
    assert [entry.licence for entry in listing] == ["cc-by-4.0" if card else None] * 2
    assert corner(source, 0) == [0, 0, 1]
