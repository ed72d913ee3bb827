"""`benchmarks.studio` measures any renderer against any real sequences, and refuses before it works."""

import sys
from pathlib import Path

import pytest

from benchmarks import studio
from benchmarks.command_line import run_benchmark
from pipelines.evaluation.controls import CONTROLS
from pipelines.evaluation.distance import DISTANCE_METRICS
from tests.pipelines.artists.ingest_runs import save, sheet_of, stages


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """A folder of three grids of four frames and one of six."""
    for number, (rows, columns) in enumerate([(2, 2), (2, 2), (2, 2), (2, 3)]):
        cells = stages(rows * columns, 72, 72, seed=number)
        save(tmp_path / "real" / f"boat {number} {rows}x{columns}.png", sheet_of(cells, rows, columns, "boustrophedon"))
    return tmp_path / "real"


def run(monkeypatch: pytest.MonkeyPatch, *overrides: object) -> int:
    """Run the benchmark; returns its exit code."""
    monkeypatch.setattr(sys, "argv", ["studio", *map(str, overrides)])
    with pytest.raises(SystemExit) as ended:
        run_benchmark(studio.main)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_every_renderer_gets_a_gap_by_every_metric_and_short_sequences_are_left_out(
    real: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = "region:renderer.fill=flat"
    words = ("--num-pictures", 3, "--size", 64, "--lengths", 4, 6, "--renderers", spec)
    assert run(monkeypatch, "--real", real, *words) == 0
    short, long = capsys.readouterr().out.split("6 frames, ")
    assert "4 frames, 4 real sequences" in short and long.startswith("1 real sequence")
    assert "no gaps: 2 real sequences of 6 frames are needed" in long
    rows = [line.split() for line in short.splitlines()]
    names = ["real", spec, *(control.split()[0] for control in CONTROLS)]
    assert all(any(row[:1] == [name] for row in rows) for name in names)
    mean, interval, median, *by_metric = next(row[1:] for row in rows if row[:1] == [spec])
    low, high = map(float, interval.split(".."))
    assert low <= float(mean) <= high and float(median) > 0
    assert len(by_metric) == len(DISTANCE_METRICS)
    assert by_metric[DISTANCE_METRICS.index("flicker")] == "-"  # the real ones do not differ by it
    spread = next(line.split("%")[1].split() for line in short.splitlines() if "10 to 90 %" in line)
    measured = [row[1:] for row in rows if row[:1] == [spec]][1]
    means, verdicts = map(float, measured[::2]), measured[1::2]
    ranges = [tuple(map(float, cell.split(".."))) for cell in spread]
    assert len(ranges) == len(verdicts)
    for value, verdict, (least, most) in zip(means, verdicts, ranges, strict=True):
        assert value in (least, most) or verdict == ("in" if least < value < most else "out")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("--renderers", "guild"), "renderer=guild: not allowed; allowed: one of"),
        (("--renderers", "region:renderer.fill=mud"), "renderer.fill=mud: not allowed"),
        (("--pictures", "nowhere"), "nowhere: missing"),
    ],
)
def test_what_does_not_exist_is_refused_in_one_line(
    real: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], overrides: tuple[str, ...],
    message: str,
) -> None:  # fmt: skip
    assert run(monkeypatch, "--real", real, "--num-pictures", 2, "--lengths", 4, *overrides) == 2
    reason = capsys.readouterr().err.splitlines()[-1]
    assert reason.startswith("error: ") and message in reason


def test_a_folder_of_real_sequences_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(monkeypatch, "--real", tmp_path / "gone", "--renderers", "region") == 2
    assert capsys.readouterr().err == f"error: --real {tmp_path / 'gone'}: no such folder\n"
