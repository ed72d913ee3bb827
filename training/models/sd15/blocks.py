"""The blocks that the networks of a Stable Diffusion repeat, for the compiler."""

import torch
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from torch import nn

from training.models.compiling import compile_blocks
from training.models.sd15.frame_attention import attend_over_frames

# Whole transformers, not only their blocks: moving channels last and back again takes as long as a block.
BLOCKS: tuple[type[nn.Module], ...] = (Transformer2DModel, AnimateDiffTransformer3D, ResnetBlock2D)


def compile_network(network: nn.Module, backend: str = "inductor") -> None:
    """Compile these blocks of a network in place; on a GPU its attention over frames is then written as sums.

    Args:
        network: a network that trains or paints.
        backend: torch's name of a compiler.
    """
    if torch.cuda.is_available():
        attend_over_frames(network, as_sums=True)
    compile_blocks(network, BLOCKS, backend)
