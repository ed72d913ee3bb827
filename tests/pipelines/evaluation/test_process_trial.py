"""No metric may prefer a wrong process to the right one that ends in the same picture."""

import dataclasses
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.evaluation import trial
from pipelines.evaluation.agreement import energy_distances, estimate, halves, mean_estimate, resampled, weights_of
from pipelines.evaluation.controls import CONTROLS
from pipelines.evaluation.metrics import METRICS, describe
from pipelines.evaluation.process import Process
from pipelines.evaluation.trial import Trial, try_metrics
from tests.pipelines.processes import drawn, drawn_set, paint_scenes, read

few = settings(max_examples=25)
SEED = 0
BLIND = {
    ("bare canvas", "cross-fade"),  # which covers everything at once, as a wash does
    ("kept edges", "random reveal"),  # strokes revise most edges of their first state, too
}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> list[Process]:
    """Scenes that no metric was designed on, in two media, each painted four times."""
    return read(paint_scenes(tmp_path_factory.mktemp("scenes"), 18))


@pytest.fixture(scope="module")
def tried(scenes: list[Process]) -> Trial:
    return try_metrics(scenes, np.random.SeedSequence(SEED))


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize("metric", [metric.name for metric in METRICS])
def test_every_process_metric_ranks_every_control_below_real_paintings(tried: Trial, metric: str, control: str) -> None:
    verdict = tried.verdicts[metric]
    assert verdict.real is not None
    if (metric, control) in BLIND:
        return
    assert control not in (verdict.doubt or "")
    assert verdict.controls[control].value > verdict.real.value


def test_a_metric_that_cannot_see_the_way_is_in_doubt_and_the_controls_are_named(scenes: list[Process]) -> None:
    def finished(process: Process, references: object, siblings: object) -> tuple[np.ndarray, float]:
        return process.lab[-1].mean((0, 1)).astype(np.float64), 0.0

    blind = dataclasses.replace(METRICS[0], name="finished colour", describe=finished)
    with mock.patch.object(trial, "METRICS", (blind,)), mock.patch("pipelines.evaluation.metrics.METRICS", (blind,)):
        verdict = try_metrics(scenes, np.random.SeedSequence(SEED)).verdicts["finished colour"]
    assert verdict.doubt == "does not rank cross-fade and random reveal and blur to sharp below real processes"


def test_real_ones_are_at_no_distance_from_themselves_and_their_halves_vary_around_it(tried: Trial) -> None:
    for metric in METRICS:
        real = tried.verdicts[metric.name].real
        assert real is not None
        assert metric.paired or (real.value == pytest.approx(0, abs=1e-9) and real.low < 0 < real.high)


def test_the_same_seed_gives_the_same_verdicts_in_whatever_order_the_set_is_read() -> None:
    one, two = (try_metrics(each, np.random.SeedSequence(SEED)) for each in (drawn_set(2), drawn_set(2)[::-1]))
    assert one.verdicts == two.verdicts


def test_no_control_is_judged_by_the_process_that_it_was_made_from() -> None:
    references = drawn_set(2, paintings=2)
    made = [one.altered(one.frames) for one in references]  # as near by birth as can be
    described = describe(made, references, made_from=references)
    assert described["DTW"].values.min() > 0  # by the other painting of the picture
    alone = describe(made[:1], references[:1], made_from=references[:1])
    assert len(alone["DTW"]) == 0
    vectors, weights = described["coverage"].vectors, np.ones((1, 4))
    assert energy_distances(vectors, vectors, weights, weights, made_from_reference=True)[0] == pytest.approx(0)


def test_a_set_and_what_is_made_from_it_are_compared_pair_by_pair_except_with_their_own() -> None:
    real = np.array([[0.0], [1.0], [5.0]])
    made = real + 0.1
    (gap,) = energy_distances(made, real, np.ones((1, 3)), np.ones((1, 3)), made_from_reference=True)
    across = np.mean([abs(made[i] - real[j]) for i in range(3) for j in range(3) if i != j])
    among = np.mean([abs(real[i] - real[j]) for i in range(3) for j in range(3) if i != j])
    assert gap == pytest.approx(2 * across - 2 * among)


def test_what_cannot_be_tried_is_in_doubt_and_says_why() -> None:
    once = [drawn(number, picture=number) for number in range(6)]
    doubts = {name: verdict.doubt for name, verdict in try_metrics(once, np.random.SeedSequence(0)).verdicts.items()}
    for name in ("DTW", "region IoU", "order agreement", "diversity"):
        assert doubts[name] == "cannot be tried on controls: no picture is painted twice in the reference"
    assert doubts["distance profile"] is None
    three = try_metrics(once[:3], np.random.SeedSequence(0)).verdicts
    assert three["coverage"].doubt == "3 references are too few to try it on controls; 4 at least"
    assert three["coverage"].controls["reversed"].value > 0  # known, but by too few to be sure
    alone = try_metrics(once[:1], np.random.SeedSequence(0)).verdicts["coverage"]
    assert alone.value is not None and not alone.controls


def test_eleven_references_are_enough_to_believe_most_metrics() -> None:
    """As many as an artist may have; halves of them told 3 of 12 apart."""
    references = [drawn(number, picture=number) for number in range(11)]
    tried = try_metrics(references, np.random.SeedSequence(0))
    believed = [name for name, verdict in tried.verdicts.items() if verdict.doubt is None]
    assert len(believed) >= 6, {name: verdict.doubt for name, verdict in tried.verdicts.items()}


@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_a_control_that_is_no_other_than_the_real_ones_seldom_ranks_below_them_and_another_does(shift: float) -> None:
    """Of 60 trials with 8 references; a test at 95 % may be wrong in three."""
    below = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        real, control = rng.normal(size=(8, 2)), rng.normal(size=(8, 2)) + shift
        weights = weights_of([str(number) for number in range(8)], rng)
        gaps = energy_distances(control, real, weights, weights, made_from_reference=True)
        below += estimate(0.0, gaps[1:], 0).low > 0
    assert below <= 3 if shift == 0 else below >= 57


@few
@given(st.integers(0, 1000), st.integers(2, 6), st.integers(2, 6))
def test_energy_distance_is_twice_the_gap_less_what_each_set_differs_in_itself(seed: int, n: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    one, two = rng.normal(size=(n, 3)), rng.normal(size=(m, 3))

    def mean(pairs: list[tuple[np.ndarray, np.ndarray]]) -> float:
        return float(np.mean([np.abs(a - b).mean() for a, b in pairs]))

    expected = (
        2 * mean([(a, b) for a in one for b in two])
        - mean([(a, b) for i, a in enumerate(one) for j, b in enumerate(one) if i != j])
        - mean([(a, b) for i, a in enumerate(two) for j, b in enumerate(two) if i != j])
    )
    (found,) = energy_distances(one, two, np.ones((1, n)), np.ones((1, m)))
    assert found == pytest.approx(expected)


def test_energy_distance_is_nothing_on_average_for_one_population_and_grows_with_a_shift() -> None:
    rng = np.random.default_rng(0)

    def gap(shift: float) -> float:
        return float(
            energy_distances(rng.normal(size=(9, 2)) + shift, rng.normal(size=(9, 2)), *[np.ones((1, 9))] * 2)[0]
        )

    gaps = [np.mean([gap(shift) for _ in range(200)]) for shift in (0.0, 0.5, 1.0, 2.0)]
    assert abs(gaps[0]) < 0.03
    assert (np.diff(gaps) > 0).all()


@few
@given(st.integers(0, 1000), st.integers(4, 20))
def test_halves_divide_a_set_evenly_and_each_differently(seed: int, count: int) -> None:
    one, two = halves(count, np.random.default_rng(seed))
    assert (one + two == 1).all()
    assert (one.sum(1) == count // 2).all()
    assert one.mean(0) == pytest.approx(np.full(count, (count // 2) / count), abs=0.08)


@few
@given(st.integers(0, 1000), st.integers(2, 9), st.integers(1, 4))
def test_a_resample_takes_all_paintings_of_a_picture_or_none(seed: int, pictures: int, paintings: int) -> None:
    names = [f"picture {number}" for number in range(pictures) for _ in range(paintings)]
    weights = resampled(names, np.random.default_rng(seed), least=2).reshape(-1, pictures, paintings)
    assert (weights == weights[..., :1]).all()
    assert (weights[..., 0].sum(1) == pictures).all()
    assert ((weights[..., 0] > 0).sum(1) >= 2).all()


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    held = []
    for _ in range(200):
        one = mean_estimate(rng.normal(3.0, 1.0, 30), [str(number) for number in range(30)], rng)
        held.append(one.low <= 3.0 <= one.high)
    assert 0.88 <= np.mean(held) <= 0.99


def test_many_paintings_of_few_pictures_do_not_make_an_interval_narrow() -> None:
    pictures = np.random.default_rng(2).normal(size=8)
    one = mean_estimate(pictures, [str(n) for n in range(8)], np.random.default_rng(0))
    ten = mean_estimate(pictures.repeat(10), [str(n) for n in range(8) for _ in range(10)], np.random.default_rng(0))
    assert ten.high - ten.low == pytest.approx(one.high - one.low, rel=0.15)
    assert ten.count == 80
