"""A Ray cluster of several machines, of which one dies and one joins, all on this machine."""

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from conf.errors import UserError
from pipelines.synthesis import ray_tasks
from pipelines.synthesis.plan import ShardPlan
from pipelines.synthesis.ray_code import code_for_workers
from pipelines.synthesis.run_config import ClusterConfig
from process_painter import PACKAGES, worker
from tests.pipelines.runs import PAINT_FAST, assert_same, contents, synth

pytest.importorskip("ray")
WORDS = (*PAINT_FAST, "num_sequences=40", "shard_size=1", "gallery=false")


@pytest.fixture
def cluster() -> Iterator["object"]:
    from ray.cluster_utils import Cluster

    nodes = Cluster()
    yield nodes
    nodes.shutdown()


def committed(out: Path) -> int:
    return len(list((out / "shards").glob("*.json")))


def wait_for(out: Path, number: int, run: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 240
    while committed(out) < number and run.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "code",
    ["installed", pytest.param("send", marks=pytest.mark.nightly)],  # which compiles kernels on every machine
)
def test_machines_that_die_and_join_give_the_bytes_of_one(code: str, cluster: object, tmp_path: Path) -> None:
    alone, out = tmp_path / "alone", tmp_path / "out"
    assert synth(*WORDS, "cluster=inline", f"out={alone}") == 0
    cluster.add_node(num_cpus=0, include_dashboard=False)  # type: ignore[attr-defined]
    # Machines of their own unpack the code each for itself; those of one folder would empty it under each other's feet.
    folders = (f"code-{number}" for number in itertools.count())
    first, *_ = (
        cluster.add_node(num_cpus=1, include_dashboard=False, runtime_env_dir_name=next(folders))  # type: ignore[attr-defined]
        for _ in range(2)
    )
    address = cluster.address  # type: ignore[attr-defined]
    overrides = [*WORDS, "cluster=ray", f"cluster.address={address}", f"cluster.code={code}", f"out={out}"]
    command = [sys.executable, "-m", "process_painter", "synth", *overrides]
    with (tmp_path / "log").open("wb") as log:
        run = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(out, 3, run)
        cluster.remove_node(first, allow_graceful=False)  # type: ignore[attr-defined]
        assert run.poll() is None, (tmp_path / "log").read_text()
        cluster.add_node(num_cpus=1, runtime_env_dir_name=next(folders))  # type: ignore[attr-defined]
        assert run.wait() == 0, (tmp_path / "log").read_text()
    assert_same(contents(out), contents(alone))


def test_the_code_that_is_sent_runs_where_nothing_is_installed(tmp_path: Path) -> None:
    with code_for_workers() as folder:
        assert sorted(path.name for path in folder.iterdir()) == sorted(["process_painter", *PACKAGES])
        assert sum(path.stat().st_size for path in folder.rglob("*")) < 20e6
        done = subprocess.run(
            [sys.executable, "-c", "import process_painter.worker as w; print(w.__file__, w.this_processor())"],
            cwd=folder, env={**os.environ, "PYTHONPATH": str(folder)}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert str(folder) in done.stdout
    assert not folder.exists()


def test_a_machine_that_compiles_for_another_processor_stops_the_run() -> None:
    plan = ShardPlan(name="train-00000", split="train", first_index=0, sequences=())
    report = worker.render_shard(plan, None, "zen9 +avx4096")
    assert report.fatal and "zen9" in report.error and "cluster.cpu=" in report.error


def test_room_grows_with_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ray:
        cores = 4.0

        def cluster_resources(self) -> dict[str, float]:
            return {"CPU": self.cores}

    ray = Ray()
    monkeypatch.setitem(sys.modules, "ray", ray)
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    room = ray_tasks._Room(ClusterConfig(kind="ray"), None)
    assert room.in_flight() == 8
    ray.cores = 1000.0
    assert room.in_flight() == 8  # counted a moment ago
    clock[0] = 10.0
    assert room.in_flight() == 2000
    assert ray_tasks._Room(ClusterConfig(kind="ray"), 3).in_flight() == 6


def test_an_address_that_needs_rays_client_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def without_client(**options: object) -> None:
        raise ImportError("Ray Client requires pip package `ray[client]`.")

    monkeypatch.setattr(ray, "init", without_client)
    monkeypatch.setattr(ray_tasks, "_check_reachable", lambda address: None)
    where = ClusterConfig(kind="ray", address="ray://head:10001", code="installed")
    with pytest.raises(UserError, match=r"ray://head:10001: .* run pip install 'process-painter\[cluster\]'$"):
        ray_tasks._connect(where, 1, ExitStack())
