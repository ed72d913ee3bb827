"""The functions that worker processes of a cluster run.

Ray puts the working directory of the command first in the search path of its workers. They import a function of this
package before anything else, and with it our packages and not others of the same names.
"""

from importlib import import_module
from typing import Any


def render_shard(plan: Any, settings: Any, processor: str | None = None) -> Any:
    """Like `pipelines.synthesis.shard.render_shard`, but requires that all machines compile for the same processor.

    Args:
        plan: plan of the shard.
        settings: settings of the run.
        processor: processor that the first machine compiles for, if this one must do the same.
    """
    shard = import_module("pipelines.synthesis.shard")
    own = this_processor() if processor is not None else None
    if processor is not None and own is not None and own != processor:
        error = (
            f"machines of this cluster compile for different processors ({processor.split()[0]} and "
            f"{own.split()[0]}), and would round differently; use cluster.cpu=x86-64-v3, or machines of one kind"
        )
        return shard.ShardReport(name=plan.name, error=error, fatal=True)
    return shard.render_shard(plan, settings)


def this_processor() -> str:
    """The processor that kernels are compiled for here: LLVM's name of it, and its instruction sets."""
    llvm = import_module("llvmlite.binding")
    return f"{llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()}"
