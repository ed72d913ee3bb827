"""The tiny Wan's VAE: an `AutoencoderKLWan` whose weights are computed instead of trained.

Training a VAE of this kind takes days on a GPU. The principal components of square patches (`training.models.codec`)
take seconds, and its class can represent them. The class cuts pictures into patches itself; residual blocks and
attention add nothing if their last weights are zero. What remains of both encoder and decoder is a convolution, a norm
over channels, a SiLU and another convolution. A large constant in one more channel makes the norm a division by that
constant, and small numbers make the SiLU a division by two; the last convolution undoes both.

It has no levels, so it does not compress time: in a video each frame is a latent.
"""

import math
from typing import Any, cast

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor, nn
from torch.nn import functional

from training.models.codec import fit_codec

_CONSTANT = 1e4  # value of the channel that determines the norm
_SMALL = 1e-3  # factor that keeps the input of the SiLU small
_RIDGE = 1e-4
_LOG_VARIANCE = -30.0  # the least in diffusers: this codec's latents are exact


@torch.no_grad()
def fit_wan_codec(pictures: Tensor, *, patch_px: int, latent_channels: int) -> AutoencoderKLWan:
    """The best linear codec for some pictures, as a Wan VAE.

    Args:
        pictures: (N, 3, H, W) in [-1, 1], H and W multiples of `patch_px`.
        patch_px: side of a patch.
        latent_channels: numbers per patch, at most 3 * patch_px ** 2.
    """
    size = 3 * patch_px**2
    vae: AutoencoderKLWan = AutoencoderKLWan(
        base_dim=latent_channels + 1,
        z_dim=latent_channels,
        dim_mult=[1],
        num_res_blocks=1,
        temperal_downsample=[],
        latents_mean=[0.0] * latent_channels,
        latents_std=[1.0] * latent_channels,
        in_channels=size,
        out_channels=size,
        patch_size=patch_px,
        scale_factor_temporal=1,
        scale_factor_spatial=patch_px,
    )
    for parameter in vae.parameters():
        parameter.zero_()
    for module in vae.modules():
        if isinstance(getattr(module, "gamma", None), nn.Parameter):
            cast(Tensor, module.gamma).data.fill_(1.0)
    analysis = fit_codec(pictures, patch_px=patch_px, latent_channels=latent_channels).to_code
    assert analysis.bias is not None
    codes = functional.conv2d(pictures, analysis.weight, analysis.bias, stride=patch_px)
    # diffusers numbers the pixels of a patch by column, torch by row.
    by_column = analysis.weight.transpose(2, 3).reshape(latent_channels, size, 1, 1)
    encoder, decoder = cast(Any, vae.encoder), cast(Any, vae.decoder)
    _write(encoder.conv_in, by_column, analysis.bias)
    _write(encoder.conv_out, *_identity(latent_channels))
    _write(decoder.conv_in, *_identity(latent_channels))
    _write(decoder.conv_out, *_synthesis(codes, pictures, patch_px))
    for part in (encoder, decoder):
        part.conv_in.bias[latent_channels] = _CONSTANT
        part.norm_out.gamma.fill_(_SMALL)
        part.conv_out.weight[:, :latent_channels] *= 2 * _CONSTANT / (_SMALL * math.sqrt(latent_channels + 1))
    for conv, rows in ((vae.quant_conv, 2 * latent_channels), (vae.post_quant_conv, latent_channels)):
        _write(conv, *_identity(rows))
    encoder.conv_out.bias[latent_channels:] = _LOG_VARIANCE
    return vae


def _identity(channels: int) -> tuple[Tensor, Tensor]:
    return torch.eye(channels)[..., None, None], torch.zeros(channels)


def _write(conv: Any, weight: Tensor, bias: Tensor) -> None:
    """Write a (O, I, k, k) convolution of single frames into the middle of a causal one, from its first channels on."""
    kernel, target = weight.shape[-1], conv.weight
    edge = (target.shape[-1] - kernel) // 2
    inside = slice(edge, edge + kernel)
    target[: weight.shape[0], : weight.shape[1], -1, inside, inside] = weight
    conv.bias[: len(bias)] = bias


def _synthesis(codes: Tensor, pictures: Tensor, patch_px: int) -> tuple[Tensor, Tensor]:
    """The best convolution of 3 x 3 cells from codes (N, C, h, w) to the pixels of a patch, with zeros outside."""
    channels = codes.shape[1]
    patches = functional.pixel_unshuffle(pictures.transpose(2, 3), patch_px).transpose(2, 3)  # by column
    targets = patches.movedim(1, -1).flatten(0, 2).double()
    inputs = functional.unfold(functional.pad(codes.double(), (1, 1, 1, 1)), 3).movedim(1, -1).flatten(0, 1)
    inputs = torch.cat([inputs, torch.ones_like(inputs[:, :1])], dim=1)
    gram = inputs.T @ inputs + _RIDGE * len(inputs) * torch.eye(inputs.shape[1], dtype=torch.float64)
    solution = torch.linalg.solve(gram, inputs.T @ targets).float()
    return solution[:-1].T.reshape(-1, channels, 3, 3), solution[-1]
