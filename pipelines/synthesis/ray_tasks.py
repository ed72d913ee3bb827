"""Shards as tasks of Ray: so many are in flight, and a task takes and returns a few kilobytes; pixels stay with it."""

import atexit
import os
import signal
import socket
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from conf.errors import ConfigError, UserError
from pipelines.synthesis.cluster import num_workers, worker_variables
from pipelines.synthesis.plan import ShardPlan
from pipelines.synthesis.ray_code import code_for_workers, is_sent_already
from pipelines.synthesis.run_config import ClusterConfig
from pipelines.synthesis.shard import ShardReport, ShardSettings, fault_of_ours
from process_painter import worker

_IN_FLIGHT_PER_WORKER = 2  # more than there are cores, which also tells an autoscaler that there is more to do
_MAX_RETRIES = 5  # of a task whose worker died; a Python exception is a report, never a retry
_MEMORY_BYTES = 1 << 30  # of one worker, for Ray's admission control; 5,000 strokes at 1024 px take 0.9 GB
_SECONDS_BETWEEN_COUNTS = 5.0  # of the cores of a cluster that may grow
_SECONDS_BETWEEN_LOOKS = 1.0  # at tasks that are done and at Ray itself
_SERVICES = {"raylet", "gcs_server"}  # of Ray, which nothing replaces when they die


def render_on_ray(
    plans: Iterator[ShardPlan], settings: ShardSettings, cluster: ClusterConfig, asked: int | None
) -> Generator[ShardReport]:
    """As `cluster.render_shards`, on a Ray of our own or on an existing cluster.

    Raises:
        UserError: if Ray does not start, the cluster cannot be reached or used, or it has too few GPUs.
    """
    import ray

    with ExitStack() as stack:
        stack.enter_context(_sigterm_left_as_it_was())
        stack.callback(_shut_down)
        with _sigterm_left_as_it_was():
            _connect(cluster, num_workers(asked), stack)
        if cluster.gpus_per_worker:
            _check_gpus(cluster, float(ray.cluster_resources().get("GPU", 0.0)))
        room = _Room(cluster, asked)
        task = ray.remote(
            num_cpus=1,
            num_gpus=cluster.gpus_per_worker,
            memory=_task_memory(cluster, room.workers),
            max_retries=_MAX_RETRIES,
        )(worker.render_shard)
        processor = _processor(cluster)
        waiting: dict[Any, str] = {}  # task -> shard
        for plan in plans:
            while len(waiting) >= room.in_flight():
                _check_services()
                yield from _done(waiting)
            # Not by `ray.put`: a driver that owns an object is ended by Ray while it looks for it on a lost node.
            waiting[task.remote(plan, settings, processor)] = plan.name
        while waiting:
            _check_services()
            yield from _done(waiting)


def _dead_services() -> set[str]:
    """Those processes of our own Ray that have ended and that it cannot do without."""
    import ray

    node = ray._private.worker._global_node
    return set() if node is None else {name for name, _ in node.dead_processes()} & _SERVICES


def _check_services() -> None:
    """Stop in time: some seconds after such a loss, Ray's library ends the driver, without a line that says why.

    Raises:
        UserError: naming the process.
    """
    if dead := _dead_services():
        raise UserError(
            f"cluster=local: {min(dead)}, a process of Ray, has ended; run the same command again to continue"
        )


def _shut_down() -> None:
    """End Ray; of one that has lost a service, what is left is killed, as it would be waited for."""
    import ray

    if not _dead_services():
        ray.shutdown()
        return
    atexit.unregister(ray.shutdown)
    ray._private.worker._global_node.kill_all_processes(check_alive=False)


class _Room:
    """How many tasks may be in flight: by the workers that were asked for, or by the cores of a cluster as it grows.

    Args:
        cluster: where.
        asked: for so many workers, if anybody did.
    """

    def __init__(self, cluster: ClusterConfig, asked: int | None) -> None:
        self._fixed = asked if asked is not None or cluster.kind == "ray" else num_workers(None)
        self._counted_at = -_SECONDS_BETWEEN_COUNTS
        self._workers = 0

    @property
    def workers(self) -> int:
        """Workers that there are now."""
        import ray

        if self._fixed is not None:
            return self._fixed
        if time.monotonic() - self._counted_at >= _SECONDS_BETWEEN_COUNTS:
            self._workers = max(1, int(ray.cluster_resources().get("CPU", 0)))
            self._counted_at = time.monotonic()
        return self._workers

    def in_flight(self) -> int:
        """Tasks that may be in flight now."""
        return _IN_FLIGHT_PER_WORKER * self.workers


@contextmanager
def _sigterm_left_as_it_was() -> Iterator[None]:
    """Around the start of Ray, which takes SIGTERM for itself and ends the process by an exit code of its own.

    Raises:
        KeyboardInterrupt: if SIGTERM came while Ray started.
    """
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit as stop:
        raise KeyboardInterrupt from stop
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _connect(cluster: ClusterConfig, workers: int, stack: ExitStack) -> None:
    """Start a Ray of our own, or join one, whose workers get our code and their environment."""
    import ray

    try:
        if cluster.kind == "local":
            # By name: without it, Ray would join any Ray that runs here or is named in RAY_ADDRESS.
            ray.init(
                address="local", num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level="error"
            )
            return
        _knock(cluster.address or "auto")
        environment: dict[str, Any] = {"env_vars": worker_variables(cluster)}
        if cluster.code == "send" and not is_sent_already():
            environment["working_dir"] = str(stack.enter_context(code_for_workers()))
        ray.init(address=cluster.address, runtime_env=environment, logging_level="error")
    except UserError:
        raise
    except Exception as error:  # of no class of its own where a machine is too busy to start Ray in time
        reason = " ".join(str(error).split())
        if cluster.kind == "local":
            raise UserError(
                f"cluster=local: Ray does not start ({reason}); cluster=inline works without Ray"
            ) from error
        raise ConfigError(
            "cluster.address", cluster.address, f"the address of a running Ray cluster ({reason})"
        ) from error


def _processor(cluster: ClusterConfig) -> str | None:
    """What kernels are compiled for on the machine that answers first; None where all machines compile alike.

    Raises:
        UserError: if no machine of the cluster can run our code.
    """
    import ray

    if cluster.kind != "ray" or cluster.cpu != "native":
        return None
    try:
        name: str = ray.get(ray.remote(num_cpus=1)(worker.this_processor).remote())
    except ray.exceptions.RayError as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise UserError(
            f"cluster=ray: a machine of the cluster cannot run this program: {lines[-1].strip()}"
        ) from error
    return name


def _check_gpus(cluster: ClusterConfig, num_gpus: float) -> None:
    """Tasks that ask for more than there is would wait for ever.

    Raises:
        ConfigError: if workers cannot get what they are to have.
    """
    if cluster.gpus_per_worker > num_gpus:
        raise ConfigError("cluster.gpus_per_worker", cluster.gpus_per_worker, f"0: this cluster has {num_gpus:g} GPUs")


def _knock(address: str) -> None:
    """Ray tries for minutes to reach a machine that does not answer, so ask first.

    Raises:
        OSError: if nobody answers at `host:port`; other kinds of address are Ray's to judge.
    """
    host, _, port = address.rpartition(":")
    if host and "/" not in host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=10.0).close()


def _task_memory(cluster: ClusterConfig, workers: int) -> int:
    """Ask for what a task needs, but never so much that our own small machine could not run its workers."""
    if cluster.kind == "ray":
        return _MEMORY_BYTES
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(_MEMORY_BYTES, int(free * 0.3) // workers)


def _done(waiting: dict[Any, str]) -> Iterator[ShardReport]:
    """The report of a task that is done; none if none is after a while, in which a cluster may have grown."""
    import ray

    ready, _ = ray.wait(list(waiting), num_returns=1, timeout=_SECONDS_BETWEEN_LOOKS)
    for task in ready:
        yield _report(task, waiting.pop(task))


def _report(task: Any, name: str) -> ShardReport:
    """A task's report; one whose worker died too often becomes a report as well, so that the others go on.

    One that failed in Python is no such task: all others would fail as well.
    """
    import ray

    try:
        report: ShardReport = ray.get(task)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause if isinstance(error.cause, Exception) else error
        return ShardReport(name=name, error=f"{name}: {fault_of_ours(cause)}", fatal=True)
    except ray.exceptions.RayError as error:
        return ShardReport(name=name, error=f"worker lost: {' '.join(str(error).split())[:300]}")
    return report
