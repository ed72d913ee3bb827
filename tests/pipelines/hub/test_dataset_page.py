"""Every data set has a card, and loads as it is with the `datasets` library."""

import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any
from unittest import mock

import datasets
import numpy as np
import pytest
import webdataset
from huggingface_hub import DatasetCard

from conf.command import command
from conf.markdown import plain
from conf.printable import printable
from pipelines import status, verify
from pipelines.exports import openraster
from pipelines.hub.dataset_page import SHEET, write_dataset_page
from renderers.painting import StrokeProgram
from tests.pipelines.artists.ingest_runs import ingest, save, sheet_of, stages
from tests.pipelines.exports.runs import grown, settings
from tests.pipelines.hub.loading import assert_rows_are_sequences, loaded, stored
from tests.pipelines.runs import SMALL, synth
from tests.pipelines.small_dataset import SHARDS, small_dataset
from tests.renderers.actors import save_released_actor
from training.data.dataset import read_card, read_manifests
from training.data.own_page import README, is_as_made, page_for
from training.data.survey import surveyed

FEW_STROKES = tuple(f"renderer.members.{name}.num_strokes=50" for name in ("bezier", "oil", "ink", "studio"))
MIX = ("renderer=mix", *FEW_STROKES, "size=64", "num_frames=3", "cluster=inline", "gallery=false")


def written(root: Path) -> Path:
    """Write the card of a data set; returns its path."""
    card = read_card(root)
    write_dataset_page(root, card, surveyed(read_manifests(root, card.shards)))
    return root / README


def head(page: Path) -> dict[str, Any]:
    """The YAML of a card, as the Hub reads it."""
    fields: dict[str, Any] = DatasetCard.load(page).data.to_dict()
    return fields


@pytest.fixture(scope="module")
def mix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten scenes by all renderers of the mix, in both splits. Do not change it."""
    out = tmp_path_factory.mktemp("mix") / "out"
    assert synth(*MIX, "num_sequences=10", "shard_size=5", "val_fraction=0.3", f"out={out}") == 0
    return out


@pytest.mark.parametrize("streaming", [False, True], ids=["loaded", "streamed"])
def test_the_mix_loads_with_its_folder_of_timings_and_a_map_of_regions_in_some_sequences_alone(
    mix: Path, tmp_path: Path, streaming: bool
) -> None:
    rows, sequences = loaded(mix, tmp_path, streaming=streaming), stored(mix)
    assert_rows_are_sequences(rows, sequences)
    assert (mix / "timings").is_dir() and rows.keys() == {"train", "val"}
    maps = [row["regions.png"] is not None for some in rows.values() for row in some]
    assert any(maps) and not all(maps)


def test_strokes_and_ground_truth_are_columns_of_numbers(mix: Path, tmp_path: Path) -> None:
    rows, sequences = loaded(mix, tmp_path)["train"], stored(mix)["train"]
    for row, sequence in zip(rows, sequences, strict=True):
        program = StrokeProgram.from_bytes(sequence.members["strokes.npz"])
        column = row["strokes.npz"]
        assert column["family"] == program.family and column["size_px"] == [program.height_px, program.width_px]
        assert np.array_equal(np.array(column["strokes"], np.float32).reshape(program.strokes.shape), program.strokes)
        with np.load(io.BytesIO(sequence.members["truth.npz"])) as truth:
            assert np.array_equal(row["truth.npz"]["labels"], truth["labels"])
            assert row["truth.npz"]["names"] == truth["names"].tolist()


@pytest.mark.parametrize("renderer", ["bezier", "oil", "ink", "region", "studio", "small"])
def test_the_data_of_each_renderer_loads(renderer: str, tmp_path: Path) -> None:
    overrides = ["size=64", "num_frames=3", "num_sequences=2", "val_fraction=0", "cluster=inline", "gallery=false"]
    strokes = ["renderer.num_strokes=50"] if renderer in ("bezier", "oil", "ink", "studio") else []
    steps = ["caption.steps=true"] if renderer == "studio" else []
    assert synth(f"renderer={renderer}", *strokes, *steps, *overrides, f"out={tmp_path / 'out'}") == 0
    assert_rows_are_sequences(loaded(tmp_path / "out", tmp_path / "cache"), stored(tmp_path / "out"))


def test_the_data_of_the_atelier_loads_with_every_medium_in_it(tmp_path: Path) -> None:
    media = ("oil", "ink", "pencil", "watercolour", "digital")
    strokes = [f"renderer.members.studio_{medium}.num_strokes=50" for medium in media]
    overrides = ["size=64", "num_frames=3", "num_sequences=6", "val_fraction=0", "cluster=inline", "gallery=false"]
    assert synth("renderer=atelier", *strokes, *overrides, "caption.steps=true", f"out={tmp_path / 'out'}") == 0
    rows = loaded(tmp_path / "out", tmp_path / "cache")
    assert_rows_are_sequences(rows, stored(tmp_path / "out"))
    assert len({row["json"]["renderer"]["name"] for row in rows["train"]}) == 5


def test_the_data_of_the_agent_loads(tmp_path: Path) -> None:
    actor = save_released_actor(tmp_path / "actor.pkl")
    overrides = ["renderer=agent", f"renderer.actor={actor}", "renderer.num_steps=2", "size=64", "num_frames=3"]
    overrides += ["num_sequences=2", "val_fraction=0", "cluster=inline", "gallery=false"]
    assert synth(*overrides, f"out={tmp_path / 'out'}") == 0
    assert_rows_are_sequences(loaded(tmp_path / "out", tmp_path / "cache"), stored(tmp_path / "out"))


@pytest.mark.parametrize("layout", ["layers", "drawings"])
def test_layers_and_drawings_of_an_artist_load(layout: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    if layout == "layers":
        openraster.write(grown(height=80, width=96), settings(), tmp_path / "in" / "boat.ora")
    else:
        drawing = [[[0, 255, 90], [0, 40, 200]], [[10, 70], [30, 90]]]
        (tmp_path / "in" / "cat.ndjson").write_text(json.dumps({"word": "cat", "key_id": "5", "drawing": drawing}))
    overrides = [f"layout={layout}", "num_frames=3", "cluster=inline", "gallery=false", f"out={tmp_path / 'out'}"]
    assert ingest(f"source.path={tmp_path / 'in'}", *overrides) == 0
    assert_rows_are_sequences(loaded(tmp_path / "out", tmp_path / "cache"), stored(tmp_path / "out"))


def test_what_an_artist_left_loads(tmp_path: Path) -> None:
    for number in range(3):
        save(tmp_path / "in" / f"{number}_2x2.png", sheet_of(stages(4, seed=number), 2, 2, "boustrophedon"))
    overrides = ["layout=grid", "num_frames=4", "source.licence=CC BY 4.0", "caption.template=a painting of %name"]
    assert ingest(f"source.path={tmp_path / 'in'}", *overrides, "cluster=inline", f"out={tmp_path / 'out'}") == 0
    assert_rows_are_sequences(loaded(tmp_path / "out", tmp_path / "cache"), stored(tmp_path / "out"))
    page = tmp_path / "out" / README
    assert head(page)["license"] == "cc-by-4.0" and "before.00.jpg" in page.read_text("utf-8")


def test_it_may_be_passed_on_as_parquet_with_the_same_columns(mix: Path, tmp_path: Path) -> None:
    train = datasets.load_dataset(str(mix), cache_dir=str(tmp_path), split="train")
    train.to_parquet(tmp_path / "train.parquet")
    again = datasets.Dataset.from_parquet(str(tmp_path / "train.parquet"), cache_dir=str(tmp_path))
    assert again.features == train.features and again[0]["json"] == train[0]["json"]


STRANGE = (
    "---\nlicense: mit\n---", "a: b, c: [d, {e}] # f", "'\"|<script>alert(1)</script>", "![x](http://a/b.png)",
    "\x1b[31mred\u202e", "- *é* 画 🎨 \\ `code` $x$", "null", "&anchor !!python/object:os.system {}", "",
)  # fmt: skip


def test_strange_captions_licences_and_phrases_stay_words(tmp_path: Path) -> None:
    for number, text in enumerate(STRANGE):
        root = small_dataset(tmp_path / str(number), captions=[text] * 6, facts={"licence": text})
        page = written(root)
        assert head(page).keys() == {
            "pretty_name", "license", "task_categories", "tags", "size_categories", "configs", "dataset_info",
            *(["license_name"] if text else []),
        }  # fmt: skip
        assert head(page).get("license_name", "") == printable(text)
        body = page.read_text("utf-8").split("---\n", 2)[2]
        assert f"1. {plain(text) or '(no caption)'}\n" in body and body.count("\n## ") == 4
        assert "\x1b" not in body and "\u202e" not in body and "![x]" not in body and "<script" not in body
        rows = loaded(root, tmp_path / "cache" / str(number))
        assert [row["txt"] for some in rows.values() for row in some] == [text] * 6


def test_the_card_counts_what_is_there(tmp_path: Path) -> None:
    root = small_dataset(tmp_path / "whole")
    text = written(root).read_text("utf-8")
    assert "How 6 pictures come about, each in 8 frames" in text and "4 train, 2 val" in text
    assert "| bezier |  | 2 | 1 |\n| oil |  | 2 | 1 |" in text
    assert "| CC0-1.0 | 6 |" in text and "not finished" not in text
    part = small_dataset(tmp_path / "part", shards=SHARDS[:1])
    assert "It is not finished: 3 shards are planned." in written(part).read_text("utf-8")
    assert head(part / README)["configs"][0]["data_files"] == [{"split": "train", "path": "shards/train-*.tar"}]


def test_nothing_is_written_while_nothing_is_committed(tmp_path: Path) -> None:
    root = small_dataset(tmp_path / "none", shards=())
    assert not written(root).exists() and not (root / SHEET).exists()


def test_a_card_that_somebody_changed_stays_and_any_other_is_written_anew(dataset: Path, tmp_path: Path) -> None:
    out = shutil.copytree(dataset, tmp_path / "out")
    made = (out / README).read_bytes()
    assert is_as_made(made)
    (out / README).unlink()
    (out / SHEET).write_bytes(b"half a picture")
    assert synth(*SMALL, f"out={out}") == 0
    assert (out / README).read_bytes() == made and (out / SHEET).read_bytes() == (dataset / SHEET).read_bytes()
    (out / README).write_bytes(own := made.replace(b"# Painting processes", b"# My processes"))
    assert synth(*SMALL, f"out={out}") == 0
    assert (out / README).read_bytes() == own
    assert page_for(tmp_path / "nothing", "a page\n") != own and not is_as_made(own)


def test_a_data_set_of_before_gets_its_card_when_it_is_continued(dataset: Path, tmp_path: Path) -> None:
    out = shutil.copytree(dataset, tmp_path / "out")
    for name in (README, SHEET):
        (out / name).unlink()
    shard = read_card(out).shards[0]
    (out / "shards" / f"{shard}.json").unlink()
    assert synth(*SMALL, f"out={out}") == 0
    assert (out / README).read_bytes() == (dataset / README).read_bytes()


def test_the_card_is_no_part_of_what_verify_and_status_judge(dataset: Path, tmp_path: Path) -> None:
    out = shutil.copytree(dataset, tmp_path / "out")
    for change in (lambda: None, lambda: (out / README).write_text("mine"), lambda: (out / README).unlink()):
        change()
        for name, module in (("verify", verify), ("status", status)):
            configure = getattr(module, f"{name}_config")
            assert command(name, configure, module.run, "", [f"dataset={out}"]) == 0


def test_a_run_that_is_killed_before_its_card_leaves_none_and_the_next_writes_it(dataset: Path, tmp_path: Path) -> None:
    overrides = [*SMALL, f"out={tmp_path / 'out'}"]
    with mock.patch("pipelines.synthesis.run.write_dataset_page", side_effect=KeyboardInterrupt):
        assert synth(*overrides) == 130
    assert not (tmp_path / "out" / README).exists()
    assert synth(*overrides) == 0
    assert (tmp_path / "out" / README).read_bytes() == (dataset / README).read_bytes()


def test_tars_that_may_be_empty_are_loaded_as_the_card_says(tmp_path: Path) -> None:
    refused = [{"index": 7, "key": "00000007", "source": "torn.png", "reason": "torn"}]
    text = written(small_dataset(tmp_path / "data", refused=refused)).read_text("utf-8")
    assert "`WebDataset(..., empty_check=False)`" in text
    assert "empty_check" not in written(small_dataset(tmp_path / "whole")).read_text("utf-8")
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    assert not list(webdataset.WebDataset(str(tmp_path / "empty.tar"), shardshuffle=False, empty_check=False))
