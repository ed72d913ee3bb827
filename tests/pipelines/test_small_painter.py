"""A painter in a given time: what is refused, what the stages are told, and that a stage ends when its time is over."""

import json
from pathlib import Path

import pytest

from conf.command import PARTIAL
from conf.errors import UserError
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

PARENTS = {stage: Path(f"runs/{stage}") for stage in STAGES}


def test_too_little_time_missing_data_and_folders_of_others_are_refused_and_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--seconds", "20", "--out", str(tmp_path / "new")]) == 2
    assert "--seconds 20: too few" in capsys.readouterr().err and not (tmp_path / "new").exists()
    assert main(["--data", str(tmp_path / "none"), "--out", str(tmp_path / "new")]) == 2
    assert f"{tmp_path / 'none'}: no such folder" in capsys.readouterr().err and not (tmp_path / "new").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("mine")
    with pytest.raises(UserError, match="holds something that is not a painter made by this command"):
        make(tmp_path / "mine", 600, 2, ON_CPU)
    assert (tmp_path / "mine" / "diary.txt").read_text() == "mine"


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
