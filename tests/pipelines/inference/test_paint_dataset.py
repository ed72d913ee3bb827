"""One command paints a data set: its captions, its pictures, or how its unfinished pictures go on."""

import json
from pathlib import Path
from typing import Any

import pytest

from conf.command import command
from pipelines.inference.config import paint_config
from pipelines.inference.of_dataset import GIVEN
from pipelines.paint import run
from tests.pipelines.small_dataset import small_dataset
from tests.pipelines.small_painter import save_untrained_painter
from training.data.sequence import StoredSequence
from training.data.split import open_split

FAST = ("num_frames=4", "steps=2", "device=cpu")


@pytest.fixture(scope="module")
def painter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_untrained_painter(tmp_path_factory.mktemp("painter") / "tiny")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six sequences, two of them in the val split."""
    captions = ("a red boat", "a green hill", "a red house", "a blue lake", "a lamp", "a hat")
    return small_dataset(tmp_path_factory.mktemp("data") / "set", captions=captions, size_px=(64, 64))


def paint(painter: Path, *overrides: str) -> int:
    return command("paint", paint_config, run, "", [f"painter={painter}", *FAST, *overrides])


def sequences(dataset: Path, split: str = "val") -> list[StoredSequence]:
    stored = open_split(str(dataset), split)
    return stored.read(range(len(stored)))


def report(folder: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return facts


def frames(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((folder / "frames").iterdir())]


def test_every_caption_is_painted_as_it_is_alone(painter: Path, dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "all"
    assert paint(painter, f"dataset={dataset}", "batch_size=2", f"out={out}") == 0
    captions = {sequence.key: sequence.caption for sequence in sequences(dataset)}
    assert {key: report(out / key)["prompt"] for key in captions} == captions and len(captions) == 2
    assert all(key in (out / "index.html").read_text() for key in captions)
    key, caption = next(iter(captions.items()))
    assert paint(painter, f"prompt={caption}", f"out={tmp_path / 'one'}") == 0
    assert frames(out / key) == frames(tmp_path / "one")


@pytest.mark.parametrize(("overrides", "frame"), [(("task=reconstruct",), -1), (("task=complete", "at=1"), 1)])
def test_every_picture_is_given_as_it_is_stored(
    painter: Path, dataset: Path, tmp_path: Path, overrides: tuple[str, ...], frame: int
) -> None:
    assert paint(painter, f"dataset={dataset}", "split=train", *overrides, f"out={tmp_path}") == 0
    stored = {one.key: one.members[one.facts["frames"][frame]["member"]] for one in sequences(dataset, "train")}
    assert {path.stem: path.read_bytes() for path in (tmp_path / GIVEN).iterdir()} == stored and len(stored) == 4
    assert all(report(tmp_path / key)["task"] == overrides[0].partition("=")[2] for key in stored)


def test_what_is_painted_stays_when_more_are_asked_for(
    painter: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for count, line in (("1", "0 of 1 captions"), ("null", "1 of 2 captions")):
        assert paint(painter, f"dataset={dataset}", f"num_sequences={count}", f"out={tmp_path}") == 0
        assert f"{line} were painted already" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (("prompt=a boat",), "prompt=a boat: not allowed; allowed: '' with dataset="),
        (("task=reconstruct", "image=a.png"), "image=a.png: not allowed; allowed: null beside dataset="),
        (("num_sequences=3",), "num_sequences=3: not allowed; allowed: 1 to 2, in the val split"),
        (("num_sequences=0",), "num_sequences=0: not allowed; allowed: 1 to"),
        (("split=test",), "split=test"),
        (("task=complete", "num_frames=16", "at=9"), "holds no picture of frame 9"),
        (("dataset=nowhere",), "nowhere"),
        (("painter=nowhere",), "painter=nowhere"),
    ],
)
def test_what_cannot_be_painted_of_a_set_is_one_line_and_leaves_nothing(
    painter: Path,
    dataset: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    overrides: tuple[str, ...],
    reason: str,
) -> None:
    out = tmp_path / "out"
    assert paint(painter, f"dataset={dataset}", *overrides, f"out={out}") == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert reason in line
    assert not out.exists()


def test_a_sequence_without_a_caption_is_named(
    painter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = small_dataset(tmp_path / "data", captions=("a", "b", "", "d", "e", "f"), size_px=(64, 64))
    assert paint(painter, f"dataset={data}", "split=train", f"out={tmp_path / 'out'}") == 2
    assert "sequence 00000002: no caption; task=reconstruct" in capsys.readouterr().err


def test_a_picture_of_somebody_else_is_left_alone(
    painter: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = sequences(dataset)[0]
    path = tmp_path / GIVEN / f"{first.key}{Path(first.facts['frames'][-1]['member']).suffix}"
    path.parent.mkdir()
    path.write_bytes(b"holidays")
    assert paint(painter, f"dataset={dataset}", "task=reconstruct", f"out={tmp_path}") == 2
    assert f"{path}: another picture is there" in capsys.readouterr().err
    assert path.read_bytes() == b"holidays"
