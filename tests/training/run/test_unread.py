"""A step leaves its numbers on the device; what is wrong with one is found before anything is made of it."""

import dataclasses
from pathlib import Path

import pytest
import torch

from conf.errors import UserError
from tests.training.toy_runs import finish, log, spawn, train, words
from training.run.checkpoint import newest_sound
from training.run.unread import StepFault, StepOutcome, Unread, first_fault


def outcome(step: int, losses: list[float], norm: float = 1.0) -> StepOutcome:
    return StepOutcome(
        step=step,
        keys=tuple(f"{step}/{number}" for number in range(len(losses))),
        losses=torch.tensor(losses),
        timesteps=torch.arange(len(losses)),
        norm=torch.tensor(norm),
    )


@pytest.mark.parametrize("with_noise", [True, False])
def test_what_is_read_is_what_was_left_to_the_bit(with_noise: bool) -> None:
    unread, steps = Unread(), [outcome(1, [0.1, 1e-30], 3e38), outcome(2, [0.7])]
    for step in steps:
        unread.add(step if with_noise else dataclasses.replace(step, timesteps=None))
    read = unread.read()
    assert not unread
    assert torch.equal(read.losses, torch.cat([step.losses for step in steps]).double())
    assert torch.equal(read.norms, torch.stack([step.norm for step in steps]).double())
    assert read.steps == (1, 2) and read.keys == (("1/0", "1/1"), ("2/0",)) and read.fault is None
    assert (read.timesteps.tolist() if read.timesteps is not None else None) == ([0, 1, 0] if with_noise else None)


def first_of(outcomes: list[StepOutcome]) -> StepFault | None:
    unread = Unread()
    for each in outcomes:
        unread.add(each)
    return unread.read().fault


def test_the_first_bad_step_of_all_ranks_is_named_by_its_losses_where_any_is_bad() -> None:
    nan, inf = float("nan"), float("inf")
    here = [outcome(1, [1, 1]), outcome(2, [1, 1], nan), outcome(3, [nan, nan], nan)]
    elsewhere = [outcome(1, [1, 1]), outcome(2, [1, inf], nan)]
    faults = [first_of(rank) for rank in (here, elsewhere)]
    assert first_fault(faults) == StepFault(step=2, what="the loss", keys=("2/1",))
    assert first_fault([faults[0], None]) == StepFault(step=2, what="the gradient", keys=("2/0", "2/1"))
    assert first_fault([None, None]) is None


@pytest.mark.parametrize("due", [{"checkpoint_every": 4}, {"validate_every": 4}, {"sample_every": 4}])
def test_a_bad_loss_that_nobody_has_read_reaches_neither_checkpoint_nor_validation_nor_sample(
    sequences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, due: dict[str, int]
) -> None:
    """12 sequences in steps of 4: it is met in the first three steps, and a reading is due after the fourth."""
    poison = f"{sequences.name}/00000007"
    monkeypatch.setenv("TOY_POISON", poison)
    options = {"checkpoint_every": 1000, "log_every": 1000, **due}
    with pytest.raises(UserError, match=rf"^step [1-3]: the loss is not finite; sequences {poison}; this step"):
        train(sequences, tmp_path / "run", batch_size=4, max_steps=8, **options)
    assert newest_sound(tmp_path / "run" / "checkpoints", print) is None
    assert log(tmp_path / "run") == [] and not list((tmp_path / "run").glob("samples/*"))
    assert not (tmp_path / "run" / "weights").exists()


def test_a_bad_loss_is_found_in_time_though_no_line_of_the_log_is_due(
    sequences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_POISON", f"{sequences.name}/00000007")
    monkeypatch.setenv("TOY_KEYS", str(tmp_path / "keys"))
    with pytest.raises(UserError, match="the loss is not finite"):
        train(sequences, tmp_path / "run", batch_size=1, max_steps=1000, log_every=1000, checkpoint_every=1000)
    assert len((tmp_path / "keys.0").read_text().splitlines()) <= 101  # and one to count operations


def test_a_bad_loss_on_one_of_two_processes_stops_both_at_the_next_reading(sequences: Path, tmp_path: Path) -> None:
    out, poison = tmp_path / "run", f"{sequences.name}/00000007"
    arguments = words(sequences, out, batch_size=2, log_every=6, max_steps=12, checkpoint_every=1000)
    code, printed, err = finish(spawn(arguments, {"TOY_POISON": poison}, ranks=2))
    assert code != 0 and not printed
    (line,) = [line for line in err.splitlines() if line.startswith("error:")]
    assert f"the loss is not finite; sequences {poison};" in line
    assert newest_sound(out / "checkpoints", print) is None and log(out) == []
