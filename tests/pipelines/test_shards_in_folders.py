"""A data set of very many shards keeps them in folders, and every reader finds them."""

import shutil
from pathlib import Path

import pytest

from conf.command import command
from pipelines import gallery, status, verify
from pipelines.hub.contents import dataset_contents
from tests.pipelines.hub.loading import assert_rows_are_sequences, loaded, stored
from tests.pipelines.runs import SMALL, contents, synth
from training.data.dataset import committed_names, read_card
from training.data.split import open_split


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shards, of which one folder would hold two. Copy it before changing anything."""
    out = tmp_path_factory.mktemp("folders") / "out"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("training.data.layout.MOST_SHARDS_TOGETHER", 2)
        patched.setattr("training.data.layout._SHARDS_A_FOLDER", 2)
        assert synth(*SMALL, "val_fraction=0", f"out={out}") == 0
    return out


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many shards as there are belong in folders."""
    monkeypatch.setattr("training.data.layout.MOST_SHARDS_TOGETHER", 2)
    monkeypatch.setattr("training.data.layout._SHARDS_A_FOLDER", 2)


def look(name: str, dataset: object) -> int:
    module = {"verify": verify, "status": status, "gallery": gallery}[name]
    return command(name, getattr(module, f"{name}_config"), module.run, "A test.", [f"dataset={dataset}"])


def test_shards_stand_in_folders(folders: Path) -> None:
    assert sorted(path.relative_to(folders).as_posix() for path in folders.rglob("*.tar")) == [
        "shards/00000/train-00000-of-00003.tar",
        "shards/00000/train-00001-of-00003.tar",
        "shards/00001/train-00002-of-00003.tar",
    ]
    assert committed_names(folders) == list(read_card(folders).shards)


def test_every_reader_finds_them(folders: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folders, tmp_path / "copy")
    assert [look(name, copy) for name in ("verify", "status", "gallery")] == [0, 0, 0]
    split = open_split(str(copy), "train")
    assert [sequence.key for sequence in split.read(range(6))] == [f"{index:08d}" for index in range(6)]
    files = dataset_contents(copy).files
    assert {f"shards/{name}.{kind}" for name in read_card(copy).shards for kind in ("tar", "json")} <= set(files)


def test_the_datasets_library_finds_them(folders: Path, tmp_path: Path) -> None:
    assert_rows_are_sequences(loaded(folders, tmp_path), stored(folders))


def test_what_is_lost_or_foreign_in_a_folder_is_named_and_made_again(
    folders: Path, tmp_path: Path, many: None, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(folders, tmp_path / "copy")
    whole = contents(copy)
    (copy / "shards/00001/train-00002-of-00003.tar").unlink()
    (copy / "shards/00000/train-00009-of-00003.json").touch()
    (copy / "shards/00007").mkdir()
    assert look("verify", copy) == 1
    faults = capsys.readouterr().out
    assert all(name in faults for name in ("train-00002-of-00003.tar: missing", "train-00009", "00007/: a folder"))
    (copy / "shards/00000/train-00009-of-00003.json").unlink()
    (copy / "shards/00007").rmdir()
    assert synth(*SMALL, "val_fraction=0", f"out={copy}") == 0
    assert "made 2 sequences" in capsys.readouterr().out
    assert contents(copy) == whole


def test_a_data_set_that_was_begun_in_one_folder_is_refused_untouched(
    tmp_path: Path, many: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("training.data.layout.MOST_SHARDS_TOGETHER", 5_000)
        assert synth(*SMALL, "val_fraction=0", f"out={tmp_path / 'flat'}") == 0
    before = contents(tmp_path / "flat")
    assert synth(*SMALL, "val_fraction=0", f"out={tmp_path / 'flat'}") == 2
    assert "shards_in_folders" in capsys.readouterr().err
    assert contents(tmp_path / "flat") == before
    assert look("verify", tmp_path / "flat") == 0
