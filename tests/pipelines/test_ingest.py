"""`pipelines.ingest`: what artists leave becomes a data set like any other, or is refused in one line."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from conf.command import command
from pipelines import gallery, status, verify
from pipelines.artists.config import CaptionConfig
from pipelines.artists.find import Layout, find_sequences
from pipelines.sources.framing import Framing
from pipelines.sources.source import SourceEntry
from pipelines.synthesis import promises
from pipelines.synthesis.run import CAPTION_REMEDIES
from tests.pipelines.artists.ingest_runs import ingest, refused, save, sequences, sheet_of, stages
from tests.pipelines.runs import assert_same, contents, rows
from tests.pipelines.test_gallery import page_data
from training.data.dataset import read_card, read_manifests


def commands(out: Path) -> tuple[int, int, int]:
    """Exit codes of verify, status and gallery."""
    return (
        command("verify", verify.verify_config, verify.run, "", [f"dataset={out}"]),
        command("status", status.status_config, status.run, "", [f"dataset={out}"]),
        command("gallery", gallery.gallery_config, gallery.run, "", [f"dataset={out}"]),
    )


def framed(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A picture as a canvas of 64 px, in levels of 0 to 255."""
    return 255 * Framing(height_px=64, width_px=64).apply(picture.astype(np.float32) / np.float32(255))


@pytest.fixture(scope="module")
def grids(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three grids, one of them with a caption, and beside it the data set made of them."""
    root = tmp_path_factory.mktemp("grids")
    for number, name in enumerate(["boat_2x2", "red-house_3x3", "lake_2x3"]):
        down, across = int(name[-3]), int(name[-1])
        painted = stages(down * across, seed=number)
        save(root / "in" / f"{name}.png", sheet_of(painted, down, across, "boustrophedon", line_px=3))
    (root / "in" / "boat_2x2.txt").write_text("a boat at sea")
    overrides = (f"source.path={root / 'in'}", "layout=grid", "num_frames=4", "caption.trigger=in sks style")
    assert (
        ingest(*overrides, "caption.template=a painting of %name", "source.licence=CC0-1.0", f"out={root / 'out'}") == 0
    )
    return root


def test_grids_become_sequences_earliest_first_and_finished_last(grids: Path) -> None:
    found = sequences(grids / "out")
    assert set(found) == {"boat_2x2.png", "red-house_3x3.png", "lake_2x3.png"}
    for number, name in enumerate(["boat_2x2.png", "red-house_3x3.png", "lake_2x3.png"]):
        facts, frames = found[name].facts, found[name].frames()
        painted = stages({0: 4, 1: 9, 2: 6}[number], seed=number)
        assert frames.shape == (4, 64, 64, 3)
        steps = [frame["step"] for frame in facts["frames"]]
        assert steps[0] == 0 and steps[-1] == facts["num_steps"] == len(painted) - 1
        for frame, step in zip(frames, steps, strict=True):
            nearest = [np.abs(framed(cell[1:-1, 1:-1]) - frame).mean() for cell in painted]
            assert int(np.argmin(nearest)) == step


def test_captions_come_from_beside_or_from_the_template_and_hold_the_trigger(grids: Path) -> None:
    captions = {name: each.caption for name, each in sequences(grids / "out").items()}
    assert captions == {
        "boat_2x2.png": "a boat at sea, in sks style",
        "red-house_3x3.png": "a painting of red house, in sks style",
        "lake_2x3.png": "a painting of lake, in sks style",
    }


def test_it_is_a_data_set_to_verify_status_and_gallery(grids: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands(grids / "out") == (0, 0, 0)
    told = capsys.readouterr().out
    assert "artist: 3 sequences, progress violation" in told and "nan" not in told and "sound, complete" in told
    table = rows(grids / "out" / "samples.parquet")
    assert {row["licence"] for row in table} == {"CC0-1.0"} and {row["renderer"] for row in table} == {"artist"}
    assert all(row["psnr_db"] is None and row["seed"] is None for row in table)


def test_the_gallery_shows_source_frames_beside_those_made_from_them(grids: Path) -> None:
    data = page_data(grids / "out" / "gallery" / "index.html")
    assert data["psnr_db"] is None
    for card in data["cards"]:
        assert card["sheet"]["width"] > 2 * card["sheet"]["height"]
        assert card["step_word"] == "source frame" and card["psnr_db"] is None
        assert card["frames"][0][1] == 1 and card["frames"][-1][1] == card["num_steps"]  # counted as people count


def test_verify_finds_a_sequence_whose_frames_are_not_what_it_says(grids: Path) -> None:
    card = read_card(grids / "out")
    (shard,) = read_manifests(grids / "out", card.shards)
    sequence = sequences(grids / "out")["boat_2x2.png"]
    assert not list(promises.sequence_faults(sequence, shard, card, replay=True))
    members = dict(sequence.members)
    members["01.webp"], members["02.webp"] = members["02.webp"], members["01.webp"]
    swapped = type(sequence)(key=sequence.key, members=members)
    (fault,) = promises.sequence_faults(swapped, shard, card, replay=True)
    assert "as far from the finished painting" in fault


def test_verify_finds_a_sequence_whose_frames_are_not_in_the_order_of_time(grids: Path) -> None:
    card = read_card(grids / "out")
    (shard,) = read_manifests(grids / "out", card.shards)
    sequence = sequences(grids / "out")["boat_2x2.png"]
    facts = json.loads(sequence.members["json"])
    facts["frames"][1]["step"], facts["frames"][2]["step"] = 2, 1
    disordered = type(sequence)(key=sequence.key, members={**sequence.members, "json": json.dumps(facts).encode()})
    (fault,) = promises.sequence_faults(disordered, shard, card, replay=True)
    assert fault == "the frames are not in the order of time"


def test_the_same_command_again_changes_nothing_and_another_folder_gets_the_same_bytes(
    grids: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = (f"source.path={grids / 'in'}", "layout=grid", "num_frames=4", "shard_size=1")
    assert ingest(*overrides, f"out={tmp_path / 'one'}") == ingest(*overrides, f"out={tmp_path / 'two'}") == 0
    before = contents(tmp_path / "one")
    assert_same(before, contents(tmp_path / "two"))
    shard = sorted((tmp_path / "one" / "shards").glob("*.tar"))[1]
    shard.with_suffix(".json").unlink()  # as if it had been killed before that shard was committed
    capsys.readouterr()
    assert ingest(*overrides, f"out={tmp_path / 'one'}") == 0
    assert "made 1 sequence in" in capsys.readouterr().out
    assert_same(before, contents(tmp_path / "one"))
    assert ingest(*overrides, "caption.trigger=sks", f"out={tmp_path / 'one'}") == 2


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Folders of numbered pictures: one good, and one for every way in which a sequence can be bad."""
    painted = stages(12)
    for number, picture in enumerate(painted):
        save(tmp_path / "in" / "good" / f"{number}.png", picture)  # 10 comes after 9, not after 1
        save(tmp_path / "in" / "still" / f"{number}.png", painted[0])
        save(tmp_path / "in" / "mixed" / f"{number}.png", picture if number != 7 else picture[:-2])
        save(tmp_path / "in" / "corrupt" / f"{number}.png", picture)
    (tmp_path / "in" / "corrupt" / "3.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    for number in range(5):
        save(tmp_path / "in" / "short" / f"{number}.png", painted[number])
    (tmp_path / "in" / "metadata.jsonl").write_text('{"file_name": "good", "text": "patches", "licence": "mine"}\n')
    return tmp_path


def test_a_folder_of_pictures_is_a_sequence_and_bad_ones_are_rows_that_say_why(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = folders / "out"
    assert ingest(f"source.path={folders / 'in'}", "layout=frames", f"out={out}") == 3
    (good,) = sequences(out).values()
    assert good.facts["source"]["id"] == "good" and good.facts["source"]["licence"] == "mine"
    assert good.caption == "patches" and good.facts["frames"][-1]["step"] == 11
    assert np.abs(good.frames()[-1] - framed(stages(12)[-1])).max() <= 1
    reasons = refused(out)
    assert set(reasons) == {"still", "mixed", "corrupt", "short"}
    assert "one still picture" in reasons["still"]
    assert "mixed sizes: 0.png has 80x90 px, 7.png has 80x88 px" in reasons["mixed"]
    assert "3.png: " in reasons["corrupt"] and "PNG" in reasons["corrupt"]
    assert reasons["short"] == "5 frames, fewer than num_frames=8"
    assert commands(out)[0] == 0
    assert "refused 4 inputs" in capsys.readouterr().out


def test_pictures_in_the_folder_itself_are_one_sequence_with_its_name(folders: Path) -> None:
    out = folders / "out"
    assert ingest(f"source.path={folders / 'in' / 'good'}", "layout=frames", f"out={out}") == 0
    assert set(sequences(out)) == {"good"}


def test_pictures_without_a_number_among_numbered_ones_are_passed_over_and_named(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, out = folders / "in" / "good", folders / "out"
    save(good / "reference.png", stages(2, seed=9)[1])
    save(good / "Cover photo.jpg", stages(2, seed=8)[1])
    assert ingest(f"source.path={good}", "layout=frames", f"out={out}") == 0
    lacks = "(a picture without a number)"
    message = f"passed over 2 files of the source: Cover photo.jpg {lacks}, reference.png {lacks}"
    assert message in capsys.readouterr().out
    (sequence,) = sequences(out).values()
    assert sequence.facts["num_steps"] == 11 and np.abs(sequence.frames()[-1] - framed(stages(12)[-1])).max() <= 1


def test_pictures_of_which_few_are_numbered_are_all_taken_by_name(tmp_path: Path) -> None:
    for name, picture in zip(["a", "b", "c", "d", "e", "f", "g", "h 2"], stages(8), strict=True):
        save(tmp_path / "in" / "named" / f"{name}.png", picture)
    assert ingest(f"source.path={tmp_path / 'in'}", "layout=frames", f"out={tmp_path / 'out'}") == 0
    assert [each.facts["num_steps"] for each in sequences(tmp_path / "out").values()] == [7]


def test_what_lacks_a_caption_is_told_where_it_would_be_looked_for(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folders / "in" / "metadata.jsonl").unlink()
    overrides = (f"source.path={folders / 'in'}", "layout=frames", f"out={folders / 'out'}")
    assert ingest(*overrides) == 3
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "no caption" in line]
    assert "write them in boat.txt beside the folder boat, with source.path naming the folder of both, or give" in line
    shutil.rmtree(folders / "out")
    (folders / "in" / "good.txt").write_text("patches")  # which is what it advises
    assert ingest(*overrides) == 3 and "no caption" not in capsys.readouterr().out


def test_every_layout_whose_sequences_are_no_pictures_has_its_own_advice_on_captions() -> None:
    assert set(get_args(Layout)) - {"grid"} <= set(CAPTION_REMEDIES)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["layout=frames"], "source.path is required"),
        (["source.path={in}"], "layout is required"),
        (["source.path={in}", "layout=film"], "layout=film"),
        (["source.path=/nowhere/at/all", "layout=grid"], "/nowhere/at/all: missing"),
        (["source.path={in}", "layout=video"], "holds no videos"),
        (["source.path={in}", "layout=frames", "grid.rows=2"], "grid.rows=2"),
        (["source.path={in}", "layout=grid", "grid.rows=2", "grid.columns=2"], "num_frames=8"),
        (["source.path={in}", "layout=frames", "treatment.window=8"], "treatment.window=8"),
        (["source.path={in}", "layout=frames", "treatment.max_frames=5"], "treatment.max_frames=5"),
        (["source.path={in}", "layout=frames", "caption.template=%subject"], "caption.template"),
        (["source.path={in}", "layout=frames", "caption.template=by %trigger"], "caption.template"),
        (["source.path={in}", "layout=frames", "source.require_captions=true"], "no caption"),
        (["source.path={in}", "layout=frames", "mask.prompts=[]"], "mask.prompts=[]"),
        (["source.path={in}", "layout=frames", "mask.device=tpu"], "mask.device=tpu"),
        (["source.path={in}/short", "layout=frames"], "5 frames, fewer than num_frames=8"),
        (["source.path={in}/short", "layout=grid"], "rows and columns"),
    ],
)
def test_a_wrong_configuration_or_nothing_but_refusals_is_one_line_and_exit_code_2(
    folders: Path, overrides: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(folders / "in" / "mixed")
    overrides = [word.format(**{"in": folders / "in"}) for word in overrides]
    assert ingest(*overrides, f"out={folders / 'out'}") == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert message in line


def test_a_sequence_that_changes_under_a_run_is_refused(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def find_and_change(*arguments: object) -> object:
        entries = find_sequences(*arguments)  # type: ignore[arg-type]
        save(folders / "in" / "good" / "5.png", stages(2, seed=9)[1])
        return entries

    monkeypatch.setattr("pipelines.ingest.find_sequences", find_and_change)
    assert ingest(f"source.path={folders / 'in'}", "layout=frames", "max_quarantined=1", f"out={folders / 'out'}") == 3
    assert refused(folders / "out")["good"] == "changed since the run was planned"


@pytest.mark.parametrize(
    ("caption", "captioned"),
    [
        ("a pink house", "a pink house, ink"),
        ("inkwell and pen", "inkwell and pen, ink"),
        ("a house in ink", "a house in ink"),
        ("Ink, on paper", "Ink, on paper"),
        ("ink-wash of a lake", "ink-wash of a lake"),
        ("", "ink"),
    ],
)
def test_a_trigger_is_appended_unless_it_is_there_as_a_word(caption: str, captioned: str) -> None:
    entry = SourceEntry(id="a", sha256="", locator="a", caption=caption)
    assert CaptionConfig(trigger="ink").of(entry) == captioned
    pattern = CaptionConfig(trigger="(c) x+")
    assert pattern.of(replace(entry, caption="by (c) x+")) == "by (c) x+"
