"""One command paints a data set: its captions, its pictures, or the rest of its unfinished pictures."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conf.command import command
from conf.compose import compose
from conf.errors import ConfigError, UserError
from pipelines.inference.config import StrokeExecution, paint_config
from pipelines.inference.execution import Executed, execute
from pipelines.inference.of_dataset import GIVEN, given_pictures, requests_of_dataset
from pipelines.paint import run
from tests.pipelines.small_dataset import small_dataset
from tests.pipelines.small_painter import save_untrained_painter
from training.data.sequence import StoredSequence
from training.data.split import StoredSplit, open_split

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


def test_a_process_that_strokes_cannot_paint_as_asked_is_skipped_and_named(
    painter: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = sequences(dataset)

    def without_elephant(execution: StrokeExecution, painted: Any, picture: Any, seed: int, **how: Any) -> Executed:
        if not skipped:
            skipped.append(seed)
            raise ConfigError("order", execution.order, "words that name things of the picture: the background")
        return execute(replace(execution, order=None), painted, picture, seed, **how)

    skipped: list[int] = []
    monkeypatch.setattr("pipelines.inference.execution.execute", without_elephant)
    strokes = ("execution=strokes", "canvas_px=64", "order='the elephant first'", "renderer.num_strokes=60")
    out = tmp_path / "out"
    assert paint(painter, f"dataset={dataset}", *strokes, f"out={out}") == 3
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("skipped")]
    assert len(told) == 1 and "elephant" in told[0] and first.caption in told[0]
    assert not (out / first.key).exists() and (out / second.key / "report.json").exists()
    assert second.key in (out / "index.html").read_text() and first.key not in (out / "index.html").read_text()
    capsys.readouterr()
    skipped.clear()
    alone = tmp_path / "alone"
    assert paint(painter, "prompt=a hat", *strokes, f"out={alone}") == 2
    assert "elephant" in capsys.readouterr().err and not (alone / "report.json").exists()


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


@pytest.mark.parametrize("task", [("task=reconstruct",), ("task=complete", "at=1")])
@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (("size=70",), "size=70x70: not allowed; allowed: multiples of"),
        (("loras={ink: 1.0}",), "loras=ink: not allowed"),
        (("size=32",), "size=32x32: not allowed; allowed: 64 to 1024"),
    ],
)
def test_a_refused_run_leaves_no_given_pictures(
    painter: Path,
    dataset: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    task: tuple[str, ...],
    overrides: tuple[str, ...],
    reason: str,
) -> None:
    out = tmp_path / "out"
    assert paint(painter, f"dataset={dataset}", *task, *overrides, f"out={out}") == 2
    assert reason in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("overrides", [("task=generate",), ("task=complete", "at=1")])
def test_strokes_that_can_follow_nothing_of_a_set_are_one_line_and_leave_nothing(
    painter: Path, dataset: Path, tmp_path: Path, overrides: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    strokes = ("execution=strokes", "canvas_px=64", "order='the elephant first'", "renderer.num_strokes=60")
    assert paint(painter, f"dataset={dataset}", *overrides, *strokes, f"out={tmp_path / 'out'}") == 2
    *_, line = capsys.readouterr().err.strip().splitlines()
    kind = "captions" if overrides == ("task=generate",) else "pictures"
    assert line.startswith(f"error: 2 {kind}: ") and line.count("elephant") == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("end", [KeyboardInterrupt, ZeroDivisionError])
def test_a_run_that_is_stopped_or_fails_leaves_no_given_pictures_that_nothing_was_painted_from(
    dataset: Path, tmp_path: Path, end: type[BaseException]
) -> None:
    plain = compose("paint", [*FAST, f"dataset={dataset}", "task=reconstruct", f"out={tmp_path / 'out'}"])
    config = paint_config(plain)
    with pytest.raises(end), given_pictures(config):
        painted, unpainted = requests_of_dataset(config)
        painted.out.mkdir()
        (painted.out / "report.json").write_text("{}")
        raise end
    assert [path.stem for path in (config.out / GIVEN).iterdir()] == [painted.out.name] != [unpainted.out.name]


def test_a_sequence_called_as_the_folder_of_given_pictures_is_refused(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, (first, _) = open_split(str(dataset), "val"), sequences(dataset)
    monkeypatch.setattr("pipelines.inference.of_dataset.open_split", lambda *_: stored)
    monkeypatch.setattr(StoredSplit, "read", lambda *_: [replace(first, key=GIVEN)])
    plain = compose("paint", [*FAST, f"dataset={dataset}", "task=reconstruct", f"out={tmp_path / 'out'}"])
    with pytest.raises(UserError, match="sequence given: would be painted into"):
        requests_of_dataset(paint_config(plain))
    assert not (tmp_path / "out").exists()


def test_a_refused_run_leaves_the_given_pictures_of_an_earlier_one(
    painter: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = (sequence.key for sequence in sequences(dataset))
    overrides = (f"dataset={dataset}", "task=reconstruct", f"out={tmp_path}")
    assert paint(painter, *overrides, "num_sequences=1") == 0
    (tmp_path / other).mkdir()
    (tmp_path / other / "notes.txt").write_text("mine")
    assert paint(painter, *overrides) == 2
    assert f"out={tmp_path / other}: not allowed; allowed: a new or empty folder" in capsys.readouterr().err
    assert [path.stem for path in (tmp_path / GIVEN).iterdir()] == [one]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([GIVEN, "index.html", one, other])


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
