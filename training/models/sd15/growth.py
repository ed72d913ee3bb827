"""Growing a tiny painter into one for pictures twice as wide and as high, which keeps what it has learnt.

A cell of the grid then stands for twice as many pixels a side and has more numbers. The first numbers are the old
ones, of the picture at half its size; the others are new and hold its details. So the networks keep their shapes except
for their first and last layers, and the larger painter paints at once what the smaller one did, only without details,
which training then adds. Networks for larger pictures have been grown layer by layer since Karras et al., Progressive
Growing of GANs (2018); here the layers stay, and their inputs and outputs grow.
"""

from typing import cast

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional

from training.models.codec import PatchCodec, fit_decoder

_DEVIATION = 0.35  # standard deviation of each new number of a cell; the old ones have 0.25 to 2.2
_IN, _OUT = "conv_in.weight", ("conv_out.weight", "conv_out.bias")


@torch.no_grad()
def grown_codec(codec: PatchCodec, pictures: Tensor, latent_channels: int) -> PatchCodec:
    """A linear codec of cells twice as wide and as high.

    Args:
        codec: a linear codec.
        pictures: (N, 3, H, W) in [-1, 1], of twice its size, to whose details the new numbers are fitted.
        latent_channels: numbers per cell, at least as many as `codec` has.

    Returns:
        A codec whose first numbers are those of `codec` for pictures of half the size; the new ones are the principal
        components of what these leave out, each with the same deviation.
    """
    patch_px, num_coarse = 2 * codec.config.patch_px, codec.config.latent_channels
    scaling = codec.config.scaling_factor
    grown: PatchCodec = PatchCodec(patch_px=patch_px, latent_channels=latent_channels, scaling_factor=scaling)
    coarse = _for_double_size(codec.to_code.weight.double())
    patches = functional.pixel_unshuffle(pictures.double(), patch_px).movedim(1, -1).reshape(-1, 3 * patch_px**2)
    mean = patches.mean(0)
    coarse_basis, _ = torch.linalg.qr(coarse.reshape(num_coarse, -1).T)
    remainder = patches - mean
    remainder = remainder - (remainder @ coarse_basis) @ coarse_basis.T
    variances, directions = torch.linalg.eigh(remainder.T @ remainder / len(remainder))
    num_new = latent_channels - num_coarse
    variances, directions = variances.flip(0)[:num_new], directions.flip(1)[:, :num_new]
    details = (directions * (_DEVIATION / variances.clamp_min(1e-8).sqrt())).T
    grown.to_code.weight.copy_(torch.cat([coarse, details.reshape(num_new, *coarse.shape[1:])]))
    _bias(grown.to_code).copy_(torch.cat([_bias(codec.to_code).double(), -details @ mean]))
    fit_decoder(grown, pictures)
    grown.requires_grad_(False).eval()
    return grown


def has_codes_of(codec: PatchCodec, smaller: PatchCodec) -> bool:
    """Whether a codec's codes are those of a smaller one for pictures of half the size, and no others."""
    own, expected = codec.to_code, smaller.to_code
    weight = _for_double_size(expected.weight)
    is_linear = codec.code_details is None and smaller.code_details is None
    return is_linear and torch.equal(own.weight, weight) and torch.equal(_bias(own), _bias(expected))


def _for_double_size(weight: Tensor) -> Tensor:
    """The encoder of a codec, (C, 3, p, p), preceded by a mean over 2 x 2 pixels: (C, 3, 2 p, 2 p)."""
    return functional.interpolate(weight, scale_factor=2.0, mode="nearest") / 4


def _bias(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias


@torch.no_grad()
def grown_unet(unet: UNet2DConditionModel, latent_channels: int) -> UNet2DConditionModel:
    """A UNet that reads and writes more numbers per cell; it ignores the new ones and outputs 0 for them."""
    config = {**unet.config, "in_channels": latent_channels, "out_channels": latent_channels}
    grown = UNet2DConditionModel.from_config(config)
    state = unet.state_dict()
    state[_IN] = widened(state[_IN], latent_channels, dim=1)
    for name in _OUT:
        state[name] = widened(state[name], latent_channels, dim=0)
    grown.load_state_dict(state)
    return cast(UNet2DConditionModel, grown.requires_grad_(False).eval())


def widened(tensor: Tensor, size: int, dim: int) -> Tensor:
    """The tensor, filled up with zeros to a size along one dimension."""
    added = list(tensor.shape)
    added[dim] = size - added[dim]
    return torch.cat([tensor, tensor.new_zeros(added)], dim=dim)
