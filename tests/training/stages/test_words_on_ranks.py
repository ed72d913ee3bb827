"""Stage `words` on several ranks: the samples of all are each other's negatives, as in one process."""

from pathlib import Path
from typing import cast

import pytest
import torch
from torch import Tensor

from tests.training.models.small_base import small_base
from tests.training.stages.outcomes import mean_gradients
from tests.training.stages.runs import SMALL, train
from tests.training.stages.test_words_stage import SHAPE, swatches
from tests.training.toy_runs import finish, losses, spawn, words
from training.data.batch import SequenceBatch
from training.models.tiny.words import WordsNetwork
from training.models.weights import trained_parameters
from training.stages import AllRows, ComparesSamples, own_rows

_NUM_RANKS = 2


def words_network() -> WordsNetwork:
    torch.manual_seed(0)
    return WordsNetwork(small_base(shape=SHAPE), (16, 16), further=True)


def part_of(batch: SequenceBatch, rank: int) -> SequenceBatch:
    """The samples of one rank."""
    size = len(batch) // _NUM_RANKS
    own = slice(rank * size, (rank + 1) * size)
    return SequenceBatch(
        keys=batch.keys[own],
        positions=batch.positions[own],
        captions=batch.captions[own],
        frames=cast(Tensor, batch.frames)[own],
    )


def gradients(network: WordsNetwork) -> list[Tensor]:
    return [cast(Tensor, parameter.grad).clone() for parameter in trained_parameters(network).values()]


def noting(noted: list[Tensor]) -> AllRows:
    """Gives a rank its own rows, and notes them."""

    def all_rows(rows: Tensor) -> tuple[Tensor, int]:
        noted.append(rows)
        return own_rows(rows)

    return all_rows


def giving(gathered: list[Tensor], rank: int) -> AllRows:
    """Gives a rank those rows, one tensor at each call."""
    upcoming = iter(gathered)
    return lambda rows: (next(upcoming), rank * len(rows))


def test_the_mean_over_ranks_that_see_all_samples_is_the_loss_of_the_whole_batch() -> None:
    """Losses and gradients, without processes: rows of the other rank are taken from a forward pass of its own."""
    network, batch = words_network(), swatches()
    whole = network(batch)
    whole.loss.backward()
    expected = gradients(network)
    network.zero_grad()

    rows_of_ranks: list[list[Tensor]] = [[], []]  # of each rank its pictures and its captions
    for rank, rows_of_rank in enumerate(rows_of_ranks):
        network.all_rows = noting(rows_of_rank)
        network(part_of(batch, rank))
    gathered = [torch.cat(parts) for parts in zip(*rows_of_ranks, strict=True)]
    results = []
    for rank in range(_NUM_RANKS):
        network.all_rows = giving(gathered, rank)
        results.append(network(part_of(batch, rank)))
    torch.testing.assert_close(torch.cat([result.per_sample for result in results]), whole.per_sample)
    loss = (results[0].loss + results[1].loss) / _NUM_RANKS
    loss.backward()
    torch.testing.assert_close(loss, whole.loss)
    for ours, theirs in zip(gradients(network), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_held_out_samples_are_compared_on_their_own_rank() -> None:
    """A rank that stops at a damaged sequence would leave the others waiting."""

    def refuse(rows: Tensor) -> tuple[Tensor, int]:
        raise AssertionError("waits for other ranks")

    network = words_network()
    assert isinstance(network, ComparesSamples)
    network.all_rows = refuse
    with pytest.raises(AssertionError, match="waits"):
        network(swatches())
    assert network.eval()(swatches()).per_sample.shape == (len(swatches()),)


@pytest.mark.parametrize("distributed", ["ddp", pytest.param("fsdp2", marks=pytest.mark.nightly)])
def test_two_processes_are_one_with_twice_the_batch(sequences: Path, tmp_path: Path, distributed: str) -> None:
    options = {"stage": "words", "base": "null", "max_steps": 1, "validate_every": 1, "val_sequences": 3}
    arguments = words(sequences, tmp_path / "two", **{**SMALL, **options, "batch_size": 4, "distributed": distributed})
    code, _, err = finish(spawn(arguments, ranks=_NUM_RANKS, module="training.train"))
    assert code == 0, err
    train(sequences, tmp_path / "one", **options, batch_size=8)
    (two,), (one,) = losses(tmp_path / "two"), losses(tmp_path / "one")
    assert two["train/loss"] == pytest.approx(one["train/loss"], rel=1e-5)
    assert losses(tmp_path / "two", "val/")
    # Not the weights: Adam takes a whole step wherever a gradient is mere rounding.
    expected = mean_gradients(tmp_path / "one")
    assert max(float(each.abs().max()) for each in expected) > 1e-3
    for ours, theirs in zip(mean_gradients(tmp_path / "two"), expected, strict=True):
        assert (ours - theirs).abs().max() < 1e-5
