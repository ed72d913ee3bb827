"""A run folder resumes only its own run, with the data and parents with which it began."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from conf.errors import UserError
from tests.pipelines.small_dataset import small_dataset
from tests.training.toy_runs import log, train
from training.run.run_folder import claimed


def test_a_folder_that_holds_something_else_is_refused(sequences: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UserError, match="holds something that is not a run"):
        train(sequences, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_file_is_no_folder(sequences: Path, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(UserError, match="a folder; this is a file"):
        train(sequences, tmp_path / "run")


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        ({"batch_size": 2}, "batch_size=4, not 2"),
        ({"seed": 1}, "seed=0, not 1"),
        ({"optimizer": "prodigy"}, "a run with optimizer=adamw, not prodigy"),
        ({"stream": "sequential"}, "a run with stream=random, not sequential"),
        ({"stage": "spatial_lora"}, "a run with stage=motion, not spatial_lora"),
        ({"stage": "base", "batch_size": 2}, "a run with stage=motion, not base"),
        ({"noise.min_snr": 5}, "noise.min_snr=null, not 5.0"),
        ({"stage": "base"}, "a run with stage=motion, not base"),
        ({"model": "sd15", "optimizer.learning_rate": 5e-4}, "model=tiny, not sd15"),
        ({"ema_decay": "null"}, "ema_decay=0.999, not null"),
    ],
)
def test_a_run_of_another_configuration_is_refused_by_the_first_key_that_differs(
    sequences: Path, tmp_path: Path, options: dict[str, Any], difference: str
) -> None:
    train(sequences, tmp_path / "run", max_steps=2)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=difference) as told:
        train(sequences, tmp_path / "run", **{"max_steps": 4, **options})
    assert str(told.value).startswith(f"out={tmp_path / 'run'}: ")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_what_does_not_decide_the_weights_may_change(sequences: Path, tmp_path: Path) -> None:
    train(sequences, tmp_path / "run", max_steps=2)
    options = {"checkpoint_every": 1, "keep_checkpoints": 1, "validate_every": 1, "log_every": 2, "num_workers": 1}
    moved = shutil.copytree(sequences, tmp_path / "elsewhere" / sequences.name)
    train(moved, tmp_path / "run", max_steps=4, **options)
    assert max(line["step"] for line in log(tmp_path / "run")) == 4


def test_other_data_under_the_same_name_is_refused(sequences: Path, tmp_path: Path) -> None:
    train(sequences, tmp_path / "run", max_steps=2, base=sequences)
    captions = [f"photo {number}" for number in range(18)]
    other = small_dataset(tmp_path / sequences.name, captions=captions, size_px=(16, 16))
    with pytest.raises(UserError, match=f"a run with other contents of data={sequences.name}"):
        train(other, tmp_path / "run", base=sequences)


def test_a_parent_that_has_changed_is_refused(sequences: Path, tmp_path: Path) -> None:
    parent = tmp_path / "parent"
    parent.mkdir()
    (parent / "model.safetensors").write_bytes(b"one")
    train(sequences, tmp_path / "run", max_steps=2, base=parent)
    (parent / "model.safetensors").write_bytes(b"two")
    with pytest.raises(UserError, match="a run with other weights as base="):
        train(sequences, tmp_path / "run", base=parent)


def test_a_parent_run_that_has_not_ended_is_refused(sequences: Path, tmp_path: Path) -> None:
    train(sequences, tmp_path / "parent", max_steps=2)
    shutil.rmtree(tmp_path / "parent" / "weights")
    with pytest.raises(UserError, match="this run has not ended"):
        train(sequences, tmp_path / "run", base=tmp_path / "parent")


def test_resume_never_and_must_mean_it(sequences: Path, tmp_path: Path) -> None:
    train(sequences, tmp_path / "run", max_steps=2)
    with pytest.raises(UserError, match="a new folder, with resume=never") as told:
        train(sequences, tmp_path / "run", resume="never")
    assert str(told.value).startswith(f"out={tmp_path / 'run'}: ")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    with pytest.raises(UserError, match="no checkpoint to resume from"):
        train(sequences, tmp_path / "run", resume="must")


@pytest.mark.parametrize("version", [None, 1])
def test_a_run_that_drew_other_random_numbers_does_not_go_on_but_is_a_parent(
    sequences: Path, tmp_path: Path, version: int | None
) -> None:
    old = tmp_path / "old"
    train(sequences, old, max_steps=2)
    card = json.loads((old / "run.json").read_text())
    del card["recipe"]["draws"]
    if version is not None:
        card["recipe"]["draws"] = version
    (old / "run.json").write_text(json.dumps(card))
    before = {path: path.read_bytes() for path in old.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match="with other random numbers, and cannot be resumed") as error:
        train(sequences, old, max_steps=4, seed=1)
    assert "\n" not in str(error.value)
    assert {path: path.read_bytes() for path in old.rglob("*") if path.is_file()} == before
    train(sequences, tmp_path / "run", base=old, max_steps=1)


def test_fewer_steps_than_are_done_are_refused(sequences: Path, tmp_path: Path) -> None:
    train(sequences, tmp_path / "run", max_steps=4)
    with pytest.raises(UserError, match="max_steps=3: 4 steps are done already"):
        train(sequences, tmp_path / "run", max_steps=3)


def test_two_runs_cannot_share_a_folder(sequences: Path, tmp_path: Path) -> None:
    with claimed(tmp_path / "run", {}, "auto"), pytest.raises(UserError, match="another run is writing here"):
        train(sequences, tmp_path / "run")


@pytest.mark.parametrize(
    ("stored", "requested", "phrase"),
    [
        ({"stream": {"num_workers": 0}}, {"stream": {"num_workers": 1}}, "with num_workers=0, not 1"),
        ({"stream": {"kind": "sequential"}}, {}, "with stream=sequential, not random"),
        ({"stream": {"processes": 1}}, {"stream": {"processes": 2}}, "with 1 training process, not 2"),
        ({"data": {"weights": [1.0, 2.0]}}, {"data": {"weights": [1.0, 3.0]}},
         "in which data= has weights [1.0,2.0], not [1.0,3.0]"),
        ({"stage": {"lora": {"rank": 4}}}, {"stage": {"lora": None}}, "without stage.lora=null"),
        ({"stage": {"lora": None}}, {"stage": {"lora": {"rank": 4}}}, "with stage.lora=null"),
        ({"batch_size": 1, "model": {"name": "tiny"}}, {"batch_size": 2, "model": {"name": "sd15"}},
         "with model=tiny, not sd15"),
    ],
)  # fmt: skip
def test_what_differs_is_said_by_the_key_that_a_user_types(
    tmp_path: Path, stored: dict[str, Any], requested: dict[str, Any], phrase: str
) -> None:
    with claimed(tmp_path / "run", stored, "auto") as folder:
        folder.write_card({"recipe": stored})
    with (
        pytest.raises(UserError, match=f"holds a run {re.escape(phrase)}$"),
        claimed(tmp_path / "run", requested, "auto"),
    ):
        pass
