"""What worker processes of a cluster are given to run.

Ray puts the working directory of the command before everything else that its workers import from. A function of this
package is the first thing that they import, and with it come our packages and not others of the same names.
"""

from importlib import import_module
from typing import Any


def render_shard(plan: Any, settings: Any, processor: str | None = None) -> Any:
    """As `pipelines.synthesis.shard.render_shard`, on machines that all compile for the same processor.

    Args:
        plan: of the shard.
        settings: of the run.
        processor: what the first machine compiles for, if this one must do the same.
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
    """What kernels are compiled for here: LLVM's name of the processor, and its instruction sets."""
    llvm = import_module("llvmlite.binding")
    return f"{llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()}"
