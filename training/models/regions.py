"""Compilation by regions: the blocks that networks repeat, so that each kind and size is compiled once.

A network compiled whole takes minutes, breaks where anything in it is not for the compiler, and is compiled again for
every size of batch that validation or samples bring.
"""

from typing import Any, cast

import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.resnet import ResnetBlock2D
from torch import nn

from training.models.contrast import PictureEncoder

_REGIONS = (BasicTransformerBlock, ResnetBlock2D, PictureEncoder)
_MOST_SIZES = 64  # of a kind: levels times what comes in, with gradients and without; torch gives up at 8


def compile_regions(network: nn.Module, backend: str = "inductor") -> None:
    """Compile every block that is repeated, in place; the first call of each size takes seconds.

    Args:
        network: of a stage.
        backend: torch's name of a compiler.
    """
    config = cast(Any, torch)._dynamo.config
    config.recompile_limit = max(config.recompile_limit, _MOST_SIZES)
    for module in network.modules():
        if isinstance(module, _REGIONS):
            module.compile(dynamic=False, backend=backend)
