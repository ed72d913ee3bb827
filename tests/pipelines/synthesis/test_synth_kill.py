"""Killed at any moment, in any of its processes, and run again: the data set is the same to the byte."""

import random
import time
from pathlib import Path

import pytest

from tests.pipelines.real_runs import RealRun, RealRuns, num_committed, real_runs
from tests.pipelines.runs import assert_same, contents, rows, synth
from training.data.dataset import read_card

# Forty shards, each long enough to be killed within.
WORDS = ("renderer=bezier", "renderer.num_strokes=300", "size=64", "num_sequences=80", "shard_size=2", "num_workers=2")
INLINE = (*WORDS, "cluster=inline")
RAY = (*WORDS, "cluster=local")
MIX = (
    "renderer=mix", "size=64", "num_sequences=40", "shard_size=2",
    *(f"renderer.members.{name}.num_strokes=100" for name in ("bezier", "oil", "ink", "studio")),
)  # fmt: skip


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data set of a run that nobody killed."""
    out = tmp_path_factory.mktemp("untouched") / "out"
    assert synth(*INLINE, f"out={out}") == 0
    return out


def num_shards(untouched: Path) -> int:
    return len(read_card(untouched).shards)


class Killings:
    """Kills runs of one data set, and checks that each kill met a run at work."""

    def __init__(self, out: Path, total: int, rng: random.Random) -> None:
        self.out, self.total, self.rng = out, total, rng
        self.made = 0

    def wait_for_a_moment(self, run: RealRun, before: int, most: int) -> bool:
        """Wait for a random number of further commits and then somewhere into the next; False if the run ended."""
        goal = min(before + self.rng.randint(1, most), self.total - 2)
        if not run.wait_until_committed(goal):
            return False
        time.sleep(self.rng.uniform(0.0, 0.15))
        return run.is_going()

    def note(self) -> None:
        """One more kill; of a run that had done something and had something left to do."""
        assert 0 < num_committed(self.out) < self.total
        self.made += 1


def test_a_run_killed_again_and_again_ends_in_the_same_data_set(untouched: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    killings = Killings(out, num_shards(untouched), random.Random(1))
    with real_runs(tmp_path / "log") as runs:
        for _ in range(4):
            run = runs.start(out, INLINE)
            assert killings.wait_for_a_moment(run, num_committed(out), most=4)
            run.kill_driver()
            killings.note()
        assert runs.start(out, INLINE).finish() == 0
    assert killings.made == 4
    assert_same(contents(out), contents(untouched))


def test_a_run_killed_before_its_first_shard_ends_in_the_same_data_set(untouched: Path, tmp_path: Path) -> None:
    """Kills while modules load, the plan is made, the folder is claimed: moments by the clock, not by commits."""
    out, rng = tmp_path / "out", random.Random(2)
    with real_runs(tmp_path / "log") as runs:
        for latest_s in (0.5, 1.0, 1.5, 2.0):
            run = runs.start(out, INLINE)
            time.sleep(rng.uniform(latest_s - 0.5, latest_s))
            assert run.is_going()
            run.kill_group()
        assert runs.start(out, INLINE).finish() == 0
    assert_same(contents(out), contents(untouched))


@pytest.mark.parametrize(
    ("killed", "lost"),
    [
        ("ray::RuntimeEnvAgent", "raylet"),  # which ends with its agents; they fail by themselves on a machine too busy
        pytest.param("raylet", "raylet", marks=pytest.mark.nightly),
        pytest.param("gcs_server", "gcs_server", marks=pytest.mark.nightly),
    ],
)
def test_a_ray_that_lost_a_process_is_named_and_the_same_command_goes_on(
    untouched: Path, tmp_path: Path, killed: str, lost: str
) -> None:
    pytest.importorskip("ray")
    out = tmp_path / "out"
    with real_runs(tmp_path / "log") as runs:
        run = runs.start(out, RAY)
        assert run.wait_until_committed(2)
        run.kill_service(killed)
        assert run.finish() == 2
        errors = [line for line in (tmp_path / "log").read_text().splitlines() if line.startswith("error: ")]
        assert errors == [
            f"error: cluster=local: {lost}, a process of Ray, has ended; run the same command again to continue"
        ]
        assert runs.writers_after(20.0) == []
        assert runs.start(out, INLINE).finish() == 0
    assert_same(contents(out), contents(untouched))


@pytest.mark.nightly
def test_killed_workers_drivers_and_groups_of_ray_end_in_the_same_data_set(untouched: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    out = tmp_path / "out"
    killings = Killings(out, num_shards(untouched), random.Random(3))
    with real_runs(tmp_path / "log") as runs:
        run = runs.start(out, RAY)
        for _ in range(2):  # the driver goes on without its workers
            assert killings.wait_for_a_moment(run, num_committed(out), most=3)
            assert run.kill_worker()
            killings.note()
        assert killings.wait_for_a_moment(run, num_committed(out), most=3)
        assert run.busy_workers()
        run.kill_driver()
        killings.note()

        run = runs.start(out, RAY)  # at once, while workers of the first may still be about
        assert killings.wait_for_a_moment(run, num_committed(out), most=5)
        run.kill_group()
        killings.note()

        run = runs.start(out, RAY)
        assert killings.wait_for_a_moment(run, num_committed(out), most=5)
        assert run.kill_worker()
        killings.note()
        assert run.finish() == 0, (tmp_path / "log").read_text()  # a lost worker is retried, and no failure
        assert runs.writers_after(20.0) == []
    assert killings.made == 5
    assert_same(contents(out), contents(untouched))


def test_a_killed_mix_of_all_stroke_renderers_ends_in_the_same_data_set(tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert synth(*MIX, "cluster=inline", f"out={whole}") == 0
    assert {"bezier", "oil", "ink"} <= {row["renderer"] for row in rows(whole / "samples.parquet")}
    killings = Killings(out, num_shards(whole), random.Random(4))
    with real_runs(tmp_path / "log") as runs:
        for _ in range(3):
            run = runs.start(out, (*MIX, "cluster=inline"))
            assert killings.wait_for_a_moment(run, num_committed(out), most=4)
            run.kill_driver()
            killings.note()
        assert runs.start(out, (*MIX, "cluster=inline")).finish() == 0
    assert killings.made == 3
    assert_same(contents(out), contents(whole))


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_fifty_kills_at_random_end_in_the_same_data_set(untouched: Path, tmp_path: Path) -> None:
    rng = random.Random(time.time_ns())
    seed = rng.getrandbits(32)
    print(f"seed {seed}")  # shown when the test fails
    rng = random.Random(seed)
    kills = round_ = 0
    with real_runs(tmp_path / "log") as runs:
        while kills < 50:
            out = tmp_path / f"out{round_}"
            kills += _kill_until_done(runs, Killings(out, num_shards(untouched), rng))
            assert_same(contents(out), contents(untouched))
            round_ += 1
        assert runs.writers_after(20.0) == []


def _kill_until_done(runs: RealRuns, killings: Killings) -> int:
    """Run and kill until a run is over; returns the number of kills."""
    while True:
        kind = killings.rng.choice(("driver", "group", "worker"))
        words = INLINE if kind != "worker" and killings.rng.random() < 0.5 else RAY
        run = runs.start(killings.out, words)
        before = num_committed(killings.out)
        if before >= killings.total - 4 or not killings.wait_for_a_moment(run, before, most=4):
            assert run.finish() == 0
            return killings.made
        if kind == "worker":
            assert run.kill_worker()
            killings.made += 1
            assert run.finish() == 0
            return killings.made
        run.kill_driver() if kind == "driver" else run.kill_group()
        killings.note()
