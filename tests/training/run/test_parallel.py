"""Several processes, and several batches a step, are one process with a larger batch."""

from pathlib import Path
from typing import Any

import pytest
import torch

from conf.errors import ConfigError, UserError
from tests.training.toy_runs import finish, losses, spawn, train, words
from training.run import parallel
from training.run.checkpoint import newest_sound
from training.train import main


def _weights(out: Path) -> dict[str, torch.Tensor]:
    checkpoint = newest_sound(out / "checkpoints", print)
    assert checkpoint is not None and checkpoint.step == 6
    moments = checkpoint.state("optimizer")["state"]
    flat = {f"{number} {key}": value for number in moments for key, value in moments[number].items()}
    return {**checkpoint.tensors("trained"), **checkpoint.tensors("average"), **flat}


def _assert_same(one: Path, other: Path) -> None:
    ours, theirs = losses(one), losses(other)
    assert [line.keys() for line in ours] == [line.keys() for line in theirs]
    for mine, its in zip(ours, theirs, strict=True):
        assert mine == pytest.approx(its, rel=1e-5)
    validated, reference = losses(one, "val/"), losses(other, "val/")
    assert validated and [line["step"] for line in validated] == [line["step"] for line in reference]
    for mine, its in zip(validated, reference, strict=True):
        assert mine == pytest.approx(its, rel=1e-5)
    weights, expected = _weights(one), _weights(other)
    assert weights.keys() == expected.keys()
    for name, value in weights.items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-5)


SAID = {"max_steps": 6, "validate_every": 3, "optimizer.learning_rate": 0.01}


@pytest.fixture(scope="module")
def one_process(sequences: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("one") / "run"
    train(sequences, out, batch_size=4, **SAID)
    return out


@pytest.mark.parametrize("distributed", ["ddp", "fsdp2"])
def test_two_processes_are_one_with_twice_the_batch(
    sequences: Path, tmp_path: Path, one_process: Path, distributed: str
) -> None:
    out = tmp_path / "run"
    options = {**SAID, "distributed": distributed, "sample_every": 6}
    code, _, err = finish(spawn(words(sequences, out, batch_size=2, **options), ranks=2))
    assert code == 0 and "deprecated" not in err, err
    _assert_same(out, one_process)


@pytest.mark.nightly
def test_two_processes_that_gather_batches_are_one_with_four_times_the_batch(
    sequences: Path, tmp_path: Path, one_process: Path
) -> None:
    out = tmp_path / "run"
    code, _, err = finish(spawn(words(sequences, out, batch_size=1, accumulate=2, **SAID), ranks=2))
    assert code == 0, err
    _assert_same(out, one_process)


@pytest.mark.parametrize("accumulate", [2, 4])
def test_gathering_batches_is_a_larger_batch(
    sequences: Path, tmp_path: Path, one_process: Path, accumulate: int
) -> None:
    train(sequences, tmp_path / "run", batch_size=4 // accumulate, accumulate=accumulate, **SAID)
    _assert_same(tmp_path / "run", one_process)


@pytest.mark.nightly
def test_sharded_training_goes_on_exactly(sequences: Path, tmp_path: Path, one_process: Path) -> None:
    """A checkpoint holds whole weights and moments, whatever they were sharded over."""
    out = tmp_path / "run"
    options = {**SAID, "distributed": "fsdp2"}
    code, _, err = finish(spawn(words(sequences, out, batch_size=2, **{**options, "max_steps": 3}), ranks=2))
    assert code == 0, err
    code, _, err = finish(spawn(words(sequences, out, batch_size=2, **options), ranks=2))
    assert code == 0, err
    _assert_same(out, one_process)


def test_bad_input_is_one_line_from_one_process(sequences: Path, tmp_path: Path) -> None:
    code, printed, err = finish(spawn(words(sequences, tmp_path / "run", batch_size=7), ranks=2))
    assert code != 0 and not printed
    said = [line for line in err.splitlines() if line.startswith("error:")]
    assert len(said) == 1 and "12 sequences; a step takes 14 (2 processes x batch_size=7)" in said[0]
    assert "exitcode  : 2" in err  # torchrun's own words for it; its own exit code is always 1
    assert not (tmp_path / "run").exists()


def test_several_processes_send_gradients_from_where_they_are_and_no_buffers() -> None:
    handler = parallel.Ranks().accelerator.ddp_handler
    assert handler is not None
    assert handler.to_kwargs() == {"broadcast_buffers": False, "gradient_as_bucket_view": True}


def test_a_graph_of_one_process_is_not_recorded_by_two(
    sequences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "Ranks", _TwoRanks)
    with pytest.raises(ConfigError, match=r"^cuda_graphs=true: not allowed; allowed: false with several processes"):
        train(sequences, tmp_path / "run", cuda_graphs="true")
    assert not (tmp_path / "run").exists()


class _TwoRanks(parallel.Ranks):
    """Stands in for the ranks of a run, as one of two processes sees them."""

    def __init__(self, other: str | None = None) -> None:
        self.rank, self.count, self.gathered_values, self.other = 0, 2, list[Any](), other

    def gathered(self, value: Any) -> list[Any]:
        self.gathered_values.append(value)
        return [value, self.other]

    def wait(self) -> None:
        raise AssertionError("it waits for ranks that may never come")


def _failing_disk() -> None:
    raise OSError(30, "Read-only file system")


def test_whatever_fails_on_one_rank_fails_on_all() -> None:
    here = _TwoRanks()
    with pytest.raises(OSError, match="Read-only"):
        here.agreed(_failing_disk)
    assert here.gathered_values == ["[Errno 30] Read-only file system"]  # the other rank is told
    with pytest.raises(UserError, match="full"):
        _TwoRanks(other="full").agreed(lambda: None)
    assert _TwoRanks().agreed(lambda: 7) == 7


def test_a_rank_that_failed_waits_for_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"WORLD_SIZE": "2", "RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(parallel, "Ranks", _TwoRanks)
    monkeypatch.setattr("sys.argv", ["train", "stage=motion", f"data={tmp_path}", f"out={tmp_path / 'run'}"])
    assert main() == 2
    assert capsys.readouterr().err.count("error: ") == 1


@pytest.mark.parametrize(
    "lost",
    [
        RuntimeError("[/src/gloo/transport/tcp/pair.cc:561] Connection closed by peer [10.0.0.2]:9. This is typical"),
        torch.distributed.DistNetworkError("Connection closed by peer [10.0.0.2]:9"),
    ],
)
def test_a_lost_rank_is_named_in_one_line(lost: RuntimeError) -> None:
    wanted = r"broke \(Connection closed by peer \[10.0.0.2\]:9\)"
    with pytest.raises(UserError, match=wanted), parallel.naming_broken_connections():
        raise lost
    with pytest.raises(RuntimeError, match="shapes"), parallel.naming_broken_connections():
        raise RuntimeError("shapes differ")
