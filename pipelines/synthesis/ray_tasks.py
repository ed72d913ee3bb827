"""Shards as tasks of Ray: a limited number is in flight, and a task takes and returns kilobytes, never pixels."""

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

_IN_FLIGHT_PER_WORKER = 2  # more tasks than cores, which also tells an autoscaler that there is more to do
_MAX_RETRIES = 5  # of a task whose worker died; a Python exception becomes a report and is never retried
_MEMORY_BYTES = 1 << 30  # per worker, for Ray's admission control; 5,000 strokes at 1024 px take 0.9 GB
_SECONDS_BETWEEN_COUNTS = 5.0  # between counts of the cores of a cluster, which may grow
_SECONDS_BETWEEN_CHECKS = 1.0  # between checks of finished tasks and of Ray itself
_SERVICES = {"raylet", "gcs_server"}  # processes of Ray that nothing restarts when they die


def render_on_ray(
    plans: Iterator[ShardPlan], settings: ShardSettings, cluster: ClusterConfig, asked: int | None
) -> Generator[ShardReport]:
    """Render shards as `cluster.render_shards` does, on a Ray that this process starts or on an existing cluster.

    Raises:
        UserError: if Ray does not start, the cluster cannot be reached or used, or it has too few GPUs.
    """
    import ray

    with ExitStack() as stack:
        stack.enter_context(_keeping_sigterm_handler())
        stack.callback(_shut_down)
        with _keeping_sigterm_handler():
            _connect(cluster, num_workers(asked), stack)
        if cluster.gpus_per_worker:
            _check_gpus(cluster, float(ray.cluster_resources().get("GPU", 0.0)))
        limit = _Room(cluster, asked)
        task = ray.remote(
            num_cpus=1,
            num_gpus=cluster.gpus_per_worker,
            memory=_task_memory(cluster, limit.workers),
            max_retries=_MAX_RETRIES,
        )(worker.render_shard)
        processor = _processor(cluster)
        waiting: dict[Any, str] = {}  # task -> shard
        for plan in plans:
            while len(waiting) >= limit.in_flight():
                _check_services()
                yield from _finished_reports(waiting)
            # Arguments are not shared by `ray.put`: Ray ends a driver that looks for its own object on a lost node.
            waiting[task.remote(plan, settings, processor)] = plan.name
        while waiting:
            _check_services()
            yield from _finished_reports(waiting)


def _dead_services() -> set[str]:
    """The indispensable processes of the Ray that this process started which have ended."""
    import ray

    node = ray._private.worker._global_node
    return set() if node is None else {name for name, _ in node.dead_processes()} & _SERVICES


def _check_services() -> None:
    """Raise if Ray has lost a service: some seconds later its library would end this process without saying why.

    Raises:
        UserError: naming the process.
    """
    if dead := _dead_services():
        raise UserError(
            f"cluster=local: {min(dead)}, a process of Ray, has ended; run the same command again to continue"
        )


def _shut_down() -> None:
    """End Ray. If it has lost a service, its other processes are killed, since a shutdown would wait for them."""
    import ray

    if not _dead_services():
        ray.shutdown()
        return
    atexit.unregister(ray.shutdown)
    ray._private.worker._global_node.kill_all_processes(check_alive=False)


class _Room:
    """How many tasks may be in flight: by the requested number of workers, or by the cores of a cluster as it grows.

    Args:
        cluster: where tasks run.
        asked: the requested number of workers; None for one a core.
    """

    def __init__(self, cluster: ClusterConfig, asked: int | None) -> None:
        self._fixed = asked if asked is not None or cluster.kind == "ray" else num_workers(None)
        self._counted_at = -_SECONDS_BETWEEN_COUNTS
        self._workers = 0

    @property
    def workers(self) -> int:
        """The current number of workers."""
        import ray

        if self._fixed is not None:
            return self._fixed
        if time.monotonic() - self._counted_at >= _SECONDS_BETWEEN_COUNTS:
            self._workers = max(1, int(ray.cluster_resources().get("CPU", 0)))
            self._counted_at = time.monotonic()
        return self._workers

    def in_flight(self) -> int:
        """The number of tasks that may be in flight now."""
        return _IN_FLIGHT_PER_WORKER * self.workers


@contextmanager
def _keeping_sigterm_handler() -> Iterator[None]:
    """Context that restores the handler of SIGTERM; Ray installs one that ends the process with its own exit code.

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
    """Start a Ray for this process, or join an existing one, whose workers get this code and their environment."""
    import ray

    try:
        if cluster.kind == "local":
            # Without this address, Ray would join any Ray that runs here or is named in RAY_ADDRESS.
            ray.init(
                address="local", num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level="error"
            )
            return
        _check_reachable(cluster.address or "auto")
        environment: dict[str, Any] = {"env_vars": worker_variables(cluster)}
        if cluster.code == "send" and not is_sent_already():
            environment["working_dir"] = str(stack.enter_context(code_for_workers()))
        ray.init(address=cluster.address, runtime_env=environment, logging_level="error")
    except UserError:
        raise
    except Exception as error:  # Ray raises a bare Exception when a machine is too busy to start it in time
        reason = " ".join(str(error).split())
        if cluster.kind == "local":
            raise UserError(
                f"cluster=local: Ray does not start ({reason}); cluster=inline works without Ray"
            ) from error
        if "ray[client]" in reason:
            needed = "addresses with ray:// need Ray's client; run pip install 'process-painter[cluster]'"
            raise UserError(f"cluster.address={cluster.address}: {needed}") from error
        raise ConfigError(
            "cluster.address", cluster.address, f"the address of a running Ray cluster ({reason})"
        ) from error


def _processor(cluster: ClusterConfig) -> str | None:
    """The processor that kernels are compiled for on the first machine that answers; None if all compile for the same.

    Raises:
        UserError: if no machine of the cluster can run this program.
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
    """Refuse tasks that need more GPU than the cluster has: they would wait for ever.

    Raises:
        ConfigError: naming the key.
    """
    if cluster.gpus_per_worker > num_gpus:
        raise ConfigError("cluster.gpus_per_worker", cluster.gpus_per_worker, f"0: this cluster has {num_gpus:g} GPUs")


def _check_reachable(address: str) -> None:
    """Check that a machine answers, since Ray would try for minutes to reach one that does not.

    Raises:
        OSError: if nothing answers at `host:port`; other kinds of address are left to Ray.
    """
    host, _, port = address.rpartition(":")
    if host and "/" not in host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=10.0).close()


def _task_memory(cluster: ClusterConfig, workers: int) -> int:
    """Bytes to ask Ray for per task: what a task needs, but not so much that this machine could not run its workers."""
    if cluster.kind == "ray":
        return _MEMORY_BYTES
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(_MEMORY_BYTES, int(free * 0.3) // workers)


def _finished_reports(waiting: dict[Any, str]) -> Iterator[ShardReport]:
    """The report of a finished task; none if no task finishes in a second, so that the limit is computed again."""
    import ray

    ready, _ = ray.wait(list(waiting), num_returns=1, timeout=_SECONDS_BETWEEN_CHECKS)
    for task in ready:
        yield _report(task, waiting.pop(task))


def _report(task: Any, name: str) -> ShardReport:
    """A task's report. A task whose worker died too often becomes a report of an error, so that other shards continue.

    A task that failed in Python gives a fatal report, because all other tasks would fail too.
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
