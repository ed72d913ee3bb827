"""Compilation by regions: the blocks that networks repeat, so that each kind and size is compiled once.

Compiling a whole network takes minutes, and fails if the compiler cannot handle anything in it. The parameters of a
block are inputs of the compiled code, so blocks share it if their types, sizes and plain attributes are the same, and
if the same of their inputs and parameters need gradients. Stable Diffusion's blocks with temporal modules have 22 such
sizes; stage motion has 3 more, up to the first block that is trained.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import nn

_MOST_SIZES = 64  # per kind: levels times inputs, with gradients and without; torch's own limit is 8


def compile_blocks(network: nn.Module, kinds: Sequence[type[nn.Module]], backend: str = "inductor") -> None:
    """Compile every block of some kinds, in place; the first call of each size takes seconds.

    On a GPU the kernels of a convolution are also timed at its first call, and the fastest is used: results then agree
    from run to run only to rounding.

    Args:
        network: a network that trains or paints.
        kinds: classes of the blocks that it repeats.
        backend: torch's name of a compiler.
    """
    config = cast(Any, torch)._dynamo.config
    config.recompile_limit = max(config.recompile_limit, _MOST_SIZES)
    config.optimize_ddp = False  # it would split blocks at DDP's buckets, but blocks are smaller than a bucket
    if torch.cuda.is_available():
        torch.backends.cudnn.benchmark = True
    for module in network.modules():
        if isinstance(module, tuple(kinds)):
            for name, value in vars(module).items():
                if type(value) is int and name.endswith("scale_factor"):
                    setattr(module, name, float(value))  # diffusers' middle block has 1 where others have 1.0
            module.compile(dynamic=False, backend=backend)
