"""No metric may prefer a wrong process to the right one that ends in the same picture."""

import dataclasses
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.evaluation import trial
from pipelines.evaluation.agreement import energy_distances, estimate, halves, weights_of
from pipelines.evaluation.controls import CONTROLS
from pipelines.evaluation.metrics import METRICS, describe
from pipelines.evaluation.process import Process
from pipelines.evaluation.trial import Trial, try_metrics
from tests.pipelines.evaluation.sets import weighted
from tests.pipelines.processes import drawn, drawn_set, paint_scenes, read

few = settings(max_examples=25)
SEED = 0
TOO_FEW = "the reference shows too few pictures to try it on controls: {}, and 4 are needed"
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
    alike = weighted(described["coverage"].vectors, described["coverage"].pictures)
    assert energy_distances(alike, alike)[0] == pytest.approx(0)


def test_a_set_and_what_is_made_from_it_are_compared_pair_by_pair_except_with_their_own() -> None:
    real = np.array([[0.0], [1.0], [5.0]])
    made = real + 0.1
    (gap,) = energy_distances(weighted(made, "abc"), weighted(real, "abc"))
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
    assert three["coverage"].doubt == TOO_FEW.format(3)
    assert three["coverage"].controls["reversed"].value > 0  # known, but by too few to be sure
    alone = try_metrics(once[:1], np.random.SeedSequence(0)).verdicts["coverage"]
    assert alone.value is not None and not alone.controls


def test_many_paintings_of_few_pictures_are_too_few_to_try_metrics_on() -> None:
    """Of two pictures there is only one resample, so any control would rank below with certainty."""
    for num_pictures, paintings in ((1, 4), (3, 2)):
        verdicts = try_metrics(drawn_set(num_pictures, paintings=paintings), np.random.SeedSequence(0)).verdicts
        assert {verdict.doubt for verdict in verdicts.values()} == {TOO_FEW.format(num_pictures)}
        assert (verdicts["coverage"].real is None) == (num_pictures == 1)
        assert verdicts["DTW"].real is not None


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
        pictures = [str(number) for number in range(8)]
        weights = weights_of(pictures, rng)
        gaps = energy_distances(weighted(control, pictures, weights), weighted(real, pictures, weights))
        below += estimate(0.0, gaps[1:], 0).low > 0
    assert below <= 3 if shift == 0 else below >= 57


@few
@given(st.integers(0, 1000), st.integers(4, 20))
def test_halves_divide_a_set_evenly_and_each_differently(seed: int, count: int) -> None:
    one, two = halves([str(number) for number in range(count)], np.random.default_rng(seed))
    assert (one + two == 1).all()
    assert (one.sum(1) == count // 2).all()
    assert one.mean(0) == pytest.approx(np.full(count, (count // 2) / count), abs=0.08)
