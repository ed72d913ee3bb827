"""A painter in a given time: what is refused, what the stages are told, and that a stage ends when its time is over."""

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from conf.command import PARTIAL, Summary
from conf.errors import UserError
from pipelines.painters import small
from pipelines.painters.clock import Clock
from pipelines.painters.small import (
    ON_CPU,
    ON_GPU,
    STAGES,
    Size,
    _config,
    main,
    make,
)
from pipelines.painters.small_judging import held_out_pictures, write_sheet
from pipelines.painters.timed_run import newest_step, run_stage
from tests.pipelines.small_dataset import small_dataset
from tests.training import toy_runs
from training.config import TrainConfig
from training.data import loader

PARENTS = {stage: Path(f"runs/{stage}") for stage in STAGES}


def test_too_little_time_missing_data_and_folders_of_others_are_refused_and_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--seconds", "20", "--out", str(tmp_path / "new")]) == 2
    assert (
        "--seconds 20: not allowed; allowed: 60 or more" in capsys.readouterr().err and not (tmp_path / "new").exists()
    )
    assert main(["--data", str(tmp_path / "none"), "--out", str(tmp_path / "new")]) == 2
    assert f"{tmp_path / 'none'}: no such folder" in capsys.readouterr().err and not (tmp_path / "new").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("mine")
    with pytest.raises(UserError, match="holds something that is not a painter made by this command"):
        make(tmp_path / "mine", 600, 2, ON_CPU)
    assert (tmp_path / "mine" / "diary.txt").read_text() == "mine"


@pytest.mark.parametrize("words", [["--seconds", "nan"], ["--seconds", "inf"], ["--processes", "0"]])
def test_numbers_that_are_none_are_refused(words: list[str], tmp_path: Path) -> None:
    assert main([*words, "--out", str(tmp_path / "new")]) == 2
    assert not (tmp_path / "new").exists()


def test_data_within_the_folder_and_what_others_put_there_are_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    data = small_dataset(out / "data" / "scenes-01", captions=["a"])
    (out / "small_painter.json").write_text("{}")
    (out / "mine.txt").write_text("mine")
    assert main(["--data", str(data), "--out", str(out)]) == 2
    assert f"--data {data}: lies in --out {out}, which is emptied" in capsys.readouterr().err
    assert (data / "dataset.json").exists()

    def fails(*arguments: object) -> None:
        raise UserError("enough")

    monkeypatch.setattr(small, "synthesise", fails)
    assert main(["--out", str(out)]) == 2
    assert not (out / "data").exists() and (out / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("size", [ON_CPU, ON_GPU], ids=["cpu", "gpu"])
@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_is_told_what_it_starts_from(stage: str, size: Size) -> None:
    config = _config(stage, PARENTS, [Path("data/alone-00"), Path("data/scenes-01")], Path("out"), size, 1000)
    assert isinstance(config, TrainConfig) and config.stage.name == stage and config.max_steps == 1000
    starts = {"words": None, "base": PARENTS["words"]}
    assert config.base == starts.get(stage, PARENTS["base"])
    assert config.motion == (PARENTS["motion"] if stage == "replication" else None)
    assert config.optimizer.cooldown_steps == 350 and config.batch_size == size.batches[stage]
    shortened = _config(stage, PARENTS, [Path("data")], Path("out"), size, 10, cooldown=1000)
    assert shortened.optimizer.cooldown_steps == 350  # or the run could not be ended by its own configuration


def test_shares_of_the_time_are_all_of_it() -> None:
    assert sum(STAGES.values()) == pytest.approx(1)


def test_a_trial_is_longer_than_what_workers_have_read_before_it() -> None:
    slow_reading = replace(ON_GPU, num_workers=14)
    assert small._BATCHES_AHEAD == loader._PREFETCHED
    assert slow_reading.trial_steps == 2 * 14 + 12 and ON_CPU.trial_steps == 12
    trial = _config("base", PARENTS, [Path("data")], Path("out"), slow_reading, slow_reading.trial_steps)
    assert trial.num_workers == 14
    assert trial.log_every <= 12  # its last line is of steps that waited


@pytest.mark.parametrize("size", [ON_CPU, ON_GPU], ids=["cpu", "gpu"])
def test_a_stage_whose_trial_fails_with_cuda_graphs_is_trained_without(
    size: Size, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = list[TrainConfig]()

    def run(config: TrainConfig, until_s: float | None = None) -> Summary:
        runs.append(config)
        folder = Path(str(config.out))
        folder.mkdir(parents=True)
        if config.cuda_graphs:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore")
        if size is ON_CPU:
            raise RuntimeError("the disk is full")
        (folder / "log.jsonl").write_text('{"perf/step_s": 0.01}\n')
        return Summary(lines=())

    monkeypatch.setattr(small, "run_stage", run)
    if size is ON_CPU:
        with pytest.raises(RuntimeError, match="disk is full"):
            small._train("words", {}, [Path("data")], tmp_path, size, 10, Clock(100))
        assert len(runs) == 1
        return
    small._train("words", {}, [Path("data")], tmp_path, size, 10, Clock(100))
    assert [config.cuda_graphs for config in runs] == [True, False, False]
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "CUDA graphs" in line)
    assert line.endswith("stage words: without CUDA graphs; its trial with them failed: CUDA error: operation not "
                         "permitted when stream is capturing")  # fmt: skip


def test_a_stage_ends_when_its_time_is_over(tmp_path: Path) -> None:
    captions = [f"picture {number}" for number in range(12)]
    sequences = small_dataset(tmp_path / "pictures", captions=captions, size_px=(16, 16))
    config = toy_runs.config(
        sequences, tmp_path / "run", stage="base", base="null", batch_size=2, max_steps=100_000, log_every=1000,
        **{"model.shape.channels": "[16]", "model.shape.plain_levels": 0, "model.shape.text_width": 16,
           "model.shape.patch_px": 8},
    )  # fmt: skip
    assert run_stage(config, until_s=1.0).exit_code == PARTIAL
    assert 0 <= newest_step(tmp_path / "run") < 100_000


@pytest.mark.parametrize("when", ["training", "before"])
def test_a_stage_that_somebody_stops_ends_the_command(monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    def run(config: object) -> Summary:
        if when == "before":
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)
        return Summary(lines=(), exit_code=PARTIAL)

    monkeypatch.setattr("training.train.run", run)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        run_stage(cast(TrainConfig, None), until_s=60)
    assert signal.getsignal(signal.SIGTERM) is before


def test_pictures_are_named_by_their_sequences_and_a_sheet_has_a_row_for_each(dataset: Path, tmp_path: Path) -> None:
    folder = held_out_pictures(dataset, tmp_path / "pictures", 2)
    names = [path.stem for path in folder.glob("*.png")]
    keys = {
        record["key"]
        for path in (dataset / "shards").glob("val-*.json")
        for record in json.loads(path.read_text())["records"]
    }
    assert names and set(names) <= keys
    for name in names:
        (tmp_path / "painted" / name / "frames").mkdir(parents=True)
        (folder / f"{name}.png").rename(tmp_path / "painted" / name / "frames" / "00.png")
    write_sheet(tmp_path / "painted", tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").stat().st_size > 0
