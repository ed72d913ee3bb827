"""Compilation by regions: the blocks that networks repeat, so that each kind and size is compiled once.

A network compiled whole takes minutes, and breaks where anything in it is not for the compiler. Parameters of a block
are inputs of what is compiled, so that blocks share it whose types, sizes and plain attributes are the same, and whose
inputs and parameters need gradients alike: 22 sizes of Stable Diffusion's blocks with temporal modules, and in stage
motion 3 more, up to the first that is trained.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import nn

_MOST_SIZES = 64  # of a kind: levels times what comes in, with gradients and without; torch's own limit is 8


def compile_blocks(network: nn.Module, kinds: Sequence[type[nn.Module]], backend: str = "inductor") -> None:
    """Compile every block of some kinds, in place; the first call of each size takes seconds.

    On a GPU convolutions are also tried out at their first call, and the fastest kernel is kept: results then agree
    from run to run to rounding only.

    Args:
        network: that trains or paints.
        kinds: of the blocks that it repeats.
        backend: torch's name of a compiler.
    """
    config = cast(Any, torch)._dynamo.config
    config.recompile_limit = max(config.recompile_limit, _MOST_SIZES)
    config.optimize_ddp = False  # which cuts blocks at the borders of DDP's buckets: they are smaller than a bucket
    if torch.cuda.is_available():
        torch.backends.cudnn.benchmark = True
    for module in network.modules():
        if isinstance(module, tuple(kinds)):
            for name, value in vars(module).items():
                if type(value) is int and name.endswith("scale_factor"):
                    setattr(module, name, float(value))  # diffusers' middle block has 1 where others have 1.0
            module.compile(dynamic=False, backend=backend)
