"""Where shards are rendered: in this process, on a Ray of our own, or on an existing Ray cluster.

The bytes are the same everywhere. One task is one shard. Only so many are in flight, and a task takes and returns a
few kilobytes: pixels stay with it.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Generator, Iterator
from typing import Any

from conf.errors import ConfigError, UserError
from pipelines.synthesis.plan import ShardPlan
from pipelines.synthesis.run_config import ClusterConfig
from pipelines.synthesis.shard import ShardReport, ShardSettings, fault_of_ours, render_shard
from process_painter import worker

_IN_FLIGHT_PER_WORKER = 2
_MAX_RETRIES = 5  # of a task whose worker died; a Python exception is a report, never a retry
_MEMORY_BYTES = 1 << 30  # of one worker, for Ray's admission control; 5,000 strokes at 1024 px take 0.9 GB

# One thread a worker: libraries that each take all cores slow one another down sixfold.
THREAD_VARIABLES = {
    name: "1"
    for name in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "NUMBA_NUM_THREADS",
    )
}


_ASK_LLVM = """
import sys
import llvmlite.binding as llvm
llvm.initialize_native_target()
llvm.Target.from_default_triple().create_target_machine(cpu=sys.argv[1])
"""


def worker_variables(cluster: ClusterConfig) -> dict[str, str]:
    """Environment of a worker: one thread, and the processor that kernels are compiled for.

    `native` uses all that this machine has. A named processor, the same for all machines of a mixed cluster, makes
    them round alike.
    """
    pinned = {} if cluster.cpu == "native" else {"NUMBA_CPU_NAME": cluster.cpu, "NUMBA_CPU_FEATURES": ""}
    return {**THREAD_VARIABLES, **pinned, "RAY_USAGE_STATS_ENABLED": "0"}


def num_workers(asked: int | None) -> int:
    """Workers to use: what was asked for, or one a core that this process may use."""
    return asked or len(os.sched_getaffinity(0))


def render_shards(
    plans: Iterator[ShardPlan], settings: ShardSettings, cluster: ClusterConfig, workers: int | None
) -> Generator[ShardReport]:
    """Render shards and yield their reports as they are done, in any order. Closing the generator ends the work.

    Args:
        plans: of the shards.
        settings: of the run.
        cluster: where.
        workers: how many; None for one a core: of this machine, or of all of an existing cluster.

    Raises:
        UserError: if the cluster cannot be reached.
    """
    os.environ.update(worker_variables(cluster))
    if cluster.kind == "inline":
        for plan in plans:
            yield render_shard(plan, settings)
    else:
        yield from _on_ray(plans, settings, cluster, workers)


def _on_ray(
    plans: Iterator[ShardPlan], settings: ShardSettings, cluster: ClusterConfig, asked: int | None
) -> Generator[ShardReport]:
    import ray

    workers = num_workers(asked)
    try:
        if cluster.kind == "local":
            # By name: without it, Ray would join any Ray that runs here or is named in RAY_ADDRESS.
            ray.init(
                address="local", num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level="error"
            )
        else:
            _knock(cluster.address or "auto")
            ray.init(
                address=cluster.address, runtime_env={"env_vars": worker_variables(cluster)}, logging_level="error"
            )
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        if cluster.kind == "local":
            raise UserError(f"cluster=local: Ray does not start ({error}); cluster=inline works without Ray") from error
        raise ConfigError(
            "cluster.address", cluster.address, f"the address of a running Ray cluster ({error})"
        ) from error
    try:
        if cluster.gpus_per_worker:
            _check_gpus(cluster, float(ray.cluster_resources().get("GPU", 0.0)))
        if cluster.kind == "ray" and asked is None:
            workers = max(workers, int(ray.cluster_resources().get("CPU", 0)))
        task = ray.remote(
            num_cpus=1,
            num_gpus=cluster.gpus_per_worker,
            memory=_task_memory(cluster, workers),
            max_retries=_MAX_RETRIES,
        )(worker.render_shard)
        settings_reference = ray.put(settings)
        waiting: dict[Any, str] = {}  # task -> shard
        for plan in plans:
            if len(waiting) >= _IN_FLIGHT_PER_WORKER * workers:
                yield _next(waiting)
            waiting[task.remote(plan, settings_reference)] = plan.name
        while waiting:
            yield _next(waiting)
    finally:
        ray.shutdown()


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


def _next(waiting: dict[Any, str]) -> ShardReport:
    """Wait for any one task; a task whose worker died too often becomes a report, so that the others go on.

    One that failed in Python is no such task: all others would fail as well.
    """
    import ray

    (done,), _ = ray.wait(list(waiting), num_returns=1)
    name = waiting.pop(done)
    try:
        report: ShardReport = ray.get(done)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause if isinstance(error.cause, Exception) else error
        return ShardReport(name=name, error=f"{name}: {fault_of_ours(cause)}", fatal=True)
    except ray.exceptions.RayError as error:
        return ShardReport(name=name, error=f"worker lost: {' '.join(str(error).split())[:300]}")
    return report


def check_cpu(cluster: ClusterConfig) -> None:
    """Refuse a processor name that the compiler does not know, before anything is written.

    Raises:
        ConfigError: naming the key.
        UserError: if this process, which is to render, has loaded its kernels for another processor.
    """
    if cluster.cpu == "native":
        return
    # LLVM takes any name, and says on the error output of the process alone that it will ignore it.
    asked = subprocess.run([sys.executable, "-c", _ASK_LLVM, cluster.cpu], capture_output=True, text=True)
    if not cluster.cpu or asked.returncode or "not a recognized processor" in asked.stderr:
        raise ConfigError("cluster.cpu", cluster.cpu, "native, or a processor name of LLVM such as x86-64-v3")
    if cluster.kind == "inline" and os.environ.get("NUMBA_CPU_NAME") != cluster.cpu:
        raise UserError(
            f"cluster.cpu={cluster.cpu}: with cluster=inline, kernels are loaded already; put "
            f"NUMBA_CPU_NAME={cluster.cpu} NUMBA_CPU_FEATURES= before the command"
        )
