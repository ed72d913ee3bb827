"""Weights, averages and moments that are not finite reach no checkpoint, from which a run could never go on."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from conf.errors import UserError
from tests.training.toy_runs import finish, log, losses, spawn, train, words
from training.run.checkpoint import newest_sound
from training.run.learner import Learner
from training.run.not_finite import listed
from training.run.run_folder import RunFolder

HUGE = {"optimizer.learning_rate": 1e39}  # infinite in float32, and so is the first update

SPOILT: dict[str, Callable[[Learner], torch.Tensor]] = {
    "weights": lambda learner: learner._trained["last.weight"].data,
    "averaged weights": lambda learner: learner._average.averages["last.weight"],  # type: ignore[union-attr]
    "moments": lambda learner: learner._optimizer.state[learner._trained["last.weight"]]["exp_avg_sq"],
}


@pytest.mark.parametrize("ema_decay", ["0.99", "null"])
@pytest.mark.parametrize("max_steps", [1, 6])
def test_an_update_that_is_not_finite_is_written_nowhere(
    sequences: Path, tmp_path: Path, max_steps: int, ema_decay: str
) -> None:
    out = tmp_path / "run"
    for _ in range(2):  # the same again: there is no checkpoint from which it could not go on
        with pytest.raises(UserError) as caught:
            train(sequences, out, max_steps=max_steps, checkpoint_every=1, ema_decay=ema_decay, **HUGE)
        assert re.fullmatch(
            r"step 1: the weights after it are not finite \(first\.weight and 3 more\); this step was discarded; "
            "there is no checkpoint yet",
            str(caught.value),
        )
        assert sorted(path.name for path in out.iterdir()) == ["log.jsonl", "run.json"]


@pytest.mark.parametrize("what", SPOILT)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_whatever_a_checkpoint_would_hold_is_finite_or_the_last_one_stays(
    sequences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, value: float
) -> None:
    move = Learner.move

    def spoil_at_the_fourth(learner: Learner, step: int) -> float:
        rate = move(learner, step)
        if step == 4:
            SPOILT[what](learner)[0, 0] = value
        return rate

    out = tmp_path / "run"
    monkeypatch.setattr(Learner, "move", spoil_at_the_fourth)
    with pytest.raises(
        UserError, match=rf"^step 4: the {what} after it .*\(last\.weight.*; the last checkpoint is intact"
    ):
        train(sequences, out)
    checkpoint = newest_sound(out / "checkpoints", print)
    assert checkpoint is not None and checkpoint.step == 2
    monkeypatch.undo()
    train(sequences, out)
    train(sequences, tmp_path / "whole")
    assert losses(out) == losses(tmp_path / "whole")


@pytest.mark.nightly
def test_two_processes_end_together_and_one_says_why(sequences: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    code, printed, err = finish(spawn(words(sequences, out, batch_size=2, checkpoint_every=1, **HUGE), ranks=2))
    assert code != 0 and not printed
    (line,) = [line for line in err.splitlines() if line.startswith("error:")]
    assert "step 1: the weights after it are not finite" in line
    assert not (out / "checkpoints").exists()


def test_weights_of_a_checkpoint_that_is_not_finite_are_not_written(
    sequences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    monkeypatch.setattr("training.run.loop.refuse_not_finite", lambda *_: None)  # as earlier versions
    train(sequences, out, max_steps=1, **HUGE)
    (out / "weights").rename(tmp_path / "weights")
    monkeypatch.undo()
    with pytest.raises(UserError, match=r"^step 1: the weights after it are not finite .*; no weights were written$"):
        train(sequences, out, max_steps=1, **HUGE)
    assert not (out / "weights").exists()


def test_a_loss_that_is_not_finite_before_any_checkpoint_says_that_there_is_none(
    sequences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_POISON", f"{sequences.name}/00000007")
    with pytest.raises(UserError, match=r"this step was discarded; there is no checkpoint yet$"):
        train(sequences, tmp_path / "run", checkpoint_every=1000)
    with pytest.raises(UserError, match=r"this step was discarded; the last checkpoint is intact$"):
        train(sequences, tmp_path / "other", batch_size=1, checkpoint_every=1, seed=3)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_line_of_a_log_holds_what_is_not_json(tmp_path: Path, value: float) -> None:
    folder = RunFolder(tmp_path)
    folder.append({"step": 1, "train/loss": 0.5})
    with pytest.raises(ValueError, match="JSON"):
        folder.append({"step": 2, "train/loss": value})
    assert log(tmp_path) == [{"step": 1, "train/loss": 0.5}]


def test_a_log_of_before_with_nan_ends_no_run(sequences: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    train(sequences, out, max_steps=2)
    (out / "weights" / "run_card.json").unlink()
    with (out / "log.jsonl").open("a") as file:
        file.write('{"step": 2, "val/loss": NaN}\n{"step": 2, "val/loss": 1e999}\n')
    train(sequences, out, max_steps=2)
    assert "val/loss" not in json.loads((out / "weights" / "run_card.json").read_text())["curves"]


def test_long_lists_of_names_are_cut() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed(["a", "b", "c"], 1) == "a and 2 more"
