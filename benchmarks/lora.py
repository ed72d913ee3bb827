"""What LoRAs learn of an artist, on held-out sequences of that artist.

    python -m benchmarks.lora [--data ARTIST] [--base RUN] [--motion RUN] [--spatial RUN] [--way RUN] [--all-frames RUN]

By default ARTIST is what `benchmarks.artist` makes, and runs are where `make train-tiny` puts them: outputs/tiny/base,
motion; outputs/tiny/spatial_lora and motion_lora are for you to train.

By how much losses are lower, with 95 % intervals over pictures: of finished pictures without and with the spatial LoRA
(and with one that was trained on all frames), and of sequences with the spatial LoRA, without and with the motion LoRA.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "2")

import numpy as np
from numpy.typing import NDArray
from torch import nn

from benchmarks.command_line import from_1, run_benchmark
from benchmarks.resampling import pictures_of, share_lower
from benchmarks.tiny import add_trained, held_out, load_animated, losses
from training.data.batch import SequenceBatch
from training.models.sd15.base import BaseModel, load_base
from training.models.lora import apply_lora
from training.models.sd15.lora import load_lora
from training.stages.denoising import DenoisingConfig, DenoisingNetwork
from training.models.sd15.denoisers import FrameDenoiser, SequenceDenoiser
from training.models.weights import parent_weights


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    runs = {"base": "base", "motion": "motion", "spatial": "spatial_lora", "way": "motion_lora"}
    add_trained(parser, data="artist/sequences", **runs)
    parser.add_argument("--all-frames", type=Path)
    parser.add_argument("--num-sequences", type=from_1, default=64)
    arguments = parser.parse_args()
    sequences = held_out(arguments.data, arguments.num_sequences)
    finished = [last_frames(batch) for batch in sequences]
    pictures = pictures_of(arguments.data, [key for batch in sequences for key in batch.keys])

    before = frame_losses(arguments.base, None, finished)
    with_lora = frame_losses(arguments.base, arguments.spatial, finished)
    report("finished pictures, spatial LoRA", before, with_lora, pictures)
    if arguments.all_frames is not None:
        of_all_frames = frame_losses(arguments.base, arguments.all_frames, finished)
        report("the same trained on all frames", before, of_all_frames, pictures)
    with_spatial = sequence_losses(arguments, (arguments.spatial,), sequences)
    with_both = sequence_losses(arguments, (arguments.spatial, arguments.way), sequences)
    report("sequences, spatial LoRA", sequence_losses(arguments, (), sequences), with_spatial, pictures)
    report("sequences, motion LoRA as well", with_spatial, with_both, pictures)


def last_frames(batch: SequenceBatch) -> SequenceBatch:
    """The finished pictures of sequences."""
    assert batch.frames is not None
    return SequenceBatch(
        keys=batch.keys, positions=batch.positions, captions=batch.captions, frames=batch.frames[:, -1:]
    )


def frame_losses(base_run: Path, lora: Path | None, batches: list[SequenceBatch]) -> NDArray[np.float64]:
    """(N,) losses of pictures, with a LoRA on the base if one is named."""
    base = load_base(parent_weights("base", base_run))
    if lora is not None:
        apply_lora(base.unet, "lora", load_lora("lora", parent_weights("lora", lora), base.unet, {}))
    return losses(network(base, FrameDenoiser(base.unet)), batches)


def sequence_losses(
    arguments: argparse.Namespace, loras: tuple[Path, ...], batches: list[SequenceBatch]
) -> NDArray[np.float64]:
    """(N,) losses of sequences, with these LoRAs on the animated base."""
    base, unet = load_animated(arguments.base, arguments.motion)
    lora_weights = [load_lora("lora", parent_weights("lora", lora), unet, {}) for lora in loras]
    for number, weights in enumerate(lora_weights):
        apply_lora(unet, f"lora{number}", weights)
    return losses(network(base, SequenceDenoiser(unet)), batches)


def network(base: BaseModel, denoiser: nn.Module) -> DenoisingNetwork:
    """The network that computes the loss of training."""
    return DenoisingNetwork(base, denoiser, DenoisingConfig(objective=base.schedule)).eval()


def report(title: str, before: NDArray[np.float64], after: NDArray[np.float64], pictures: Sequence[str]) -> None:
    """Print one line: mean losses before and after, and by which share they are lower."""
    reduction = share_lower(before, after, pictures)
    shares = f"{reduction.value:.1%} [{reduction.low:.1%}, {reduction.high:.1%}]"
    print(f"{title:<34} {before.mean():.4f} -> {after.mean():.4f}, lower by {shares}")


if __name__ == "__main__":
    run_benchmark(main)
