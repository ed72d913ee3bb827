"""What the plan of a run promises, whatever the source, the weights and the sizes."""

import hashlib
import tracemalloc
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conf.errors import UserError
from pipelines.sources.scenes.source import ScenesSource
from pipelines.sources.source import SourceEntry
from pipelines.synthesis.plan import Plan, deal, in_val, make_plan
from training.data.layout import MOST_SEQUENCES, is_shard_name

WEIGHTS = st.lists(st.integers(1, 1000), min_size=1, max_size=12)
PLANS = st.builds(
    lambda pictures, weights, count, size, share: make_plan(entries(pictures), weights, count, size, share),
    st.integers(1, 40),
    st.lists(st.floats(0.01, 100.0), min_size=1, max_size=4),
    st.none() | st.integers(1, 120),
    st.none() | st.integers(1, 50),
    st.sampled_from([0.0, 0.02, 0.3, 0.9]),
)


def entries(count: int) -> list[SourceEntry]:
    return [
        SourceEntry(id=f"p{number}", sha256=hashlib.sha256(b"%d" % number).hexdigest(), locator=str(number))
        for number in range(count)
    ]


@given(PLANS)
def test_every_sequence_is_in_one_shard_and_no_other(plan: Plan) -> None:
    planned = [sequence for shard in plan.shards() for sequence in shard.sequences]
    assert sorted(sequence.index for sequence in planned) == list(range(plan.num_sequences))


@given(PLANS)
def test_keys_are_unique_without_dots_and_sort_like_indices(plan: Plan) -> None:
    planned = sorted((s for shard in plan.shards() for s in shard.sequences), key=lambda sequence: sequence.index)
    keys = [sequence.key for sequence in planned]
    assert keys == sorted(set(keys))
    assert not any("." in key for key in keys)


@given(PLANS)
def test_no_picture_stands_in_both_splits(plan: Plan) -> None:
    splits: dict[str, set[str]] = {"train": set(), "val": set()}
    for shard in plan.shards():
        splits[shard.split] |= {sequence.entry.sha256 for sequence in shard.sequences}
    assert not splits["train"] & splits["val"]


@given(PLANS)
def test_shards_are_named_in_order_and_full_but_for_the_last_of_a_split(plan: Plan) -> None:
    shards = list(plan.shards())
    assert tuple(shard.name for shard in shards) == plan.shard_names
    assert all(is_shard_name(shard.name) and shard.name.startswith(shard.split) for shard in shards)
    for one, two in pairwise(shards):
        if one.split == two.split:
            assert len(one.sequences) == plan.shard_size
            assert two.first_index == one.first_index + plan.shard_size
    assert all(1 <= len(shard.sequences) <= plan.shard_size for shard in shards)


@given(st.integers(1, 30), st.integers(1, 4), st.floats(0.01, 9.0))
def test_without_a_number_every_picture_meets_every_renderer_once(pictures: int, renderers: int, weight: float) -> None:
    plan = make_plan(entries(pictures), [weight] + [1.0] * (renderers - 1), None, None, 0.1)
    pairs = [(s.entry.id, s.renderer) for shard in plan.shards() for s in shard.sequences]
    assert len(pairs) == len(set(pairs)) == pictures * renderers


@given(st.integers(1, 20), st.integers(1, 100))
def test_with_a_number_pictures_come_in_order_and_again_from_the_first(pictures: int, count: int) -> None:
    plan = make_plan(entries(pictures), [1.0, 2.0], count, None, 0.1)
    planned = sorted((s for shard in plan.shards() for s in shard.sequences), key=lambda sequence: sequence.index)
    assert [sequence.entry.locator for sequence in planned] == [str(index % pictures) for index in range(count)]


@given(st.integers(1, 20), st.lists(st.integers(1, 9), min_size=2, max_size=4))
def test_a_picture_that_comes_again_meets_all_renderers_in_their_shares(pictures: int, weights: list[int]) -> None:
    rounds = sum(weights)
    plan = make_plan(entries(pictures), weights, pictures * rounds, None, 0.0)
    met = np.zeros((pictures, len(weights)), int)
    for shard in plan.shards():
        for sequence in shard.sequences:
            met[int(sequence.entry.locator), sequence.renderer] += 1
    # Any stretch of a deal is less than two turns from its share, as each of its ends is less than one.
    assert np.abs(met - np.array(weights)).max() < 2
    if len(set(weights)) == 1:
        assert (met == weights[0]).all()


@given(WEIGHTS, st.integers(1, 300))
@settings(max_examples=300)
def test_a_deal_never_leaves_anybody_a_turn_from_their_share(weights: list[int], count: int) -> None:
    turns = deal(weights, count)
    had = np.cumsum(np.eye(len(weights))[turns], axis=0)
    shares = np.arange(1, count + 1)[:, None] * (np.array(weights) / sum(weights))
    assert np.abs(had - shares).max() < 1 + 1e-9


def test_a_deal_of_many_uneven_weights_keeps_its_promise() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        weights = rng.exponential(size=40) ** 3 + 1e-6
        had = np.cumsum(np.eye(40)[deal(list(weights), 1000)], axis=0)
        shares = np.arange(1, 1001)[:, None] * (weights / weights.sum())
        assert np.abs(had - shares).max() < 1 + 1e-9


@pytest.mark.parametrize(("planned", "size"), [(1, 4), (24, 4), (128, 4), (129, 5), (3200, 100), (100_000, 256)])
def test_shards_are_a_32nd_of_the_run_but_neither_tiny_nor_huge(planned: int, size: int) -> None:
    assert make_plan(entries(3), [1.0], planned, None, 0.0).shard_size == size


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5])
def test_the_held_out_share_of_pictures_is_as_asked(share: float) -> None:
    held_out = np.mean([in_val(entry.sha256, share) for entry in entries(4000)])
    assert abs(held_out - share) <= 4 * np.sqrt(share * (1 - share) / 4000)


def test_a_picture_keeps_its_split_when_the_source_grows() -> None:
    small, large = (make_plan(entries(count), [1.0], None, None, 0.3) for count in (50, 80))
    in_small = {s.entry.id: shard.split for shard in small.shards() for s in shard.sequences}
    in_large = {s.entry.id: shard.split for shard in large.shards() for s in shard.sequences}
    assert in_small.items() <= in_large.items()


def test_a_plan_keeps_a_few_bytes_of_a_sequence_and_resuming_computes_none_that_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def asked(*_: object) -> SourceEntry:
        raise AssertionError("no caption is needed to plan")

    monkeypatch.setattr(ScenesSource, "entry", asked)
    monkeypatch.setattr("pipelines.synthesis.plan._BLOCK", 1_000)
    peaks = []
    for count in (5_000, 50_000):
        tracemalloc.start()
        plan = make_plan(ScenesSource().index(count), [1.0, 2.0], count, 256, 0.05)
        assert list(plan.shards(made=plan.shard_names)) == []
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 20 * 45_000


def test_many_computed_pictures_are_described_by_their_formula_and_few_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = ScenesSource(seed=3)
    monkeypatch.setattr("pipelines.synthesis.plan._MOST_READ", 4)

    def fingerprint(source: ScenesSource, count: int) -> str:
        return make_plan(source.index(count), [1.0], count, None, 0.0).fingerprint()

    assert fingerprint(source, 4) == make_plan(list(source.index(4)), [1.0], 4, None, 0.0).fingerprint()
    many = [fingerprint(source, 5), fingerprint(source, 6), fingerprint(ScenesSource(seed=4), 5)]
    many += [fingerprint(replace(source, kinds=("boat",)), 5), fingerprint(replace(source, alone=True), 5)]
    monkeypatch.setattr(ScenesSource, "entry", None)
    assert len(set(many)) == 5 and fingerprint(source, 5) == many[0]


def test_weights_too_large_to_be_added_up_are_dealt_by_their_relation() -> None:
    assert deal([1e308, 1e308], 8).tolist() == deal([1, 1], 8).tolist() == [0, 1] * 4
    assert deal([1e308, 5e307], 99).tolist() == deal([2, 1], 99).tolist()


def test_more_sequences_than_a_data_set_holds_are_refused_whether_said_or_counted() -> None:
    pictures = ScenesSource(num_pictures=MOST_SEQUENCES).index(None)
    assert make_plan(pictures, [1.0], None, None, 0.0).num_sequences == MOST_SEQUENCES
    with pytest.raises(UserError, match=r"100000000 pictures, each by 2 renderers, .*; allowed: at most 100000000"):
        make_plan(pictures, [1.0, 1.0], None, None, 0.0)
    assert make_plan(pictures, [1.0, 1.0], 10, None, 0.0).num_sequences == 10


def test_another_picture_caption_or_licence_is_another_fingerprint() -> None:
    entry = SourceEntry(id="a", sha256="ab" * 32, locator="a", caption="c", licence="l")
    changed = [
        SourceEntry(id="b", sha256=entry.sha256, locator="a", caption="c", licence="l"),
        SourceEntry(id="a", sha256="cd" * 32, locator="a", caption="c", licence="l"),
        SourceEntry(id="a", sha256=entry.sha256, locator="a", caption="d", licence="l"),
        SourceEntry(id="a", sha256=entry.sha256, locator="a", caption="c", licence=None),
        SourceEntry(id="a", sha256=entry.sha256, locator="a", caption="c", licence="l", fault="a.txt: not UTF-8"),
    ]
    prints = {make_plan([each], [1.0], None, None, 0.0).fingerprint() for each in [entry, *changed]}
    assert len(prints) == 6
    moved = SourceEntry(id="a", sha256=entry.sha256, locator="elsewhere", caption="c", licence="l")
    assert make_plan([moved], [1.0], None, None, 0.0).fingerprint() in prints
