"""Compilation by regions: the blocks that networks repeat, so that each kind and size is compiled once.

A network compiled whole takes minutes, breaks where anything in it is not for the compiler, and is compiled again for
every size of batch that validation or samples bring.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import nn

_MOST_SIZES = 64  # of a kind: levels times what comes in, with gradients and without; torch gives up at 8


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
    if torch.cuda.is_available():
        torch.backends.cudnn.benchmark = True
    for module in network.modules():
        if isinstance(module, tuple(kinds)):
            module.compile(dynamic=False, backend=backend)
