"""Where shards are rendered: in this process, on a Ray that this process starts, or on an existing Ray cluster.

The bytes are the same everywhere if all machines compile kernels for the same processor.
"""

import os
import subprocess
import sys
from collections.abc import Generator, Iterator

from conf.errors import ConfigError, UserError
from pipelines.synthesis.plan import ShardPlan
from pipelines.synthesis.run_config import ClusterConfig
from pipelines.synthesis.shard import ShardReport, ShardSettings, render_shard

# Each worker uses one thread: libraries that each use all cores slow one another down sixfold.
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


_LLVM_CHECK = """
import sys
import llvmlite.binding as llvm
llvm.initialize_native_target()
llvm.Target.from_default_triple().create_target_machine(cpu=sys.argv[1])
"""


def worker_variables(cluster: ClusterConfig) -> dict[str, str]:
    """Environment variables of a worker: one thread, and the processor that kernels are compiled for.

    `native` uses all features of the machine's processor. If all machines of a mixed cluster compile for the same
    named processor, they round alike.
    """
    pinned = {} if cluster.cpu == "native" else {"NUMBA_CPU_NAME": cluster.cpu, "NUMBA_CPU_FEATURES": ""}
    return {**THREAD_VARIABLES, **pinned, "RAY_USAGE_STATS_ENABLED": "0"}


def num_workers(asked: int | None) -> int:
    """Number of workers to use: as asked, or one for each core that this process may use."""
    return asked or len(os.sched_getaffinity(0))


def render_shards(
    plans: Iterator[ShardPlan], settings: ShardSettings, cluster: ClusterConfig, workers: int | None
) -> Generator[ShardReport]:
    """Render shards and yield their reports as they are done, in any order. Closing the generator ends the work.

    Args:
        plans: plans of the shards.
        settings: settings of the run.
        cluster: where shards are rendered.
        workers: number of workers; None for one per core of this machine, or of all machines of an existing cluster.

    Raises:
        UserError: if the cluster cannot be reached.
    """
    os.environ.update(worker_variables(cluster))
    if cluster.kind == "inline":
        for plan in plans:
            yield render_shard(plan, settings)
    else:
        from pipelines.synthesis.ray_tasks import render_on_ray

        yield from render_on_ray(plans, settings, cluster, workers)


def check_cpu(cluster: ClusterConfig) -> None:
    """Refuse a processor name that the compiler does not know, before anything is written.

    Raises:
        ConfigError: naming the key.
        UserError: if this process is to render, and has loaded its kernels for another processor.
    """
    if cluster.cpu == "native":
        return
    # LLVM accepts any name, and reports only on stderr that it ignores an unknown one; hence a process of its own.
    check = subprocess.run([sys.executable, "-c", _LLVM_CHECK, cluster.cpu], capture_output=True, text=True)
    if not cluster.cpu or check.returncode or "not a recognized processor" in check.stderr:
        raise ConfigError("cluster.cpu", cluster.cpu, "native, or a processor name of LLVM such as x86-64-v3")
    if cluster.kind == "inline" and os.environ.get("NUMBA_CPU_NAME") != cluster.cpu:
        raise UserError(
            f"cluster.cpu={cluster.cpu}: with cluster=inline, kernels are loaded already; put "
            f"NUMBA_CPU_NAME={cluster.cpu} NUMBA_CPU_FEATURES= before the command"
        )
