"""Validation or samples that fail lose no step, and are done once the run goes on: its log is that of no failure."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from conf.errors import UserError
from tests.pipelines.small_dataset import SHARDS
from tests.training.toy import ToyStage
from tests.training.toy_runs import finish, log, losses, spawn, train, words
from training.data.manifest import read_manifest, tar_path
from training.data.stream import DataMixture, SequenceStream
from training.run import samples
from training.run.checkpoint import newest_sound
from training.run.loop import Training
from training.run.parallel import Ranks

PROMPT = {"prompts": "[a]"}  # otherwise captions of the val split are read before the first step
VALIDATION = {**PROMPT, "validate_every": 3, "max_steps": 6, "checkpoint_every": 1000}
HINT = r"\(val split; validate_every=0 trains without one\)$"


@pytest.fixture
def data(sequences: Path, tmp_path: Path) -> Path:
    """A copy of the data set that tests may damage."""
    return shutil.copytree(sequences, tmp_path / sequences.name)


def flip(data: Path, key: str) -> None:
    """Flip a bit of a sequence of the val split; twice repairs it."""
    manifest = read_manifest(data, SHARDS[2])
    assert manifest is not None
    (offset,) = [each.offset for each in manifest.samples if key.endswith(each.key)]
    tar = tar_path(data, SHARDS[2])
    content = bytearray(tar.read_bytes())
    content[offset + 1000] ^= 1
    tar.write_bytes(content)


@pytest.fixture(scope="module")
def key(sequences: Path) -> str:
    """The second sequence of validation, which the second of two processes reads; it is not read before."""
    stream = SequenceStream.open((DataMixture(path=str(sequences)),), split="val")
    with closing(stream.batches(seed=0, batch_size=2)) as batches:
        key = next(batches).keys[1]
    assert not key.endswith("00000012")  # the first of the split is read when it is opened
    return key


def measured(out: Path) -> list[dict[str, Any]]:
    """The log without what depends on the clock."""
    return [{key: line[key] for key in line if not key.startswith("perf/")} for line in log(out)]


def assert_same(out: Path, whole: Path) -> None:
    assert measured(out) == measured(whole)
    assert (out / "weights/toy.safetensors").read_bytes() == (whole / "weights/toy.safetensors").read_bytes()
    assert sorted(path.name for path in out.glob("samples/*")) == sorted(path.name for path in whole.glob("samples/*"))
    one, other = (newest_sound(folder / "checkpoints", print) for folder in (out, whole))
    assert one is not None and other is not None
    for name, value in other.tensors("trained").items():
        assert torch.equal(one.tensors("trained")[name], value)
    assert one.facts["pending"] == []


@pytest.mark.parametrize("validate_every", [3, 6])  # the last step as well
def test_a_damaged_val_split_loses_no_step_and_its_validation_is_done_later(
    sequences: Path, data: Path, key: str, tmp_path: Path, validate_every: int
) -> None:
    out, options = tmp_path / "run", {
        **VALIDATION, "validate_every": validate_every, "sample_every": 6, "base": sequences,
    }  # fmt: skip
    flip(data, key)
    for _ in range(2):  # what was done is not done again
        with pytest.raises(UserError, match=f"{SHARDS[2]}.tar is damaged.*{HINT}"):
            train(data, out, **options)
        checkpoint = newest_sound(out / "checkpoints", print)
        assert checkpoint is not None and checkpoint.step == validate_every
        assert [line["step"] for line in log(out)] == list(range(1, validate_every + 1))
    flip(data, key)
    train(data, out, resume="must", **options)
    train(sequences, tmp_path / "whole", **options)
    assert_same(out, tmp_path / "whole")


def test_a_run_goes_on_without_validation_where_its_val_split_is_damaged(data: Path, key: str, tmp_path: Path) -> None:
    flip(data, key)
    with pytest.raises(UserError, match=HINT):
        train(data, tmp_path / "run", **VALIDATION)
    train(data, tmp_path / "run", **{**VALIDATION, "validate_every": 0})
    assert [line["step"] for line in losses(tmp_path / "run")] == [1, 2, 3, 4, 5, 6]


def test_a_val_split_whose_captions_cannot_be_read_says_how_to_train_without_it(
    data: Path, key: str, tmp_path: Path
) -> None:
    flip(data, key)
    with pytest.raises(UserError, match=f"{SHARDS[2]}.tar is damaged.*{HINT}"):
        train(data, tmp_path / "run", validate_every=3)


class _Killed(BaseException):
    pass


@pytest.mark.parametrize("killed_at_step", [3, 6])
def test_killed_between_a_validation_that_was_pending_and_its_checkpoint_a_run_logs_it_once(
    sequences: Path, data: Path, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at_step: int,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out, options = tmp_path / "run", {**VALIDATION, "validate_every": killed_at_step, "base": sequences}
    flip(data, key)
    with pytest.raises(UserError, match=HINT):
        train(data, out, **options)
    flip(data, key)

    def killed(*_: object) -> None:
        raise _Killed

    monkeypatch.setattr(Training, "_save", killed)
    with pytest.raises(_Killed):
        train(data, out, **options)
    assert [line["step"] for line in losses(out, "val/")] == [killed_at_step]
    monkeypatch.undo()
    train(data, out, **options)
    assert "not what was written" not in capsys.readouterr().err
    train(sequences, tmp_path / "whole", **options)
    assert_same(out, tmp_path / "whole")


@contextmanager
def _samples_that_are_not_finite() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ToyStage, "samples", lambda *_: torch.full((1, 8, 3, 16, 16), torch.nan))
        yield


@contextmanager
def _samples_without_memory() -> Iterator[None]:
    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("out of memory")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ToyStage, "samples", fail)
        yield


@contextmanager
def _samples_on_a_full_disk() -> Iterator[None]:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(samples, "write_atomically", fail)
        yield


FAILURES = {
    r"^samples of step 3: 6144 of 6144 values are not finite \(sample_every=0 trains without samples\)$": (
        _samples_that_are_not_finite
    ),
    "^out of memory$": _samples_without_memory,
    "run/samples: cannot be written: No space left on device$": _samples_on_a_full_disk,
}


@pytest.mark.parametrize("message", FAILURES)
def test_samples_that_fail_lose_no_step_and_are_painted_later(sequences: Path, tmp_path: Path, message: str) -> None:
    out, options = tmp_path / "run", {**VALIDATION, "sample_every": 3}
    with FAILURES[message](), pytest.raises((UserError, torch.OutOfMemoryError), match=message):
        train(sequences, out, **options)
    assert list(out.glob("samples/*")) == []
    checkpoint = newest_sound(out / "checkpoints", print)
    assert checkpoint is not None and checkpoint.step == 3 and checkpoint.facts["pending"] == ["samples"]
    train(sequences, out, **options)
    train(sequences, tmp_path / "whole", **options)
    assert_same(out, tmp_path / "whole")


def test_a_bad_loss_is_not_saved_though_validation_is_due(
    sequences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_POISON", f"{sequences.name}/00000007")
    with pytest.raises(UserError, match="the loss is not finite; sequences"):
        train(sequences, tmp_path / "run", **{**VALIDATION, "log_every": 1000})
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_a_validation_loss_that_is_not_finite_is_one_line_and_never_in_the_log(
    sequences: Path, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    monkeypatch.setenv("TOY_POISON", key)
    for _ in range(2):
        with pytest.raises(UserError, match=f"^step 3: the validation loss is not finite; sequences {key} {HINT}"):
            train(sequences, out, **VALIDATION)
        assert "NaN" not in (out / "log.jsonl").read_text()
    train(sequences, out, **{**VALIDATION, "validate_every": 0})
    assert (out / "weights" / "toy.safetensors").is_file()


def test_damage_that_one_of_two_processes_validates_with_is_named_as_by_a_single_one(
    data: Path, key: str, tmp_path: Path
) -> None:
    flip(data, key)
    options = {**VALIDATION, "batch_size": 1, "val_sequences": 2}
    with pytest.raises(UserError) as caught:
        train(data, tmp_path / "single", **options)
    out = tmp_path / "run"
    code, printed, err = finish(spawn(words(data, out, **options), ranks=2))
    assert code != 0 and not printed
    assert [line for line in err.splitlines() if line.startswith("error:")] == [f"error: {caught.value}"]
    checkpoint = newest_sound(out / "checkpoints", print)
    assert checkpoint is not None and checkpoint.step == 3


class _FirstOfTwoRanks(Ranks):
    """As the first of two processes, of which the other never fails."""

    def __init__(self) -> None:
        super().__init__()
        self.notes = list[object]()

    def gathered(self, value: Any) -> list[Any]:
        self.notes.append(value)
        return [value]


def test_a_log_that_cannot_be_written_ends_all_processes(
    sequences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are told why."""
    ranks = _FirstOfTwoRanks()
    monkeypatch.setattr("training.run.parallel.Ranks", lambda: ranks)
    open_path = Path.open

    def refuse(path: Path, mode: str = "r", *options: Any, **named: Any) -> Any:
        if path.name == "log.jsonl" and mode == "a":
            raise OSError(errno.ENOSPC, "No space left on device")
        return open_path(path, mode, *options, **named)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UserError, match=r"log\.jsonl: cannot be written: No space left on device$") as caught:
        train(sequences, tmp_path / "run")
    assert str(caught.value) in ranks.notes
