"""What painting costs: seconds, and memory at its peak.

    python -m benchmarks.paint --painter tiny                                # on the CPU, fp32 and bf16
    python -m benchmarks.paint --sd15-shaped                                 # on a GPU, 8 frames of 512 px
    python -m benchmarks.paint --sd15-shaped --device meta --dtypes fp16 --vaes whole sliced --steps 1

`--sd15-shaped` uses networks of the real shapes with random weights, which cost the same as trained ones. Memory is
that of tensors, weights included: on a GPU as counted by its allocator, elsewhere as the sum of live storages. The next
column is the largest resident memory of the process, which includes Python and all libraries and never falls from row
to row. `--device meta` computes nothing: it adds up the memory that tensors would take, in seconds and on any machine,
with attention as in the fused kernels, which store no scores.
"""

import argparse
import itertools
import os
import resource
import time
import weakref
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("OMP_NUM_THREADS", "2")

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import CLIPTextConfig, CLIPTextModel

from benchmarks.command_line import from_1, run_benchmark
from pipelines.inference.loading import pipeline_of
from pipelines.inference.pipeline import PaintingPipeline
from pipelines.painters import painter_folder
from pipelines.inference.pinned import PinnedPicture
from training.noise_schedule import NoiseSchedule
from training.models.sd15.base import BaseModel
from training.models.sd15.motion import adapter_of, add_motion
from training.models import painter as painters
from training.models.painter_folder import load_painter
from training.models.sd15.painter import Painter
from training.models.sd15.replication import add_replication
from training.models.tiny.build import train_tokenizer

_GIB = 2**30
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_OFFLOADS = ("none", "model", "group", "sequential")
_PROMPT = "a red house by a lake under an orange sky, painted in oil"


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    painter_choice = parser.add_mutually_exclusive_group(required=True)
    painter_choice.add_argument("--painter", type=Path)
    painter_choice.add_argument("--sd15-shaped", action="store_true")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtypes", nargs="+", choices=_DTYPES)
    parser.add_argument("--vaes", nargs="+", choices=("whole", "sliced", "tiled"), default=["sliced"])
    parser.add_argument("--offloads", nargs="+", choices=_OFFLOADS)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--steps", type=from_1, default=50)
    parser.add_argument("--guidance", type=float, default=5.0)
    parser.add_argument("--num-frames", type=from_1, default=8)
    parser.add_argument("--size-px", type=from_1)
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    on_gpu = device.type == "cuda"
    dtypes = arguments.dtypes or (["fp16"] if on_gpu else ["fp32", "bf16"])
    offloads = arguments.offloads or (_OFFLOADS if on_gpu else ["none"])

    print(f"{arguments.num_frames} frames, the last pinned, DDIM {arguments.steps}, guidance {arguments.guidance}")
    print("dtype  VAE     offload     weights    peak  resident GiB   seconds   a step")
    for dtype, vae, offload in itertools.product(dtypes, arguments.vaes, offloads):
        precision = _DTYPES[dtype]
        with torch.device("meta") if device.type == "meta" else nullcontext():
            painter: painters.Painter
            folder = None if arguments.sd15_shaped else painter_folder(arguments.painter)
            painter = sd15_shaped(precision) if folder is None else load_painter(folder, precision)
            compiled = arguments.compile and offload in ("none", "model")
            pipeline = pipeline_of(painter, device, {}, offload, vae, compiled=compiled)
            if compiled:
                measure(pipeline, device, arguments, size_of(painter, arguments))  # compiles
        measured = measure(pipeline, device, arguments, size_of(painter, arguments))
        print(f"{dtype:<6} {vae:<7} {offload:<10}  {measured}", flush=True)
        del painter, pipeline


def size_of(painter: painters.Painter, arguments: argparse.Namespace) -> int:
    """Side of the pictures in pixels: the option, or the size on which the painter was trained."""
    return int(arguments.size_px or (512 if arguments.sd15_shaped else painter.facts["size_px"][0]))


def measure(pipeline: PaintingPipeline, device: torch.device, arguments: argparse.Namespace, size_px: int) -> str:
    """Paint once, and return the cells of its row."""
    pinned = [PinnedPicture(frame=-1, picture=torch.rand(3, size_px, size_px))]
    ticks: list[float] = []

    def tick() -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()  # a step of painting only queues its kernels
        ticks.append(time.perf_counter())

    weights = held(pipeline)
    tensors = LiveTensors(weights)
    attention = functional.scaled_dot_product_attention if device.type != "meta" else _attention_without_scores
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    start = time.perf_counter()
    # On a GPU the allocator counts, since to look at every operation would take twice as long as painting.
    counting = nullcontext() if device.type == "cuda" else tensors
    with mock.patch.object(functional, "scaled_dot_product_attention", attention), counting:
        pipeline(
            [_PROMPT],
            [pinned],
            num_frames=arguments.num_frames,
            size_px=(size_px, size_px),
            steps=arguments.steps,
            guidance=arguments.guidance,
            on_step=tick,
        )
    seconds = time.perf_counter() - start
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else tensors.peak
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    step = f"{(ticks[-1] - ticks[0]) / (len(ticks) - 1):8.3f}" if len(ticks) > 1 else "       -"
    return f"{weights / _GIB:7.2f} {peak / _GIB:7.2f} {resident / _GIB:9.2f}     {seconds:9.2f} {step}"


def held(pipeline: PaintingPipeline) -> int:
    """Bytes of all weights, each counted once."""
    weights = [weight for network in pipeline.networks.parts.values() for weight in network.parameters()]
    return sum({id(weight): weight.nbytes for weight in weights}.values())


def _attention_without_scores(query: Tensor, *_: object, **__: object) -> Tensor:
    return torch.empty_like(query)


class LiveTensors(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of the storages that operations allocate, as long as these are alive.

    The temporary memory of a kernel is not counted.

    Attributes:
        peak: the largest number of bytes that were alive at once.
    """

    def __init__(self, before: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._num_bytes = self.peak = before
        self._counted: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.aten._to_copy.default and args[0].is_meta and str(kwargs.get("device")) == "cpu":
            return torch.zeros(args[0].shape, dtype=kwargs.get("dtype"))  # the painted frames, which are not computed
        results = func(*args, **kwargs)
        for tensor in results if isinstance(results, tuple | list) else (results,):
            if isinstance(tensor, Tensor) and not func.is_view:
                self.count(tensor.untyped_storage(), [argument for argument in args if isinstance(argument, Tensor)])
        return results

    def count(self, storage: torch.UntypedStorage, inputs: Sequence[Tensor] = ()) -> None:
        """Count a storage from now on, unless it is counted already or belongs to an input of the operation."""
        address = storage._cdata
        if address in self._counted or any(tensor.untyped_storage()._cdata == address for tensor in inputs):
            return  # the operation wrote in place, or returned an input
        size = storage.nbytes()
        self._counted.add(address)
        self._num_bytes += size
        self.peak = max(self.peak, self._num_bytes)
        weakref.finalize(storage, self._forget, address, size)

    def _forget(self, address: int, size: int) -> None:
        self._counted.discard(address)
        self._num_bytes -= size


def sd15_shaped(dtype: torch.dtype) -> Painter:
    """A painter of the shapes of Stable Diffusion 1.5, AnimateDiff and SparseCtrl, with random weights."""
    default_dtype = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        tokenizer = train_tokenizer([_PROMPT])
        base = BaseModel(
            vae=AutoencoderKL(
                down_block_types=("DownEncoderBlock2D",) * 4,
                up_block_types=("UpDecoderBlock2D",) * 4,
                block_out_channels=(128, 256, 512, 512),
                layers_per_block=2,
                latent_channels=4,
                sample_size=512,
            ),
            tokenizer=tokenizer,
            text_encoder=CLIPTextModel(CLIPTextConfig(  # the shape of ViT-L/14, with another tokenizer
                vocab_size=49408, hidden_size=768, intermediate_size=3072, projection_dim=768, num_hidden_layers=12,
                num_attention_heads=12, max_position_embeddings=77, bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
            )),
            unet=UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8),
            schedule=NoiseSchedule(),
        )  # fmt: skip
        motion = adapter_of(add_motion(base.unet, None))
        replication = add_replication(base.unet)
    finally:
        torch.set_default_dtype(default_dtype)
    for network in (base.vae, base.text_encoder, base.unet, motion, replication):
        network.requires_grad_(False).eval()
        network.to(dtype)
    return Painter(base=base, motion=motion, replication=replication)


if __name__ == "__main__":
    run_benchmark(main)
