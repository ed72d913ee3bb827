"""The order of the stream: a pure function of (seed, position), fair to every sequence, rank and data set."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.order import ROUND, StreamOrder, rank_positions, shares_of, summable

SEEDS = st.integers(0, 2**63 - 1)
SIZES = st.integers(1, 300)
WEIGHTS = st.lists(st.floats(0.05, 20.0), min_size=1, max_size=6)


def alone(seed: int, size: int) -> StreamOrder:
    return StreamOrder(seed=seed, sizes=(size,), shares=(ROUND,))


@given(SEEDS, SIZES, st.integers(0, 10**6))
def test_every_sequence_comes_once_an_epoch(seed: int, size: int, epoch: int) -> None:
    order = alone(seed, size)
    seen = [order.at(position)[1] for position in range(epoch * size, (epoch + 1) * size)]
    assert sorted(seen) == list(range(size))


@given(
    size=st.integers(1, 60), batch=st.integers(1, 7), world=st.integers(1, 8),
    stops=st.lists(st.integers(0, 12), max_size=3),
)  # fmt: skip
def test_stopped_and_resumed_at_any_steps_with_any_ranks_every_sequence_comes_once_an_epoch(
    size: int, batch: int, world: int, stops: list[int]
) -> None:
    """Each leg of the run begins where the one before ended; the legs together cover whole epochs."""
    order, position, seen = alone(7, size), 0, []
    for steps in [*stops, -(-2 * size // (batch * world))]:
        for step in range(steps):
            for rank in range(world):
                seen += [
                    order.at(place)[1]
                    for place in rank_positions(position, step, batch_size=batch, rank=rank, world_size=world)
                ]
        position += steps * batch * world
    for epoch in range(len(seen) // size):
        assert sorted(seen[epoch * size : (epoch + 1) * size]) == list(range(size))


@given(st.integers(0, 10**9), st.integers(0, 1000), st.integers(1, 16), st.integers(1, 64))
def test_ranks_of_a_step_take_what_one_rank_with_their_batches_together_takes(
    start: int, step: int, batch: int, world: int
) -> None:
    together = rank_positions(start, step, batch_size=batch * world, rank=0, world_size=1)
    parts = [rank_positions(start, step, batch_size=batch, rank=rank, world_size=world) for rank in range(world)]
    assert [position for part in parts for position in part] == list(together)
    assert {len(part) for part in parts} == {batch}


@given(WEIGHTS, st.data())
def test_in_every_round_each_data_set_has_its_share_of_turns(weights: list[float], data: st.DataObject) -> None:
    shares = shares_of(weights)
    assert sum(shares) == ROUND
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share - ROUND * weight / sum(weights)) < 1
    order = StreamOrder(seed=3, sizes=(5,) * len(weights), shares=shares)
    number = data.draw(st.integers(0, 10**6))
    turns = Counter(order.at(position)[0] for position in range(number * ROUND, (number + 1) * ROUND))
    assert [turns[dataset] for dataset in range(len(weights))] == list(shares)


@given(st.lists(st.integers(1, 40), min_size=2, max_size=4), st.data())
def test_in_a_mixture_every_data_set_goes_through_all_its_sequences_before_any_comes_again(
    sizes: list[int], data: st.DataObject
) -> None:
    weights = [data.draw(st.floats(0.1, 10.0)) for _ in sizes]
    order = StreamOrder(seed=11, sizes=tuple(sizes), shares=shares_of(weights))
    seen: list[list[int]] = [[] for _ in sizes]
    for position in range(1500):  # into the second round
        dataset, sequence = order.at(position)
        seen[dataset].append(sequence)
    for size, own in zip(sizes, seen, strict=True):
        for epoch in range(len(own) // size):
            assert sorted(own[epoch * size : (epoch + 1) * size]) == list(range(size))


def test_epochs_and_seeds_are_shuffled_differently() -> None:
    order, other = alone(0, 100), alone(1, 100)
    first, second = ([order.at(start + place)[1] for place in range(100)] for start in (0, 100))
    assert first != second and first != sorted(first)
    assert first != [other.at(place)[1] for place in range(100)]


def test_the_order_of_a_seed_never_changes() -> None:
    """A run that was begun with one version of this code goes on with the next."""
    assert [alone(5, 10).at(position)[1] for position in range(10)] == GOLDEN_ALONE
    mixed = StreamOrder(seed=5, sizes=(3, 4), shares=(250, 750))
    assert [mixed.at(position) for position in range(8)] == GOLDEN_MIXED


GOLDEN_ALONE = [9, 6, 4, 8, 3, 0, 1, 5, 2, 7]
GOLDEN_MIXED = [(1, 2), (1, 1), (0, 2), (1, 0), (1, 3), (0, 0), (0, 1), (1, 0)]


@pytest.mark.parametrize(
    ("weights", "shares"), [([1.0], (1000,)), ([1, 1, 1], (334, 333, 333)), ([9999, 1], (1000, 0))]
)
def test_weights_become_thousandths(weights: list[float], shares: tuple[int, ...]) -> None:
    assert shares_of(weights) == shares


@pytest.mark.parametrize("scale", [1e308, 1e-308, 5e-324])
def test_weights_of_any_size_count_by_their_relation_alone(scale: float) -> None:
    assert shares_of([scale, scale]) == (500, 500)
    assert shares_of([scale] * 3) == (334, 333, 333)


@given(st.lists(st.floats(0.001, 1000.0), min_size=1, max_size=12), st.integers(-900, 900))
def test_shares_are_what_they_were_before_weights_were_scaled(weights: list[float], exponent: int) -> None:
    """Streams that were begun with one version of this code go on with the next: powers of two round nothing."""
    exact = ROUND * np.asarray(weights, float) / np.sum(weights)
    scaled = summable(weights)
    assert (ROUND * scaled / np.sum(scaled)).tolist() == exact.tolist()
    assert shares_of(weights) == shares_of([math.ldexp(weight, exponent) for weight in weights])


def test_of_many_equal_weights_the_first_get_what_is_left_over() -> None:
    assert shares_of([1.0] * 300) == (4,) * 100 + (3,) * 200
