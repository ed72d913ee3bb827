"""Distances of sets are 0 on average for the same painters, whichever pictures they paint, and however often."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.evaluation.agreement import (
    Estimate,
    WeightedSet,
    differences_within,
    energy_distances,
    estimate,
    halves,
    joint_weights,
    mean_estimate,
    resampled,
    weights_of,
)  # fmt: skip
from pipelines.evaluation.distance import DISTANCE_METRICS, MEAN, distance_to_painters
from pipelines.evaluation.metrics import Description, describe
from pipelines.evaluation.process import Process
from tests.pipelines.evaluation.sets import weighted
from tests.pipelines.processes import drawn, drawn_set

few = settings(max_examples=25)
NUM_TRIALS = 60
OF_ONE_PICTURE = 0.3
"""Deviation of paintings of one picture from each other; 1 is that of pictures."""


@dataclass(frozen=True, kw_only=True)
class Design:
    """Two sets of pictures, and how often each is painted."""

    num_pictures: int
    paintings: int = 1
    same_pictures: bool = False

    def sets(self, rng: np.random.Generator, shift: float = 0.0) -> tuple[WeightedSet, WeightedSet]:
        """A set whose vectors are shifted, and a reference."""
        names = [f"picture {number}" for number in range(2 * self.num_pictures)]
        own = rng.normal(size=(2 * self.num_pictures, 2))
        first = 0 if self.same_pictures else self.num_pictures
        shown = [
            [place for place in range(begin, begin + self.num_pictures) for _ in range(self.paintings)]
            for begin in (first, 0)
        ]
        ours, theirs = ([names[place] for place in places] for places in shown)
        weights = joint_weights(ours, theirs, rng)
        vectors = [own[places] + OF_ONE_PICTURE * rng.normal(size=(len(places), 2)) for places in shown]
        return weighted(vectors[0] + shift, ours, weights[0]), weighted(vectors[1], theirs, weights[1])

    def gaps(self, shift: float = 0.0) -> list[Estimate]:
        """Of many pairs of sets."""
        pairs = (self.sets(np.random.default_rng(seed), shift) for seed in range(NUM_TRIALS))
        return [estimate(gaps[0], gaps[1:], 0) for gaps in (energy_distances(*pair) for pair in pairs)]


DESIGNS = [
    Design(num_pictures=6, same_pictures=True),
    Design(num_pictures=18, same_pictures=True),
    Design(num_pictures=6, paintings=4, same_pictures=True),
    Design(num_pictures=9),
    Design(num_pictures=9, paintings=4),
    Design(num_pictures=6, paintings=4),
]


@pytest.mark.parametrize("design", DESIGNS, ids=str)
def test_the_same_painters_are_at_no_distance_on_average_and_intervals_seldom_exclude_it(design: Design) -> None:
    gaps = design.gaps()
    values = [gap.value for gap in gaps]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(NUM_TRIALS)
    assert sum(gap.low > 0 or gap.high < 0 for gap in gaps) <= 0.1 * NUM_TRIALS


@pytest.mark.parametrize("design", DESIGNS, ids=str)
def test_other_painters_are_found_by_whole_intervals(design: Design) -> None:
    found = [gap.low > 0 for gap in design.gaps(shift=3.0)]
    assert np.mean(found) > 0.9


def test_painters_of_the_same_pictures_are_told_apart_by_less_than_pictures_differ() -> None:
    """Pictures drawn apart for both sets made intervals that found none of these."""
    gaps = Design(num_pictures=12, same_pictures=True).gaps(shift=0.6)
    assert np.mean([gap.low > 0 for gap in gaps]) > 0.9


def test_the_unit_of_distances_is_how_far_pictures_are_apart_however_often_each_is_painted() -> None:
    """Not how far paintings of one picture are, which made the unit smaller with each of them."""
    units = [
        np.mean(
            [
                differences_within(Design(num_pictures=6, paintings=paintings).sets(np.random.default_rng(seed))[1])[0]
                for seed in range(200)
            ]
        )
        for paintings in (1, 4)
    ]
    assert units[0] == pytest.approx(units[1], rel=0.03)


@few
@given(st.integers(0, 1000), st.lists(st.sampled_from("abcd"), min_size=2, max_size=7),
       st.lists(st.sampled_from("cdef"), min_size=2, max_size=7))  # fmt: skip
def test_energy_distance_is_twice_the_gap_less_what_each_set_differs_in_itself_by_pairs_of_pictures(
    seed: int, ours: list[str], theirs: list[str]
) -> None:
    rng = np.random.default_rng(seed)
    vectors = [rng.normal(size=(len(pictures), 3)) for pictures in (ours, theirs)]
    drawn_often = [rng.integers(0, 3, len(pictures)) for pictures in (ours, theirs)]

    def mean(one: int, two: int) -> float:
        """As in a set that holds a copy of each painting for each time that it was drawn."""
        copies = [
            [(pictures[place], vectors[side][place]) for place in np.arange(len(pictures)).repeat(drawn_often[side])]
            for side, pictures in ((one, (ours, theirs)[one]), (two, (ours, theirs)[two]))
        ]
        pairs = [np.abs(a - b).mean() for p, a in copies[0] for q, b in copies[1] if p != q]
        return float(np.mean(pairs)) if pairs else float("nan")

    expected = 2 * mean(0, 1) - mean(0, 0) - mean(1, 1)
    sets = [
        weighted(vectors[side], pictures, drawn_often[side][None].astype(np.float64))
        for side, pictures in enumerate((ours, theirs))
    ]
    (found,) = energy_distances(*sets)
    assert found == pytest.approx(expected, nan_ok=True)


def test_a_painting_more_of_a_picture_does_not_move_a_set_away() -> None:
    """Exact copies, the extreme: paintings of one picture that do not differ."""
    once, reference = Design(num_pictures=5).sets(np.random.default_rng(0))
    twice = replace(
        once,
        vectors=once.vectors.repeat(2, 0),
        pictures=np.repeat(once.pictures, 2).tolist(),
        weights=once.weights.repeat(2, 1),
    )
    assert energy_distances(twice, reference) == pytest.approx(energy_distances(once, reference))


def test_a_set_of_one_picture_has_no_distance() -> None:
    def of(*pictures: str) -> dict[str, Description]:
        vectors = np.arange(len(pictures), dtype=np.float64)[:, None]
        return dict.fromkeys(DISTANCE_METRICS, Description(vectors=vectors, values=vectors[:, 0], pictures=pictures))

    rng = np.random.default_rng(0)
    assert np.isnan(energy_distances(weighted(np.eye(2), "aa"), weighted(np.eye(2), "bc"))).all()
    assert distance_to_painters(of("a", "a", "a"), of("b", "c"), rng) == {}
    assert distance_to_painters(of("b", "c"), of("a", "a", "a"), rng) == {}
    few_of_many = distance_to_painters(of("a", "b"), of(*"abcdefgh"), rng)  # many resamples hold only one of them
    assert np.isfinite([few_of_many[MEAN].low, few_of_many[MEAN].high]).all()


def test_what_was_made_from_real_processes_paints_their_pictures_whatever_it_is_called() -> None:
    def of(values: np.ndarray, names: str) -> dict[str, Description]:
        return dict.fromkeys(DISTANCE_METRICS, Description(vectors=values, values=values[:, 0], pictures=list(names)))

    real = np.array([[0.0], [1.0], [5.0]])
    found = [
        distance_to_painters(
            of(real + 0.1, names), of(real, "abc"), np.random.default_rng(0), made_from_real=made_from_real
        )[MEAN]
        for names, made_from_real in (("abc", False), ("xyz", True), ("xyz", False))
    ]
    assert found[0] == found[1] != found[2]


def test_pictures_of_both_sets_are_drawn_for_both_as_often() -> None:
    ours, theirs = weights_by_picture(list("aabcd"), list("cddxyz"))
    for name in "cd":
        assert (ours[name] == theirs[name]).all()

    apart = list("aabc"), list("xyzz")
    rng = np.random.default_rng(0)
    for weights, names in zip(joint_weights(apart[0], apart[1], np.random.default_rng(0)), apart, strict=True):
        assert (weights == weights_of(names, rng)).all()


def weights_by_picture(one: Sequence[str], two: Sequence[str]) -> list[dict[str, np.ndarray]]:
    weights = joint_weights(one, two, np.random.default_rng(0))
    return [dict(zip(names, each.T, strict=True)) for names, each in zip((one, two), weights, strict=True)]


def test_a_picture_has_one_name_in_both_sets_by_whatever_they_are_paired() -> None:
    """By source, by caption, by name; without any, each process shows a picture of its own."""
    references = [*drawn_set(2, paintings=1), replace(drawn(7), caption="")]
    ours = [
        drawn(50, picture=0),
        replace(drawn(51), source=None, caption="fields picture 1"),
        replace(drawn(52), source=None, caption="fields picture 1"),
        replace(drawn(7), source="hash"),
        replace(drawn(53, picture=None), source="hash"),
        drawn(54),
        drawn(55),
    ]  # fmt: skip
    assert pictures(ours, references) == [
        "picture 0", "picture 1", "picture 1", "drawn 7", "drawn 7", "drawn 54", "drawn 55",
    ]  # fmt: skip
    assert pictures(references, references) == ["picture 0", "picture 1", "drawn 7"]


def pictures(processes: list[Process], references: list[Process]) -> list[str]:
    return list(describe(processes, references)["coverage"].pictures)


@few
@given(st.integers(0, 1000), st.integers(4, 9), st.integers(1, 4))
def test_halves_divide_pictures_with_all_their_paintings(seed: int, num_pictures: int, paintings: int) -> None:
    names = [f"picture {number}" for number in range(num_pictures)] * paintings
    for half in halves(names, np.random.default_rng(seed)):
        by_picture = half.reshape(-1, paintings, num_pictures)
        assert (by_picture == by_picture[:, :1]).all()
        assert set(by_picture[:, 0].sum(1)) <= {num_pictures // 2, num_pictures - num_pictures // 2}


@few
@given(st.integers(0, 1000), st.integers(2, 9), st.integers(1, 4))
def test_a_resample_takes_all_paintings_of_a_picture_or_none(seed: int, num_pictures: int, paintings: int) -> None:
    names = [f"picture {number}" for number in range(num_pictures) for _ in range(paintings)]
    weights = resampled(names, np.random.default_rng(seed), least=2).reshape(-1, num_pictures, paintings)
    assert (weights == weights[..., :1]).all()
    assert (weights[..., 0].sum(1) == num_pictures).all()
    assert ((weights[..., 0] > 0).sum(1) >= 2).all()


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    held = []
    for _ in range(200):
        one = mean_estimate(rng.normal(3.0, 1.0, 30), [str(number) for number in range(30)], rng)
        held.append(one.low <= 3.0 <= one.high)
    assert 0.88 <= np.mean(held) <= 0.99


def test_many_paintings_of_few_pictures_do_not_make_an_interval_narrow() -> None:
    values = np.random.default_rng(2).normal(size=8)
    one = mean_estimate(values, [str(n) for n in range(8)], np.random.default_rng(0))
    ten = mean_estimate(values.repeat(10), [str(n) for n in range(8) for _ in range(10)], np.random.default_rng(0))
    assert ten.high - ten.low == pytest.approx(one.high - one.low, rel=0.15)
    assert ten.count == 80
