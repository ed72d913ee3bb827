"""No metric is believed that prefers a wrong way to the right picture."""

import dataclasses
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.evaluation import trial
from pipelines.evaluation.agreement import energy_distances, mean_estimate, resampled
from pipelines.evaluation.controls import CONTROLS
from pipelines.evaluation.metrics import METRICS
from pipelines.evaluation.process import Process
from pipelines.evaluation.trial import Verdict, halves, try_metrics
from tests.pipelines.processes import drawn, drawn_set, paint_scenes, read

few = settings(max_examples=25)
SEED = 0


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> list[Process]:
    """Scenes that no metric was designed on, in three media, each painted four times."""
    return read(paint_scenes(tmp_path_factory.mktemp("scenes"), 18))


@pytest.fixture(scope="module")
def verdicts(scenes: list[Process]) -> dict[str, Verdict]:
    return try_metrics(scenes, np.random.SeedSequence(SEED))


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize("metric", [metric.name for metric in METRICS])
def test_every_process_metric_ranks_every_control_below_real_paintings(
    verdicts: dict[str, Verdict], metric: str, control: str
) -> None:
    verdict = verdicts[metric]
    assert verdict.reason is None and verdict.real is not None
    assert verdict.controls[control].value > verdict.real.value


def test_a_metric_that_cannot_see_the_way_is_dropped_and_the_reason_names_the_controls(scenes: list[Process]) -> None:
    def finished(process: Process, references: object, siblings: object) -> tuple[np.ndarray, float]:
        return process.lab[-1].mean((0, 1)).astype(np.float64), 0.0

    blind = dataclasses.replace(METRICS[0], name="finished colour", describe=finished)
    with mock.patch.object(trial, "METRICS", (blind,)), mock.patch("pipelines.evaluation.metrics.METRICS", (blind,)):
        verdict = try_metrics(scenes, np.random.SeedSequence(SEED))["finished colour"]
    assert verdict.reason == "does not rank cross-fade and random reveal and blur to sharp below real processes"


def test_the_two_halves_of_the_references_agree(verdicts: dict[str, Verdict]) -> None:
    for metric in METRICS:
        real = verdicts[metric.name].real
        assert real is not None
        assert metric.paired or real.low <= 0 <= real.high


def test_the_same_seed_gives_the_same_verdicts_in_whatever_order_the_set_is_read() -> None:
    one, two = (try_metrics(each, np.random.SeedSequence(SEED)) for each in (drawn_set(2), drawn_set(2)[::-1]))
    assert one == two


def test_paintings_of_one_picture_fall_into_both_halves() -> None:
    known, held_out = halves(drawn_set(3))
    sources = {f"picture {number}" for number in range(3)}
    assert {process.source for process in known} == {process.source for process in held_out} == sources
    assert not {process.name for process in known} & {process.name for process in held_out}


def test_what_cannot_be_tried_is_dropped_and_says_why() -> None:
    once = [drawn(number, picture=number) for number in range(10)]
    reasons = {name: verdict.reason for name, verdict in try_metrics(once, np.random.SeedSequence(0)).items()}
    assert reasons["DTW"] == "cannot be tried on controls: no picture is painted twice in the reference"
    assert reasons["diversity"] == "cannot be tried on controls: no picture is painted four times in the reference"
    too_few = try_metrics(once[:7], np.random.SeedSequence(0))
    assert {verdict.reason for verdict in too_few.values()} == {
        "7 references are too few to try it on controls; 8 at least"
    }


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
