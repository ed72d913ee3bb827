"""What Wan2.2-TI2V-5B would hold in memory, counted on the meta device in its real shapes.

    python -m benchmarks.wan

Nothing is computed and no weights are needed: the networks have the shapes that the release's configuration says.
Memory is what tensors hold at the peak, weights included, with attention as by the fused kernels, which hold no scores.
What kernels take for themselves while they run does not count. FLOPs are those of products, as
`torch.utils.flop_counter` counts them.
"""

import argparse
import gc
import os
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

os.environ.setdefault("OMP_NUM_THREADS", "2")

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode
from transformers import UMT5Config, UMT5EncoderModel

from benchmarks.command_line import run_benchmark
from benchmarks.paint import LiveTensors
from training.data.text import Text
from training.models.conditions import Conditions
from training.models.shape import LoraShape
from training.models.waiting import WaitingLinear, let_wait
from training.models.wan22.denoiser import WanDenoiser
from training.models.wan22.flow import Flow
from training.models.wan22.lora import add_lora
from training.models.wan22.shape import LORA_LAYERS

_GIB = 2**30
_RANK = 64
_WORDS = 512


def released_transformer() -> WanTransformer3DModel:
    """The transformer in bf16, except for the modules that diffusers keeps in float32."""
    transformer: WanTransformer3DModel = WanTransformer3DModel(
        num_attention_heads=24, attention_head_dim=128, in_channels=48, out_channels=48, text_dim=4096, freq_dim=256,
        ffn_dim=14336, num_layers=30,
    )  # fmt: skip
    float32_modules = transformer._keep_in_fp32_modules
    for name, parameter in transformer.named_parameters():
        if not any(part in name for part in float32_modules):
            parameter.data = parameter.data.to(torch.bfloat16)
    return transformer.requires_grad_(False)


def released_vae() -> AutoencoderKLWan:
    """The VAE in float32."""
    vae: AutoencoderKLWan = AutoencoderKLWan(
        base_dim=160, decoder_base_dim=256, z_dim=48, dim_mult=[1, 2, 4, 4], num_res_blocks=2,
        temperal_downsample=[False, True, True], is_residual=True, in_channels=12, out_channels=12, patch_size=2,
        scale_factor_spatial=16, latents_mean=[0.0] * 48, latents_std=[1.0] * 48,
    )  # fmt: skip
    return vae.requires_grad_(False)


def released_text_encoder() -> UMT5EncoderModel:
    """The text encoder in bf16."""
    config = UMT5Config(
        vocab_size=256384, d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64,
        feed_forward_proj="gated-gelu", tie_word_embeddings=False,
    )  # fmt: skip
    return UMT5EncoderModel(config).to(torch.bfloat16).requires_grad_(False)


class _Fused(torch.autograd.Function):
    """Attention that keeps what fused kernels keep for the backward pass: query, key, value and result."""

    @staticmethod
    def forward(context: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Allocate the result; query, key and value are (B, H, N, D)."""
        result = torch.empty_like(query)
        context.save_for_backward(query, key, value, result)
        return result

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Allocate gradients of the shapes of query, key and value."""
        query, key, value, _ = context.saved_tensors
        return torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)


def _fused(query: Tensor, key: Tensor, value: Tensor, *_: object, **__: object) -> Tensor:
    result: Tensor = _Fused.apply(query, key, value)
    return result


@dataclass(frozen=True)
class Sequences:
    """The size of a sequence as the transformer sees it: S latents of h x w cells each."""

    num_latents: int
    height: int
    width: int

    @property
    def num_tokens(self) -> int:
        """Tokens of one sequence."""
        return self.num_latents * (self.height // 2) * (self.width // 2)

    def inputs(self, count: int = 1) -> tuple[Tensor, Tensor, Text, Conditions]:
        """Noisy latents, timesteps, text, and the last frame as a condition."""
        latents = torch.empty(count, self.num_latents, 48, self.height, self.width)
        text = Text({"text": torch.empty(count, _WORDS, 4096, dtype=torch.bfloat16)})
        strengths = torch.empty(count, self.num_latents)
        return latents, torch.empty(count), text, Conditions(latents=torch.empty_like(latents), mask=strengths)


PICTURES = Sequences(8, 32, 32)  # 8 frames of 512 px, each encoded alone
VIDEO = Sequences(21, 30, 52)  # 81 frames of 480 x 832


@contextmanager
def counted(*networks: nn.Module) -> Iterator[LiveTensors]:
    """Count the bytes of tensors, starting with the weights of these networks."""
    gc.collect()
    tensors = LiveTensors(0)
    for network in networks:
        for weight in network.parameters():
            tensors.count(weight.untyped_storage())
    with _fused_attention(), tensors:
        yield tensors


@contextmanager
def fetched(network: nn.Module) -> Iterator[None]:
    """Keep the weights of a network elsewhere: each layer fetches its own before it runs.

    The layer before still holds its weights at that time, as with `offload=group` on a GPU.
    """
    copies: deque[list[Tensor]] = deque(maxlen=2)

    def fetch(layer: nn.Module, _: object) -> None:
        copies.append([weight.clone() for weight in layer.parameters(recurse=False)])

    layers = [layer for layer in network.modules() if any(True for _ in layer.parameters(recurse=False))]
    hooks = [layer.register_forward_pre_hook(fetch) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _fused_attention() -> AbstractContextManager[object]:
    return mock.patch.object(functional, "scaled_dot_product_attention", _fused)


def attention_flops(sequences: Sequences, passes: int) -> float:
    """FLOPs of the products in attention, which are not computed: two of tokens by tokens, two of tokens by words."""
    tokens, width, blocks = sequences.num_tokens, 3072, 30
    return passes * blocks * 4.0 * tokens * (tokens + _WORDS) * width


def _copied(layer: WaitingLinear, inputs: Tensor) -> Tensor:
    """Forward pass of a layer whose weights wait on another device; here both devices are the meta device."""
    return functional.linear(inputs, layer.weight.clone(), None if layer.bias is None else layer.bias.clone())


def training_row(precision: str, *, checkpointing: bool, offload: bool = False) -> str:
    """A training step with a LoRA of rank 64 on 8 frames of 512 px, with cached latents and text, batch size 1."""
    transformer = released_transformer()
    if precision == "fp8":
        transformer.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.bfloat16)
    if checkpointing:
        transformer.enable_gradient_checkpointing()
    add_lora(transformer, "motion", LoraShape(rank=_RANK, alpha=_RANK, targets=LORA_LAYERS))
    if offload:
        let_wait(transformer)
    trained = [parameter for parameter in transformer.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, foreach=False)
    denoiser, flops = WanDenoiser(transformer, Flow()), FlopCounterMode(display=False)

    def step() -> None:
        latents, timesteps, text, conditions = PICTURES.inputs()
        loss = (denoiser(latents, timesteps, text, conditions).float() - latents).square().mean()
        loss.backward()
        optimizer.step()

    gpu_layers = [layer for layer in transformer.modules() if not isinstance(layer, WaitingLinear)]
    gpu_weights = nn.ParameterList(weight for layer in gpu_layers for weight in layer.parameters(recurse=False))
    with mock.patch.object(WaitingLinear, "forward", _copied), counted(gpu_weights) as tensors:
        step()
    with _fused_attention(), flops:  # in a step of their own, because this counter keeps tensors alive
        step()
    weights = sum(weight.nbytes for weight in gpu_weights) / _GIB
    millions = sum(parameter.numel() for parameter in trained) / 1e6
    total = (flops.get_total_flops() + attention_flops(PICTURES, 4 if checkpointing else 3)) / 1e12
    savings = ", checkpointing" * checkpointing + ", offload" * offload
    return (
        f"training, rank {_RANK} ({millions:.0f} M), 8 x 512 px, base in {precision}{savings}: "
        f"weights {weights:.1f}, peak {tensors.peak / _GIB:.1f} GiB; {total:.0f} TFLOP a sample"
    )


def sampling_row(name: str, sequences: Sequences) -> str:
    """The memory and FLOPs of a step of painting, with guidance and one pinned frame."""
    transformer = released_transformer()
    denoiser, flops = WanDenoiser(transformer, Flow()), FlopCounterMode(display=False)
    with torch.no_grad(), counted(transformer) as tensors:
        denoiser(*sequences.inputs(2))
    with torch.no_grad(), _fused_attention(), flops:
        denoiser(*sequences.inputs(2))
    with torch.no_grad(), fetched(transformer), counted() as by_layer:
        denoiser(*sequences.inputs(2))
    total = (flops.get_total_flops() + 2 * attention_flops(sequences, 1)) / 1e12
    return (
        f"painting, {name}: {sequences.num_tokens} tokens; peak {tensors.peak / _GIB:.1f} GiB, with offload=group "
        f"{by_layer.peak / _GIB:.1f}; {total:.0f} TFLOP a step"
    )


def vae_row(name: str, shape: tuple[int, int, int, int, int], *, tiled: bool) -> str:
    """The memory for decoding latents of shape (N, C, S, h, w)."""
    vae = released_vae()
    if tiled:
        vae.enable_tiling()
    with torch.no_grad(), counted(vae) as tensors:
        vae.decode(torch.empty(shape))
    weights = sum(weight.nbytes for weight in vae.parameters()) / _GIB
    return f"VAE decodes {name}{', tiled' if tiled else ''}: weights {weights:.1f}, peak {tensors.peak / _GIB:.1f} GiB"


def text_row() -> str:
    """The memory of the text encoder for two captions of 512 words."""
    encoder = released_text_encoder()
    weights = sum(weight.nbytes for weight in encoder.parameters()) / _GIB
    with torch.no_grad(), fetched(encoder), counted() as by_layer:
        encoder(torch.zeros(2, _WORDS, dtype=torch.long))
    return f"text encoder in bf16: weights {weights:.1f} GiB; with offload=group peak {by_layer.peak / _GIB:.1f}"


def main() -> None:
    """Count, and print."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with torch.device("meta"):
        for precision, checkpointing in (("bf16", True), ("fp8", True), ("bf16", False)):
            print(training_row(precision, checkpointing=checkpointing), flush=True)
        print(training_row("bf16", checkpointing=True, offload=True), flush=True)
        print(sampling_row("8 x 512 px", PICTURES), flush=True)
        print(sampling_row("81 x 480 x 832 px as video", VIDEO), flush=True)
        print(vae_row("a picture of 512 px", (1, 48, 1, 32, 32), tiled=False), flush=True)
        for tiled in (False, True):
            print(vae_row("81 frames of 480 x 832 px", (1, 48, 21, 30, 52), tiled=tiled), flush=True)
        print(text_row(), flush=True)


if __name__ == "__main__":
    run_benchmark(main)
