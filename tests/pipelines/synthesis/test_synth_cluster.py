"""The same data set wherever it is rendered."""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from conf.errors import ConfigError, UserError
from pipelines.synthesis import ray_tasks
from pipelines.synthesis.cluster import check_cpu, num_workers, render_shards, worker_variables
from pipelines.synthesis.plan import ShardPlan
from pipelines.synthesis.run_config import ClusterConfig
from pipelines.synthesis.sequence import RenderSettings
from pipelines.synthesis.shard import ShardReport
from tests.pipelines.runs import COMMAND, SMALL, assert_same, contents

ON_RAY = tuple(word for word in SMALL if not word.startswith("cluster="))


@pytest.mark.parametrize(
    "workers", [pytest.param(1, marks=pytest.mark.nightly), pytest.param(2, marks=pytest.mark.nightly), 3]
)
def test_ray_with_any_number_of_workers_gives_the_bytes_of_inline(workers: int, dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    # An address in the environment is another cluster's, which `cluster=local` may not join.
    environment = {**os.environ, "RAY_ADDRESS": "192.0.2.1:6379"}
    overrides = [*ON_RAY, f"num_workers={workers}", f"out={out}"]
    done = subprocess.run([*COMMAND, *overrides], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert_same(contents(out), contents(dataset))
    assert (out / "gallery" / "index.html").stat().st_size > 10_000
    timings = [path.name for path in (out / "timings").iterdir()]
    assert sorted(timings) == sorted(path.name for path in (dataset / "timings").iterdir())


def test_a_cluster_that_does_not_answer_is_told_soon_and_in_one_line(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    overrides = [*SMALL, "cluster=ray", "cluster.address=127.0.0.1:9", f"out={tmp_path / 'out'}"]
    done = subprocess.run([*COMMAND, *overrides], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("error: cluster.address=127.0.0.1:9") and done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_only_so_many_tasks_are_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans are taken from the iterator as they are needed, so that a run of millions does not plan them all first."""
    ray = _StandInForRay()
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    taken: list[int] = []

    def plans() -> object:
        for number in range(100):
            taken.append(number)
            yield ShardPlan(name=str(number), split="train", first_index=0, sequences=())

    reports = render_shards(plans(), None, ClusterConfig(kind="local"), workers=3)  # type: ignore[arg-type]
    assert next(reports).name == "0"
    assert len(taken) == 7
    assert [report.name for report in reports] == [str(number) for number in range(1, 100)]
    assert ray.most_in_flight == 6
    assert ray.is_shut_down


def test_a_run_that_is_given_up_takes_its_ray_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = _StandInForRay()
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    plan = ShardPlan(name="a", split="train", first_index=0, sequences=())
    reports = render_shards(iter([plan] * 5), None, ClusterConfig(kind="local"), workers=1)  # type: ignore[arg-type]
    next(reports)
    reports.close()
    assert ray.is_shut_down


def test_a_task_that_is_lost_for_good_becomes_a_report(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = _StandInForRay(lost={"1"})
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    plans = [ShardPlan(name=str(number), split="train", first_index=0, sequences=()) for number in range(3)]
    reports = list(render_shards(iter(plans), None, ClusterConfig(kind="local"), workers=1))  # type: ignore[arg-type]
    assert [report.name for report in reports if report.error] == ["1"]
    assert "worker lost" in str(reports[1].error)


@pytest.mark.parametrize(("asked", "most"), [(None, 200), (3, 6)])
def test_an_existing_cluster_is_filled_however_few_cores_the_driver_has(
    asked: int | None, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = _StandInForRay()
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    plans = [ShardPlan(name=str(number), split="train", first_index=0, sequences=()) for number in range(500)]
    reports = render_shards(iter(plans), None, ClusterConfig(kind="ray", cpu="x86-64-v3"), workers=asked)  # type: ignore[arg-type]
    assert len(list(reports)) == 500 and ray.most_in_flight == most


def test_a_task_that_fails_in_python_is_no_lost_worker_and_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", _StandInForRay(failed={"1"}))
    monkeypatch.setattr(os, "environ", dict(os.environ))
    plans = [ShardPlan(name=str(number), split="train", first_index=0, sequences=()) for number in range(3)]
    reports = list(render_shards(iter(plans), None, ClusterConfig(kind="local"), workers=1))  # type: ignore[arg-type]
    assert [report.fatal for report in reports] == [False, True, False]
    assert "worker lost" not in str(reports[1].error) and "ZeroDivisionError" in str(reports[1].error)


@pytest.mark.parametrize("cpu", ["nonsense", "x86 64", "", "--help"])
def test_a_processor_that_the_compiler_does_not_know_is_refused(cpu: str) -> None:
    with pytest.raises(ConfigError, match=r"cluster\.cpu"):
        check_cpu(ClusterConfig(cpu=cpu))


def test_a_processor_for_inline_must_be_set_before_kernels_load(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="NUMBA_CPU_NAME=nehalem"):
        check_cpu(ClusterConfig(kind="inline", cpu="nehalem"))
    monkeypatch.setenv("NUMBA_CPU_NAME", "nehalem")
    check_cpu(ClusterConfig(kind="inline", cpu="nehalem"))
    check_cpu(ClusterConfig(kind="local", cpu="nehalem"))
    check_cpu(ClusterConfig(kind="inline", cpu="native"))


def test_workers_use_one_thread_and_the_processor_that_was_named() -> None:
    assert worker_variables(ClusterConfig())["OMP_NUM_THREADS"] == "1"
    assert "NUMBA_CPU_NAME" not in worker_variables(ClusterConfig())
    named = worker_variables(ClusterConfig(cpu="nehalem"))
    assert (named["NUMBA_CPU_NAME"], named["NUMBA_CPU_FEATURES"]) == ("nehalem", "")


def test_there_is_a_worker_for_every_core_unless_asked_otherwise() -> None:
    assert num_workers(None) == len(os.sched_getaffinity(0))
    assert num_workers(3) == 3


class _StandInForRay:
    """Just enough of Ray to count tasks: they are done in the order in which they were given."""

    class _private:
        class worker:
            _global_node = None  # no services of its own

    class exceptions:
        class RayError(Exception):
            pass

        class RayTaskError(RayError):
            cause = ZeroDivisionError("float division by zero")

    def __init__(self, lost: set[str] | None = None, failed: set[str] | None = None) -> None:
        self._lost, self._failed = lost or set(), failed or set()
        self.in_flight = self.most_in_flight = 0
        self.is_shut_down = False

    def init(self, **_: object) -> None:
        pass

    def shutdown(self) -> None:
        self.is_shut_down = True

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 100.0}

    def put(self, value: object) -> object:
        return value

    def remote(self, **options: object) -> object:
        assert options.get("max_retries", ray_tasks._MAX_RETRIES) == ray_tasks._MAX_RETRIES

        class Task:
            remote = staticmethod(self._begin)

        return lambda function: Task

    def _begin(self, plan: ShardPlan, settings: RenderSettings, processor: str | None) -> str:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        return plan.name

    def wait(self, waiting: list[str], num_returns: int, timeout: float) -> tuple[list[str], list[str]]:
        return waiting[:1], waiting[1:]

    def get(self, name: str) -> ShardReport:
        self.in_flight -= 1
        if name in self._failed:
            raise self.exceptions.RayTaskError
        if name in self._lost:
            raise self.exceptions.RayError("the worker died\nfive times")
        return ShardReport(name=name)


def test_a_machine_too_busy_to_start_ray_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(**options: object) -> None:
        raise Exception("The current node timed out during startup.\nThis could happen because ...")

    monkeypatch.setattr("ray.init", late)
    with ExitStack() as stack, pytest.raises(UserError, match="cluster=local: Ray does not start"):
        ray_tasks._connect(ClusterConfig(kind="local"), 1, stack)


def test_ray_does_not_keep_sigterm_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray's own answer to it ends the process without a line, with exit code 15."""
    ray = _StandInForRay()
    monkeypatch.setattr(ray, "init", lambda **_: signal.signal(signal.SIGTERM, lambda number, _: sys.exit(number)))
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    plan = ShardPlan(name="a", split="train", first_index=0, sequences=())
    before = signal.getsignal(signal.SIGTERM)
    reports = render_shards(iter([plan] * 5), None, ClusterConfig(kind="local"), workers=1)  # type: ignore[arg-type]
    next(reports)
    assert signal.getsignal(signal.SIGTERM) == before
    reports.close()


def test_sigterm_while_ray_starts_stops_like_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = _StandInForRay()
    monkeypatch.setattr(ray, "init", lambda **_: sys.exit(15))
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    with pytest.raises(KeyboardInterrupt):
        next(render_shards(iter([]), None, ClusterConfig(kind="local"), workers=1))  # type: ignore[arg-type]
    assert ray.is_shut_down
