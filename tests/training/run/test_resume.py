"""A run that is killed and resumed equals one that was not; with real processes and signals."""

import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from conf.errors import UserError
from tests.pipelines.small_dataset import small_dataset
from tests.training.toy_runs import finish, kill_at, kill_rank, log, losses, seen, spawn, train, wait_for, words
from training.data.manifest import to_json
from training.data.seal import sealed, sealed_fields
from training.models.painter_parts import Part
from training.models.weights import parent_weights
from training.run.checkpoint import newest_sound
from training.run.loop import Training

STEPS = 10
SLOW, DROPOUT = {"TOY_STEP_S": "0.05"}, {"TOY_DROPOUT": "0.5"}


def _noting(keys: Path) -> dict[str, str]:
    return {"TOY_KEYS": str(keys), **DROPOUT}


def _tensors(out: Path) -> dict[str, torch.Tensor]:
    checkpoint = newest_sound(out / "checkpoints", print)
    assert checkpoint is not None and checkpoint.step == STEPS
    moments = checkpoint.state("optimizer")["state"]
    flat = {f"moment {number} {key}": value for number in moments for key, value in moments[number].items()}
    averages = {f"average {name}": value for name, value in checkpoint.tensors("average").items()}
    return {**checkpoint.tensors("trained"), **averages, **flat}


@pytest.fixture(scope="module")
def uninterrupted(sequences: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 10 steps of 2 samples, with a layer that draws from torch's generator; 12 samples are an epoch."""
    folder = tmp_path_factory.mktemp("whole")
    arguments = words(sequences, folder / "run", max_steps=STEPS, batch_size=2)
    code, _, err = finish(spawn(arguments, _noting(folder / "keys")))
    assert code == 0, err
    return folder


def test_killed_twice_in_one_epoch_a_run_ends_as_if_it_had_not_been(
    sequences: Path, tmp_path: Path, uninterrupted: Path
) -> None:
    out = tmp_path / "run"
    arguments = words(sequences, out, max_steps=STEPS, batch_size=2)
    kill_at(spawn(arguments, SLOW | _noting(tmp_path / "keys")), out, 3)
    kill_at(spawn(arguments, SLOW | _noting(tmp_path / "keys")), out, 5)
    code, _, err = finish(spawn([*arguments, "resume=must"], _noting(tmp_path / "keys")))
    assert code == 0, err
    assert "resuming from step" in err
    assert losses(out) == losses(uninterrupted / "run")
    assert seen(tmp_path / "keys") == seen(uninterrupted / "keys")
    ours, theirs = _tensors(out), _tensors(uninterrupted / "run")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_every_sequence_comes_once_an_epoch(uninterrupted: Path) -> None:
    keys = seen(uninterrupted / "keys")
    assert sorted(keys) == list(range(2 * STEPS))
    assert len({keys[position] for position in range(12)}) == 12


def test_two_processes_killed_and_told_to_stop_end_as_if_they_had_not_been(sequences: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "run"
    options = {"max_steps": STEPS, "batch_size": 1, "checkpoint_every": 2}
    code, printed, err = finish(spawn(words(sequences, whole, **options), _noting(tmp_path / "keys"), ranks=2))
    assert code == 0, err
    assert printed.count("10 steps of stage motion done") == 1  # one process speaks
    arguments = words(sequences, out, **options)
    process = spawn(arguments, SLOW | _noting(tmp_path / "ours"), ranks=2)
    wait_for(process, out, 3)
    kill_rank(process, 1)
    _, _, err = finish(process)
    (error,) = [line for line in err.splitlines() if line.startswith("error:")]
    assert error.startswith("error: the connection to another process of this run broke (")
    assert "[rank0]: Traceback" not in err
    process = spawn([*arguments, "checkpoint_every=1000"], SLOW | _noting(tmp_path / "ours"), ranks=2)
    wait_for(process, out, 5)
    process.send_signal(signal.SIGTERM)
    _, printed, err = finish(process)
    assert "run the same command again to continue" in printed, err
    assert max(path.name for path in (out / "checkpoints").iterdir()) != "step-00000002"
    code, _, err = finish(spawn(arguments, _noting(tmp_path / "ours"), ranks=2))
    assert code == 0, err
    assert losses(out) == losses(whole)
    assert seen(tmp_path / "ours") == seen(tmp_path / "keys")
    ours, theirs = _tensors(out), _tensors(whole)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_told_to_stop_a_run_saves_at_the_next_step_and_says_how_to_go_on(
    sequences: Path, tmp_path: Path, uninterrupted: Path
) -> None:
    out = tmp_path / "run"
    arguments = words(sequences, out, max_steps=STEPS, batch_size=2, checkpoint_every=1000)
    process = spawn(arguments, SLOW | DROPOUT)
    wait_for(process, out, 2)
    process.send_signal(signal.SIGTERM)
    code, printed, err = finish(process)
    assert code == 3, err
    (step,) = [int(path.name[5:]) for path in (out / "checkpoints").iterdir()]
    assert 2 <= step < STEPS
    assert f"stopped at step {step} of {STEPS}; run the same command again to continue" in printed
    assert max(line["step"] for line in log(out)) == step
    code, _, err = finish(spawn(arguments, DROPOUT))
    assert code == 0, err
    assert losses(out) == losses(uninterrupted / "run")


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone", "half"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    sequences: Path, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "run"
    train(sequences, whole, max_steps=6)
    train(sequences, out, max_steps=4)
    newest = out / "checkpoints" / "step-00000004"
    path = newest / "trained.safetensors"
    data = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(data[:-1])
    elif damage == "flipped":
        data[-1] ^= 1
        path.write_bytes(data)
    elif damage == "gone":
        path.unlink()
    else:
        (newest / "checkpoint.json").unlink()
    train(sequences, out, max_steps=6)
    message = capsys.readouterr().err
    assert f"{newest}: damaged" in message and "resuming from step 2 of 6" in message
    assert losses(out) == losses(whole)


def test_a_run_killed_before_its_weights_were_written_writes_them(sequences: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    train(sequences, out, max_steps=2)
    shutil.move(out / "weights", tmp_path / "kept")
    train(sequences, out, max_steps=2)
    assert (out / "weights" / "toy.safetensors").read_bytes() == (tmp_path / "kept" / "toy.safetensors").read_bytes()


def test_a_finished_run_can_be_made_longer(sequences: Path, tmp_path: Path) -> None:
    train(sequences, tmp_path / "whole", max_steps=6, **{"optimizer.warmup_steps": 3})
    for steps in (3, 6):
        train(sequences, tmp_path / "run", max_steps=steps, **{"optimizer.warmup_steps": 3})
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")


def test_a_run_goes_on_exactly_in_the_middle_of_a_line_of_its_log(sequences: Path, tmp_path: Path) -> None:
    train(sequences, tmp_path / "whole", max_steps=8, log_every=4)
    train(sequences, tmp_path / "run", max_steps=8, log_every=4)
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "step-00000008")  # as if it had been killed after step 6
    train(sequences, tmp_path / "run", max_steps=8, log_every=4)
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")
    assert [line["step"] for line in losses(tmp_path / "run")] == [4, 8]


def test_looking_at_samples_and_validation_changes_nothing(sequences: Path, tmp_path: Path) -> None:
    train(sequences, tmp_path / "blind", max_steps=6)
    train(sequences, tmp_path / "seeing", max_steps=6, validate_every=2, sample_every=3)
    assert losses(tmp_path / "seeing") == losses(tmp_path / "blind")
    assert [line["step"] for line in losses(tmp_path / "seeing", "val/")] == [2, 4, 6]
    assert len(list((tmp_path / "seeing" / "samples").iterdir())) == 4


def test_prodigy_goes_on_exactly(sequences: Path, tmp_path: Path) -> None:
    train(sequences, tmp_path / "whole", max_steps=6, optimizer="prodigy")
    train(sequences, tmp_path / "run", max_steps=3, optimizer="prodigy")
    train(sequences, tmp_path / "run", max_steps=6, optimizer="prodigy")
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")


@pytest.mark.parametrize("place", ["", "samples", "checkpoints"])
@pytest.mark.parametrize(
    "name", [".weights.77-0123abcd.tmp", ".weights.77-0123abcd.old.tmp", ".log.jsonl.77-0123abcd.tmp"]
)
def test_whatever_a_killed_run_left_anywhere_is_swept(sequences: Path, tmp_path: Path, place: str, name: str) -> None:
    out = tmp_path / "run"
    train(sequences, out, max_steps=2)
    left = out / place / name
    if "weights" in name:
        left.mkdir(parents=True)
        (left / "toy.safetensors").write_bytes(b"half")
    else:
        left.parent.mkdir(exist_ok=True)
        left.write_bytes(b"half")
    train(sequences, out, max_steps=4)
    assert not left.exists()


def test_a_log_that_is_not_what_was_written_is_told_of(
    sequences: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    train(sequences, out, max_steps=2)
    train(sequences, out, max_steps=4)
    assert "not what was written" not in capsys.readouterr().err
    lines = (out / "log.jsonl").read_text().splitlines(keepends=True)
    lines[1] = lines[1].replace('"train/loss": ', '"train/loss": 1')
    for damaged in ("", "".join(lines), "".join(lines[:-1])):
        (out / "log.jsonl").write_text(damaged)
        train(sequences, out, max_steps=4)
        assert f"{out / 'log.jsonl'}: not what was written" in capsys.readouterr().err


def test_a_run_that_is_made_longer_does_not_look_finished_until_it_is(
    sequences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, seen_weights = tmp_path / "run", list[bool]()
    train(sequences, out, max_steps=2)
    earlier = (out / "weights" / "toy.safetensors").read_bytes()
    monkeypatch.setattr(Training, "run", lambda _: seen_weights.append((out / "weights").exists()))
    train(sequences, out, max_steps=2)  # is finished, and stays so
    train(sequences, out, max_steps=4)
    assert seen_weights == [True, False]
    assert f"{out / 'weights'}: kept as earlier-weights until all 4 steps are done" in capsys.readouterr().err
    with pytest.raises(UserError, match=f"base={out}: this run has not ended.*, or take {out / 'earlier-weights'}"):
        parent_weights("base", out)
    assert (out / "earlier-weights" / "toy.safetensors").read_bytes() == earlier
    monkeypatch.undo()
    train(sequences, out, max_steps=4)
    assert parent_weights("base", out) == out / "weights" and not (out / "earlier-weights").exists()
    assert (out / "weights" / "toy.safetensors").read_bytes() != earlier


def test_weights_stay_where_they_are_when_a_longer_run_is_refused(sequences: Path, tmp_path: Path) -> None:
    train(sequences, tmp_path / "run", max_steps=2)
    for options in ({"batch_size": 2}, {"seed": 1}):
        with pytest.raises(UserError):
            train(sequences, tmp_path / "run", max_steps=4, **options)
    assert (tmp_path / "run" / "weights" / "toy.safetensors").is_file()


def test_a_run_without_a_sound_checkpoint_says_that_it_begins_anew_and_keeps_its_log(
    sequences: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    train(sequences, out, max_steps=4)
    log_before = (out / "log.jsonl").read_bytes()
    assert "no sound checkpoint" not in capsys.readouterr().err
    for number in range(2):
        for path in out.glob("checkpoints/step-*/trained.safetensors"):
            path.write_bytes(b"")
        train(sequences, out, max_steps=4)
        assert f"{out / 'checkpoints'}: no sound checkpoint is left; starting at step 0" in capsys.readouterr().err
        assert (out / ("earlier-log.jsonl" + ("-1" if number else ""))).is_file()
    assert (out / "earlier-log.jsonl").read_bytes() == log_before
    assert [line["step"] for line in losses(out)] == [1, 2, 3, 4]


def test_data_sets_are_known_by_what_they_hold_and_not_by_the_names_of_their_folders(
    sequences: Path, tmp_path: Path
) -> None:
    train(sequences, tmp_path / "whole", max_steps=4)
    train(sequences, tmp_path / "run", max_steps=2)
    moved = shutil.copytree(sequences, tmp_path / "another name")
    train(moved, tmp_path / "run", base=sequences, max_steps=4)
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")
    assert (tmp_path / "run/weights/toy.safetensors").read_bytes() == (
        tmp_path / "whole/weights/toy.safetensors"
    ).read_bytes()
    other = small_dataset(tmp_path / "other", captions=[f"photo {number}" for number in range(18)], size_px=(16, 16))
    with pytest.raises(
        UserError, match="a run with data=another name, which is none of the data sets that data= names"
    ):
        train(other, tmp_path / "run", base=sequences, max_steps=6)


def test_data_sets_in_another_order_are_refused(sequences: Path, tmp_path: Path) -> None:
    other = small_dataset(tmp_path / "other", captions=[f"photo {number}" for number in range(18)], size_px=(16, 16))
    out, orders = tmp_path / "run", [f"[{sequences},{other}]", f"[{other},{sequences}]"]
    train(sequences, out, data=orders[0], max_steps=2)
    with pytest.raises(UserError, match=rf"a run with data=\[{sequences.name}, other\], in this order"):
        train(sequences, out, data=orders[1], max_steps=4)
    train(sequences, out, data=orders[0], max_steps=4)
    fields = sealed_fields((out / "run.json").read_bytes())
    del fields["data"]["order"]  # as runs of before
    (out / "run.json").write_bytes(sealed(to_json(fields)))
    train(sequences, out, data=orders[0], max_steps=6)


def test_a_base_of_another_name_is_the_same_base(sequences: Path, tmp_path: Path) -> None:
    options = {"model": "sd15", "base": "null", "optimizer.learning_rate": 1e-3}
    folder = tmp_path / "sd"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"one")
    train(sequences, tmp_path / "run", max_steps=2, **{**options, "model.path": folder})
    renamed = folder.rename(tmp_path / "renamed")
    train(sequences, tmp_path / "run", max_steps=3, **{**options, "model.path": renamed})
    (renamed / "model.safetensors").write_bytes(b"two")
    with pytest.raises(UserError, match=r"a run with other weights as model\.path="):
        train(sequences, tmp_path / "run", max_steps=4, **{**options, "model.path": renamed})


def test_a_base_that_a_run_did_not_read_is_no_parent_and_may_change(sequences: Path, tmp_path: Path) -> None:
    out, unread = tmp_path / "run", tmp_path / "unread"
    unread.mkdir()
    (unread / "model.safetensors").write_bytes(b"one")
    given: dict[str, Any] = {"model": "sd15", "base": sequences, "optimizer.learning_rate": 1e-3}
    train(sequences, out, max_steps=2, **{**given, "model.path": unread})
    fields = sealed_fields((out / "run.json").read_bytes())
    recipe = fields["recipe"]
    assert recipe["parents"].keys() == {"base"} and recipe["model"]["path"] is None
    recipe["model"]["path"], recipe["parents"]["model"] = unread.name, "hash"  # as runs of before
    assert Part(key="motion", weights=out, hash="", card=fields).parents.keys() == {"base"}
    for steps, path in enumerate((unread, tmp_path / "gone", "a/name-on-the-hub"), start=3):
        (out / "run.json").write_bytes(sealed(to_json(fields)))
        train(sequences, out, max_steps=steps, **{**given, "model.path": path})
    with pytest.raises(UserError, match=r"a run with other weights as base="):
        train(sequences, out, max_steps=9, **{**given, "model.path": unread, "base": "null"})
