"""The main job, inline: what is in the data set, and what a second run does."""

import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import webdataset as wds

from pipelines.synthesis.dataset_folder import dataset_folder
from renderers import renderer
from renderers.painting import StrokeProgram, to_uint8
from tests.pipelines.runs import SMALL, assert_same, contents, rows, save_picture, synth
from training.data.claim import sole_writer
from training.data.dataset import DatasetCard, read_card, read_manifests
from training.data.manifest import ShardManifest, hash_file, tar_path
from training.data.sequence import StoredSequence, read_sequences
from training.data.stream import DataMixture, SequenceStream
from training.data.survey import surveyed


@pytest.fixture
def copy(dataset: Path, tmp_path: Path) -> Path:
    """A data set of its own for a test that changes it."""
    return Path(shutil.copytree(dataset, tmp_path / "dataset"))


def manifests(root: Path) -> list[ShardManifest]:
    return list(read_manifests(root, read_card(root).shards))


def sequences(root: Path) -> list[StoredSequence]:
    return [sequence for manifest in manifests(root) for sequence in read_sequences(root, manifest)]


def stamps(root: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (root / "shards").iterdir()}


def test_a_data_set_is_complete_and_its_totals_are_true(dataset: Path) -> None:
    card = read_card(dataset)
    made = manifests(dataset)
    assert [manifest.name for manifest in made] == list(card.shards)
    assert card.totals == surveyed(made).totals()
    assert card.totals is not None
    assert (card.num_planned, card.totals["num_sequences"], card.totals["num_quarantined"]) == (6, 6, 0)
    assert sum(card.totals["splits"].values()) == sum(card.totals["licences"].values()) == 6
    for manifest in made:
        assert hash_file(tar_path(dataset, manifest.name)) == manifest.sha256
        assert manifest.config_hash == card.config_hash
    names = {path.name for path in dataset.iterdir()}
    assert names == {
        "README.md", "contact_sheet.png", "dataset.json", "gallery", "samples.parquet", "shards", "timings"
    }  # fmt: skip


def test_the_table_has_a_sane_row_for_every_sequence(dataset: Path) -> None:
    table = pq.read_table(dataset / "samples.parquet").to_pylist()
    assert sorted(row["key"] for row in table) == [f"{index:08d}" for index in range(6)]
    for row in table:
        assert row["caption"].endswith(", painted with translucent strokes")
        assert row["renderer"] == "bezier" and row["licence"] == "CC0-1.0" and row["split"] in row["shard"]
        assert row["num_steps"] == 20 == row["frame_steps"][-1] and row["frame_steps"][0] == 0
        assert len(row["distance"]) == len(row["coverage"]) == len(row["frame_steps"]) == 8
        assert row["distance"][0] == 1.0 and row["distance"][-1] == 0.0
        assert 5 < row["psnr_db"] < 60 and 0 < row["ssim"] <= 1 and 0 < row["seconds"] < 60
        assert all(value is not None for value in row.values())


def test_stock_webdataset_reads_every_sequence_whole(dataset: Path) -> None:
    seen = []
    for name in read_card(dataset).shards:
        for sample in wds.WebDataset(f"file:{tar_path(dataset, name)}", shardshuffle=False).decode("rgb8"):
            seen.append(sample["__key__"])
            frames = [sample[f"{number:02d}.webp"] for number in range(8)]
            assert all(frame.shape == (64, 64, 3) and frame.dtype == np.uint8 for frame in frames)
            assert sample["json"]["key"] == sample["__key__"]
            assert "painted with" in sample["txt"]
            assert sample["strokes.npz"]["strokes"].shape[0] == 20
    assert sorted(seen) == [f"{index:08d}" for index in range(6)]


def test_no_member_needs_pickle(dataset: Path) -> None:
    for sequence in sequences(dataset):
        arrays = {name: data for name, data in sequence.members.items() if name.endswith(".npz")}
        assert set(arrays) == {"strokes.npz", "truth.npz"}
        for data in arrays.values():
            with np.load(io.BytesIO(data), allow_pickle=False) as loaded:
                assert all(loaded[name].dtype != object for name in loaded.files)


def test_every_stored_program_paints_its_stored_frames(dataset: Path) -> None:
    for sequence in sequences(dataset):
        program = StrokeProgram.from_bytes(sequence.members["strokes.npz"])
        steps = [frame["step"] for frame in sequence.facts["frames"]]
        replayed = [to_uint8(canvas) for canvas in renderer(program.family).replay(program, steps)]
        np.testing.assert_array_equal(np.stack(replayed), sequence.frames())


def test_a_rerun_makes_nothing_and_changes_no_byte(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, stamped = contents(copy), stamps(copy)
    assert synth(*SMALL, f"out={copy}") == 0
    assert "made 0 sequences; 6 were there already" in capsys.readouterr().out
    assert_same(contents(copy), before)
    assert stamps(copy) == stamped


@pytest.mark.parametrize("damage", ["no manifest", "no tar", "empty manifest", "tar cut short", "another's manifest"])
def test_only_the_shard_that_lacks_is_made_again_and_to_the_same_bytes(damage: str, copy: Path) -> None:
    before, stamped = contents(copy), stamps(copy)
    name = read_card(copy).shards[1]
    tar, manifest = copy / "shards" / f"{name}.tar", copy / "shards" / f"{name}.json"
    if damage == "no manifest":
        manifest.unlink()
    elif damage == "no tar":
        tar.unlink()
    elif damage == "empty manifest":
        manifest.write_text("")
    elif damage == "tar cut short":
        os.truncate(tar, 1024)
    else:
        manifest.write_text(manifest.read_text().replace(read_card(copy).config_hash, "0" * 64))
    assert synth(*SMALL, f"out={copy}") == 0
    assert_same(contents(copy), before)
    changed = {path for path, stamp in stamps(copy).items() if stamp != stamped[path]}
    assert changed == {tar.name, manifest.name}


def test_lost_timings_cost_only_the_seconds(copy: Path) -> None:
    first, second = sorted((copy / "timings").iterdir())[:2]
    first.unlink()
    second.write_text("")
    before = rows(copy / "samples.parquet")
    assert synth(*SMALL, f"out={copy}") == 0
    assert rows(copy / "samples.parquet") == before
    seconds = pq.read_table(copy / "samples.parquet")["seconds"].to_pylist()
    assert None in seconds and len([value for value in seconds if value is not None]) >= 2


@pytest.mark.parametrize(
    ("word", "named"),
    [
        ("seed=1", "seed=0, not 1"),
        ("size=96x64", "size=64x64, not 96x64"),
        ("renderer.num_strokes=21", "renderer.num_strokes=20, not 21"),
        ("source.kinds=[boat]", "source.kinds"),
    ],
)
def test_another_configuration_in_the_folder_is_refused_and_named(
    word: str, named: str, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(copy)
    assert synth(*SMALL, word, f"out={copy}") == 2
    message = capsys.readouterr().err
    assert str(copy) in message and named in message and message.count("\n") == 1
    assert_same(contents(copy), before)


def test_more_sequences_than_a_data_set_was_begun_with_are_refused_with_how_to_add_them(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(copy)
    assert synth(*SMALL, "num_sequences=40", f"out={copy}") == 2
    message = capsys.readouterr().err
    assert "num_sequences=" in message and "data='[{path: ONE}, {path: OTHER}]'" in message and message.count("\n") == 1
    assert_same(contents(copy), before)
    more = tmp_path / "more"
    assert synth(*SMALL, "seed=1", "source.seed=1", f"out={more}") == 0
    one, other = (SequenceStream.open([DataMixture(path=str(path))]) for path in (copy, more))
    both = SequenceStream.open([DataMixture(path=str(path)) for path in (copy, more)])
    assert len(both) == len(one) + len(other)


def test_a_folder_of_somebody_else_is_refused_and_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    assert synth(*SMALL, f"out={tmp_path}") == 2
    assert "new or empty folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_two_runs_in_one_folder_are_refused(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(copy)
    with sole_writer(copy):
        assert synth(*SMALL, f"out={copy}") == 2
    assert "another run is writing here" in capsys.readouterr().err
    assert_same(contents(copy), before)
    assert synth(*SMALL, f"out={copy}") == 0


def test_a_run_that_is_refused_does_not_undo_the_one_that_is_just_beginning(tmp_path: Path) -> None:
    out = tmp_path / "new"
    out.mkdir()
    with sole_writer(out):
        (out / "dataset.json").write_text("{}")
        assert synth(*SMALL, f"out={out}") == 2
        assert (out / "dataset.json").exists()


@pytest.mark.parametrize("complete", [True, False])
def test_a_damaged_shard_is_named_and_made_again(
    complete: bool, dataset: Path, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tars = sorted((copy / "shards").glob("*.tar"))
    for tar, place in zip(tars, (700, -5000), strict=False):
        data = bytearray(tar.read_bytes())
        data[place] ^= 1
        tar.write_bytes(data)
    if not complete:
        (copy / "samples.parquet").unlink()
        tars[-1].with_suffix(".json").unlink()
        DatasetCard(**{**vars(read_card(dataset)), "totals": None, "manifests": None}).write(copy)
    assert synth(*SMALL, f"out={copy}") == 0
    assert f"{tars[0]}: not the bytes that were committed; made again" in capsys.readouterr().err
    assert_same(contents(copy), contents(dataset))


@pytest.mark.parametrize("left", ["nothing", "the card's temporary", "the card"])
def test_a_run_killed_at_its_very_beginning_can_be_run_again(left: str, dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "new"
    out.mkdir()
    if left == "the card's temporary":
        (out / ".dataset.json.123-0123abcd.tmp").write_text("{")
    if left == "the card":
        DatasetCard(**{**vars(read_card(dataset)), "totals": None}).write(out)
    assert synth(*SMALL, f"out={out}") == 0
    assert_same(contents(out), contents(dataset))


@pytest.mark.parametrize("there", [False, True])
def test_a_failure_before_the_first_shard_leaves_nothing(there: bool, dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "a" / "b" / "new"
    if there:
        out.mkdir(parents=True)
    with pytest.raises(ZeroDivisionError), dataset_folder(out, read_card(dataset)):
        sum(1 for _ in out.iterdir()) / 0
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))
    assert left == (["a", "a/b", "a/b/new"] if there else [])


def test_a_failure_after_the_first_shard_keeps_it(dataset: Path, copy: Path) -> None:
    before = contents(copy)
    with pytest.raises(RuntimeError), dataset_folder(copy, read_card(dataset)):
        raise RuntimeError
    assert_same(contents(copy), before)


def test_frames_size_and_format_are_as_asked(tmp_path: Path) -> None:
    overrides = ("size=96x64", "num_frames=3", "frames.format=png", "frames.spacing=log", "num_sequences=1")
    assert synth(*SMALL, *overrides, f"out={tmp_path / 'a'}") == 0
    (sequence,) = sequences(tmp_path / "a")
    assert sequence.frames().shape == (3, 64, 96, 3)
    assert {"00.png", "01.png", "02.png"} <= set(sequence.members)
    assert sequence.facts["size_px"] == [64, 96]


def test_frames_of_a_long_sequence_sort_by_name(tmp_path: Path) -> None:
    overrides = ("num_frames=101", "renderer.num_strokes=110", "frames.format=jpg", "num_sequences=1")
    assert synth(*SMALL, *overrides, f"out={tmp_path / 'a'}") == 0
    (sequence,) = sequences(tmp_path / "a")
    members = [frame["member"] for frame in sequence.facts["frames"]]
    assert members == sorted(members) and members[100] == "100.jpg"
    assert sequence.frames().shape == (101, 64, 64, 3)


def test_every_seed_paints_otherwise_and_each_sequence_has_its_own(dataset: Path, tmp_path: Path) -> None:
    assert synth(*SMALL, "seed=1", f"out={tmp_path / 'a'}") == 0
    ours = {s.key: s.members["strokes.npz"] for s in sequences(dataset)}
    theirs = {s.key: s.members["strokes.npz"] for s in sequences(tmp_path / "a")}
    assert ours.keys() == theirs.keys()
    assert all(ours[key] != theirs[key] for key in ours)
    spawned = [json.dumps(s.facts["seed"]) for s in sequences(dataset)]
    assert len(set(spawned)) == 6


def test_a_source_painted_again_is_painted_otherwise(tmp_path: Path) -> None:
    """The same picture comes again when the source runs out; its seed is the sequence's, not the picture's."""
    pictures = _folder_of_pictures(tmp_path / "pictures", 1)
    overrides = ("source=folder", f"source.path={pictures}", "num_sequences=2", f"out={tmp_path / 'a'}")
    assert synth(*SMALL, *overrides) == 0
    one, two = sequences(tmp_path / "a")
    assert one.facts["source"] == two.facts["source"]
    assert one.members["strokes.npz"] != two.members["strokes.npz"]


def test_a_source_that_changed_since_is_refused_saying_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = _folder_of_pictures(tmp_path / "pictures", 3)
    overrides = (*SMALL, "source=folder", f"source.path={pictures}", "num_sequences=null", f"out={tmp_path / 'a'}")
    assert synth(*overrides) == 0
    before = contents(tmp_path / "a")
    _folder_of_pictures(tmp_path / "pictures", 4)
    capsys.readouterr()
    assert synth(*overrides) == 2
    message = capsys.readouterr().err
    assert "the source has changed since" in message and "train on both" in message
    assert_same(contents(tmp_path / "a"), before)


@pytest.mark.parametrize("path", ["./pictures/", "{}/pictures", "copied"])
def test_the_same_pictures_at_another_path_continue_a_data_set(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(_folder_of_pictures(tmp_path / "pictures", 3), tmp_path / "copied")
    overrides = (*SMALL, "source=folder", "num_sequences=null", "out=a")
    assert synth(*overrides, "source.path=pictures") == 0
    before = contents(tmp_path / "a")
    (tmp_path / "a" / "shards" / "train-00000-of-00002.json").unlink()
    assert synth(*overrides, f"source.path={path.format(tmp_path)}") == 0
    assert "made 2 sequences" in capsys.readouterr().out
    assert_same(contents(tmp_path / "a"), before)
    (tmp_path / "copied" / "0.png").unlink()
    assert synth(*overrides, "source.path=copied") == 2


def test_out_inside_the_source_is_no_part_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = _folder_of_pictures(tmp_path / "pictures", 2)
    overrides = (*SMALL, "source=folder", f"source.path={pictures}", "num_sequences=null")
    assert synth(*overrides, f"out={pictures / 'data' / 'one'}") == 0
    assert synth(*overrides, f"out={pictures / 'data' / 'one'}") == 0
    assert "passed over 1 file of the source: data/one/" in capsys.readouterr().out
    assert synth(*overrides, f"out={pictures / 'data' / 'other'}") == 0
    assert len(rows(pictures / "data" / "other" / "samples.parquet")) == 2


def _folder_of_pictures(folder: Path, count: int) -> Path:
    folder.mkdir(exist_ok=True)
    for number in range(count):
        save_picture(folder / f"{number}.png", number)
    return folder
