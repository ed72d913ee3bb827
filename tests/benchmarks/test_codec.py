"""The output of the benchmark of codecs."""

from pathlib import Path

import pytest

from benchmarks.codec import main
from benchmarks.command_line import run_benchmark
from tests.pipelines.small_dataset import small_dataset
from training.data.stream import DataMixture
from training.models.codec import fit_codec
from training.stages.untrained import some_frames


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return small_dataset(tmp_path / "data", captions=[f"picture {number}" for number in range(18)], size_px=(64, 64))


def test_untrained_networks_are_worth_nothing(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A codec that was fitted to the same data is found as good as the linear one, in every row."""
    fitted = fit_codec(some_frames([DataMixture(path=str(dataset))], seed=0), latent_channels=6, width=8)
    fitted.save_pretrained(tmp_path / "codec" / "vae")
    told = ["--codec", tmp_path / "codec", "--data", dataset, "--held-out", dataset, "--sheet", tmp_path / "sheet.png"]
    monkeypatch.setattr("sys.argv", ["codec", *map(str, told)])
    main()
    lines = capsys.readouterr().out.splitlines()
    (overall,) = (line.split() for line in lines if line.startswith("all "))
    assert overall[1:3] == overall[3:5] and overall[5:7] == overall[7:9]
    assert any("trained: 0.0" in line and "6 channels" in line for line in lines)
    assert (tmp_path / "sheet.png").is_file()


def test_what_is_no_codec_is_refused_in_one_line(
    dataset: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["codec", "--codec", str(dataset), "--data", str(dataset)])
    monkeypatch.setattr("benchmarks.codec._painted", lambda *_: pytest.fail("nothing is painted before it is checked"))
    with pytest.raises(SystemExit) as ended:
        run_benchmark(main)
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: codec=") and error.count("\n") == 1
