"""The settings of whole training runs that come with the package."""

from pathlib import Path

import pytest
import yaml

from conf import CONF_FOLDER
from conf.compose import choices, compose
from conf.errors import UserError
from training.config import train_config

STAGES = [
    (name, stage)
    for name in choices("experiment")
    for stage in yaml.safe_load((CONF_FOLDER / "experiment" / f"{name}.yaml").read_text())["by_stage"]
]


def test_the_experiments_come_with_the_package() -> None:
    assert choices("experiment") == ["artist_lora", "fine", "larger", "manners", "paper", "small", "tiny"]


@pytest.mark.parametrize(("name", "stage"), STAGES)
def test_every_stage_of_an_experiment_is_a_training_run(name: str, stage: str, tmp_path: Path) -> None:
    parents = {
        "codec": ["base=RUN"], "base": ["base=RUN"], "motion": ["base=RUN"],
        "replication": ["base=RUN", "motion=RUN", "replication=RUN"],
        "spatial_lora": ["base=RUN"], "motion_lora": ["base=RUN", "motion=RUN"],
    }.get(stage, [])  # fmt: skip
    overrides = [f"stage={stage}", f"+experiment={name}", "data=DATA", "out=OUT", *parents]
    if name == "paper":
        overrides.remove("base=RUN")
    config = train_config(compose("train", overrides))
    assert config.stage.name == stage
    assert config.max_steps > 0


def test_a_word_wins_over_an_experiment_whatever_their_order() -> None:
    for words in (["max_steps=7", "+experiment=tiny"], ["experiment=tiny", "max_steps=7"]):
        plain = compose("train", ["data=DATA", "out=OUT", "stage=base", *words])
        assert (plain["max_steps"], plain["batch_size"]) == (7, 16)


def test_what_is_set_for_one_stage_does_not_reach_another() -> None:
    base = compose("train", ["data=DATA", "out=OUT", "stage=base", "+experiment=tiny"])
    motion = compose("train", ["data=DATA", "out=OUT", "stage=motion", "+experiment=tiny"])
    assert (base["noise"]["shared"], motion["noise"]["shared"]) == (0.0, 0.8)
    assert "by_stage" not in base


def test_a_stage_that_an_experiment_does_not_have_is_refused() -> None:
    with pytest.raises(UserError, match=r"stage=spatial_lora.*words"):
        compose("train", ["data=DATA", "out=OUT", "stage=spatial_lora", "+experiment=tiny"])


def test_an_experiment_of_ones_own(tmp_path: Path) -> None:
    own = tmp_path / "experiment" / "mine.yaml"
    own.parent.mkdir()
    own.write_text("# @package _global_\n# Mine.\nbatch_size: 3\nby_stage:\n  motion: {max_stepz: 5}\n")
    with pytest.raises(UserError, match=r"by_stage.motion.max_stepz.*max_steps"):
        compose("train", ["data=DATA", "out=OUT", "experiment=mine"], tmp_path)
    own.write_text(own.read_text().replace("max_stepz", "max_steps"))
    plain = compose("train", ["data=DATA", "out=OUT", "experiment=mine"], tmp_path)
    assert (plain["batch_size"], plain["max_steps"]) == (3, 5)
