"""The order of whole shards in turn: every sequence once an epoch, each lane its own, the same wherever it begins."""

import pickle
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data import sequential
from training.data.order import rank_positions
from training.data.sequential import SequentialOrder, through_buffer


def order_of(
    sizes: Sequence[int], *, batch_size: int = 4, world_size: int = 1, num_readers: int = 1, seed: int = 0
) -> SequentialOrder:
    return SequentialOrder(
        seed=seed, shard_sizes=(np.array(sizes),), shares=(1000,), batch_size=batch_size, world_size=world_size,
        num_readers=num_readers,
    )  # fmt: skip


def shard_of(sizes: Sequence[int], index: int) -> int:
    return int(np.searchsorted(np.cumsum(sizes), index, side="right"))


@settings(max_examples=20)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=12),
    world_size=st.integers(1, 3),
    num_readers=st.integers(1, 3),
    batch_size=st.integers(1, 5),
)
def test_every_lane_goes_through_its_shards_and_all_lanes_through_all(
    sizes: list[int], world_size: int, num_readers: int, batch_size: int
) -> None:
    order = order_of(sizes, world_size=world_size, num_readers=num_readers, batch_size=batch_size)
    lanes: dict[int, list[int]] = {}
    steps = 3 * num_readers * -(-sum(sizes) // batch_size) + 3
    for step in range(steps):
        for rank in range(world_size):
            positions = rank_positions(0, step, batch_size=batch_size, rank=rank, world_size=world_size)
            lane = rank * num_readers + step % num_readers
            lanes.setdefault(lane, []).extend(order.at(position)[1] for position in positions)
    count = world_size * num_readers
    epochs: list[Counter[int]] = [Counter() for _ in range(3)]
    for lane, indices in lanes.items():
        at = 0
        for epoch in range(3):
            mine = order._shards(0, lane, epoch)
            size = sum(sizes[shard] for shard in mine)
            part = indices[at : at + size]
            assert {shard_of(sizes, index) for index in part} <= set(mine.tolist())
            epochs[epoch].update(part)
            at += size
    assert count >= 1 and all(epoch == Counter(range(sum(sizes))) for epoch in epochs)


def test_an_order_begun_in_the_middle_or_sent_elsewhere_is_the_same() -> None:
    sizes = [7, 3, 8, 5, 9, 4]
    order = order_of(sizes, world_size=2, num_readers=2)
    whole = [order.at(position) for position in range(400)]
    for start in (1, 16, 200, 399):
        again = pickle.loads(pickle.dumps(order))
        assert [again.at(position) for position in range(start, 400)] == whole[start:]
    assert whole != [order_of(sizes, world_size=2, num_readers=2, seed=1).at(position) for position in range(400)]


@given(count=st.integers(0, 60), size=st.integers(1, 70))
def test_a_shuffle_buffer_lets_everything_through_and_nothing_much_too_early(count: int, size: int) -> None:
    mixed = through_buffer(count, size, np.random.default_rng(0))
    assert sorted(mixed.tolist()) == list(range(count))
    assert all(number - place <= size for place, number in enumerate(mixed.tolist()))
    if size == 1:
        assert mixed.tolist() == list(range(count))


def test_few_shards_are_needed_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequential, "BUFFER", 20)
    sizes = [10] * 30
    order = order_of(sizes)
    shards = [shard_of(sizes, order.at(position)[1]) for position in range(300)]
    spans = [max(at for at, s in enumerate(shards) if s == shard) - shards.index(shard) for shard in range(30)]
    assert np.mean(spans) < 60
    dataset, following = order.soon(0, 2)[0]
    assert dataset == 0 and shards.index(following) > 0


def test_data_sets_of_a_mixture_have_their_shares() -> None:
    order = SequentialOrder(
        seed=0, shard_sizes=(np.array([5] * 4), np.array([3] * 7)), shares=(750, 250), batch_size=4, world_size=1,
        num_readers=2,
    )  # fmt: skip
    turns = Counter(order.at(position)[0] for position in range(2000))
    assert turns == {0: 1500, 1: 500}
