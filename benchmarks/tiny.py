"""What the tiny model has learnt, on held-out scenes.

    python -m benchmarks.tiny [--data outputs/tiny/scenes] [--base outputs/tiny/base] [--motion outputs/tiny/motion]

Prints the loss with the temporal modules on and off (paired, 95 % interval over pictures), and how generated sequences
progress: their distance to their own last frame, frame by frame, and how much of the first frame is blank. Writes a
sheet of real and generated sequences beside the motion model.
"""

import argparse
import itertools
import os
from dataclasses import asdict, replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "2")

import numpy as np
import torch
from diffusers import UNetMotionModel
from numpy.typing import NDArray

from benchmarks.command_line import from_1, run_benchmark
from benchmarks.resampling import mean_of, pictures_of
from training.data.batch import SequenceBatch
from training.data.stream import DataMixture, SequenceStream
from training.models.sd15.base import BaseModel, load_base, with_its_unet
from training.models.sd15.motion import add_motion, load_motion, without_motion
from training.run.samples import write_samples
from training.stages.denoising import DenoisingConfig, DenoisingNetwork, sample_sequences
from training.models.sd15.denoisers import SequenceDenoiser
from training.models.weights import noise_of_run, parent_weights
from training.noise_schedule import schedule_of_recipe

_BLANK = 0.1  # largest difference in any channel of [0, 1]
_DRAWS = 4  # noise levels for each sequence
_AT_ONCE = 8  # sequences in a batch, and pairs of sequences on the sheet
_TINY = Path("outputs/tiny")


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_trained(parser, data="scenes", base="base", motion="motion")
    parser.add_argument("--num-sequences", type=from_1, default=64)
    parser.add_argument("--guidance", type=float, default=2.5)
    arguments = parser.parse_args()
    base, unet = load_animated(arguments.base, arguments.motion)
    denoiser = SequenceDenoiser(unet)
    config = DenoisingConfig(objective=base.schedule, guidance=arguments.guidance)
    network = DenoisingNetwork(base, denoiser, config).eval()
    batches = held_out(arguments.data, arguments.num_sequences)

    on = losses(network, batches)
    with without_motion(unet):
        off = losses(network, batches)
    pictures = pictures_of(arguments.data, [key for batch in batches for key in batch.keys])
    gain = mean_of(off - on, pictures)
    print(f"loss on {len(on)} held-out sequences: {on.mean():.4f} with motion, {off.mean():.4f} without")
    share = 100 * gain.value / off.mean()
    print(f"lower by {share:.1f} %; difference {gain.value:.4f} [{gain.low:.4f}, {gain.high:.4f}]")

    real = torch.cat([_frames(batch) for batch in batches]) / 2 + 0.5
    captions = [caption for batch in batches for caption in batch.captions]
    painted: list[torch.Tensor] = []
    for first in range(0, len(captions), _AT_ONCE):
        prompts = captions[first : first + _AT_ONCE]
        shape = (real.shape[1], base.latent_channels, *_grid(real, base.patch_px))
        painted.append(sample_sequences(base, denoiser, config, prompts, first, shape))
    made = torch.cat(painted)
    distances = (made - made[:, -1:]).square().mean((2, 3, 4)).sqrt().mean(0)
    blank = ((made[:, 0] - real[:, 0]).abs().amax(1) < _BLANK).float().mean()
    print("distance of generated frames to their last: " + " ".join(f"{distance:.3f}" for distance in distances))
    print(f"falls at every frame: {'yes' if bool((distances.diff() < 0).all()) else 'no'}")
    print(f"blank in the first frame: {100 * blank:.0f} %")
    pairs = torch.stack([real[:_AT_ONCE], made[:_AT_ONCE]], dim=1).flatten(0, 1)
    _, sheet = write_samples(arguments.motion / "held_out", 0, pairs)
    print(f"real, and generated for the same caption: {sheet}")


def add_trained(parser: argparse.ArgumentParser, **folders: str) -> None:
    """Add options for what `make train-tiny` makes; the defaults are the folders where it puts them."""
    for name, folder in folders.items():
        parser.add_argument(f"--{name}", type=Path, default=_TINY / folder, help="by default %(default)s")


def load_animated(base_run: Path, motion_run: Path) -> tuple[BaseModel, UNetMotionModel]:
    """A base with the noise schedule of its temporal modules' training, and its UNet with these modules."""
    weights = parent_weights("motion", motion_run)
    base = with_its_unet(load_base(parent_weights("base", base_run)), weights)
    unet = add_motion(base.unet, load_motion(weights, base.unet)).eval()
    noise = noise_of_run(weights)
    return replace(base, schedule=base.schedule if noise is None else schedule_of_recipe(asdict(noise))), unet


def held_out(data: Path, count: int) -> list[SequenceBatch]:
    """At most `count` sequences of the val split, in batches of equal size."""
    stream = SequenceStream.open([DataMixture(path=str(data))], split="val")
    size = min(_AT_ONCE, count, len(stream))
    with stream.batches(seed=0, batch_size=size) as batches:
        return list(itertools.islice(batches, min(count, len(stream)) // size))


@torch.no_grad()
def losses(network: DenoisingNetwork, batches: list[SequenceBatch]) -> NDArray[np.float64]:
    """(N,) loss of each sequence, a mean over several noise levels; every call draws the same noise."""
    losses_of_batches = []
    for batch in batches:
        draws = [
            network(SequenceBatch(
                keys=batch.keys, positions=batch.positions * _DRAWS + level, captions=batch.captions,
                frames=batch.frames,
            )).per_sample
            for level in range(_DRAWS)
        ]  # fmt: skip
        losses_of_batches.append(torch.stack(draws).mean(0))
    return torch.cat(losses_of_batches).double().numpy()


def _frames(batch: SequenceBatch) -> torch.Tensor:
    assert batch.frames is not None
    return batch.frames


def _grid(frames: torch.Tensor, patch_px: int) -> tuple[int, int]:
    return frames.shape[-2] // patch_px, frames.shape[-1] // patch_px


if __name__ == "__main__":
    run_benchmark(main)
