"""Compilation by regions: the blocks that networks repeat, so that each kind and size is compiled once.

A network compiled whole takes minutes, breaks where anything in it is not for the compiler, and is compiled again for
every size of batch that validation or samples bring.
"""

from typing import Any, cast

import torch
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from torch import nn

from training.models.sd15.frame_attention import attend_over_frames
from training.models.tiny.contrast import PictureEncoder

# Transformers with what they do around their blocks: moving channels last and back again takes as long as a block.
_REGIONS = (Transformer2DModel, AnimateDiffTransformer3D, ResnetBlock2D, PictureEncoder)
_MOST_SIZES = 64  # of a kind: levels times what comes in, with gradients and without; torch gives up at 8


def compile_regions(network: nn.Module, backend: str = "inductor") -> None:
    """Compile every block that is repeated, in place; the first call of each size takes seconds.

    On a GPU convolutions are also tried out at their first call, and the fastest kernel is kept: results then agree
    from run to run to rounding only.

    Args:
        network: that trains or paints.
        backend: torch's name of a compiler.
    """
    config = cast(Any, torch)._dynamo.config
    config.recompile_limit = max(config.recompile_limit, _MOST_SIZES)
    if torch.cuda.is_available():
        torch.backends.cudnn.benchmark = True
        attend_over_frames(network)
    for module in network.modules():
        if isinstance(module, _REGIONS):
            module.compile(dynamic=False, backend=backend)
