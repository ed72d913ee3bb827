"""How well a painter keeps to pictures pinned to frames, on held-out scenes.

    python -m benchmarks.painter [--painter outputs/tiny/painter] [--data outputs/tiny/scenes]

The last frame is pinned: its error with network and inversion on and off, without keeping its paint, which would hide
what these do; the same with its paint kept, as painting does; what that does to the frames before it; and what
inversion followed by sampling alone returns. `benchmarks.replication` has conditions at other frames, also wrong ones.
"""

import argparse
import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "2")

import numpy as np
import torch
from torch import Tensor

from benchmarks.command_line import from_1, run_benchmark
from benchmarks.tiny import add_trained, held_out
from pipelines.evaluation.process import Process, colour_difference
from pipelines.inference.loading import load_painter_pipeline
from pipelines.inference.pipeline import PaintingPipeline
from pipelines.inference.pinned import PinnedPicture
from training.diffusion import invert, sample

_AT_ONCE = 16


def main() -> None:
    """Measure, and print."""
    arguments = trial_parser(__doc__ or "").parse_args()
    pipeline, _ = load_painter_pipeline(arguments.painter, torch.float32, torch.device("cpu"), {})
    trial = Trial(pipeline, arguments.data, arguments.num_sequences, arguments.steps, arguments.guidance)
    last = len(trial.real[0]) - 1

    print(f"{len(trial.real)} held-out sequences, DDIM {arguments.steps}, guidance {arguments.guidance}")
    sequences = {"real": trial.real}
    print("\nlast frame pinned           MSE      L1     PSNR      paper: MSE 0.0148, L1 0.0822")
    for network in (True, False) if pipeline.networks.takes_conditions else (False,):
        for inversion in (True, False):
            frames = trial.painted([last], network=network, inversion=inversion, keep=False)
            errors = errors_at([last], frames, trial.real)
            errors += "" if network or inversion else "  as if nothing were pinned"
            print(f"network {_on_or_off(network)}, inversion {_on_or_off(inversion)}  {errors}", flush=True)
            if network == inversion:
                sequences[f"both {_on_or_off(network)}"] = frames
    sequences["both on, paint kept"] = trial.painted([last])
    print(f"both on, paint kept        {errors_at([last], sequences['both on, paint kept'], trial.real)}")
    print("\nmean dE from frame to frame; MSE of the frames between the first and the last against the real ones")
    for name, frames in sequences.items():
        error = (frames - trial.real)[:, 1:last].square().mean()
        print(f"{name:<21}{' '.join(f'{step:5.1f}' for step in _steps(frames))}   {error:.4f}")
    print(f"\ninversion, then sampling without guidance: PSNR {trial.inversion_psnr_db():.2f} dB")


def trial_parser(description: str) -> argparse.ArgumentParser:
    """A parser with the options of every trial of a painter on held-out sequences."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--painter", type=Path, default=Path("tiny"), help="by default the one that comes along")
    add_trained(parser, data="scenes")
    parser.add_argument("--num-sequences", type=from_1, default=64)
    parser.add_argument("--steps", type=from_1, default=50)
    parser.add_argument("--guidance", type=float, default=2.5)
    return parser


class Trial:
    """A painter, and held-out sequences.

    Attributes:
        real: (N, T, 3, H, W) in [0, 1].
    """

    def __init__(self, pipeline: PaintingPipeline, data: Path, count: int, steps: int, guidance: float) -> None:
        batches = held_out(data, count)
        self._pipeline, self._steps, self._guidance = pipeline, steps, guidance
        self._captions = [caption for batch in batches for caption in batch.captions]
        self.real = torch.cat([batch.frames for batch in batches if batch.frames is not None]) / 2 + 0.5

    def painted(
        self, places: Sequence[int], *, network: bool = True, inversion: bool = True, keep: bool = True
    ) -> Tensor:
        """Sequences with their real frames pinned at some places."""
        conditions = [[PinnedPicture(frame=place, picture=frames[place]) for place in places] for frames in self.real]
        height_px, width_px = self.real.shape[-2:]
        return painted_in_batches(
            self._pipeline, self._captions, conditions, num_frames=self.real.shape[1], size_px=(height_px, width_px),
            steps=self._steps, guidance=self._guidance, network=network, inversion=inversion, keep=keep,
        )  # fmt: skip

    @torch.no_grad()
    def inversion_psnr_db(self) -> float:
        """Mean PSNR in dB of finished pictures that the base has inverted to noise and sampled again."""
        base, pictures = self._pipeline.base, self.real[:, -1:]
        mean, _ = base.encode_sequences(pictures * 2 - 1)
        text, denoise = base.embed([""]).repeated(len(pictures)), self._pipeline.networks.inverter()
        assert denoise is not None, "this painter inverts no pictures"
        noise = invert(denoise, base.objective, base.scaled(mean)[:, 0], text, num_steps=self._steps)
        restored = sample(denoise, base.objective, noise, text, text, num_steps=self._steps, guidance=1.0)
        errors = (base.decode_sequences(restored[:, None]) - pictures).square().mean((1, 2, 3, 4))
        return float((-10 * errors.log10()).mean())


def painted_in_batches(
    pipeline: PaintingPipeline,
    prompts: Sequence[str],
    conditions: Sequence[Sequence[PinnedPicture]] | None = None,
    **options: Any,
) -> Tensor:
    """(N, T, 3, H, W) sequences in [0, 1] for any number of prompts; options go to the pipeline."""
    sequences = []
    for first in range(0, len(prompts), _AT_ONCE):
        batch = slice(first, first + _AT_ONCE)
        pinned = None if conditions is None else conditions[batch]
        sequences.append(pipeline(prompts[batch], pinned, seed=first, **options).frames)
    return torch.cat(sequences)


def processes(frames: Tensor) -> list[Process]:
    """(N, T, 3, H, W) sequences in [0, 1] as the processes that metrics take."""
    pixels = (frames * 255).round().byte().permute(0, 1, 3, 4, 2).numpy()
    return [Process(name=str(number), frames=sequence) for number, sequence in enumerate(pixels)]


def errors_at(places: Sequence[int], frames: Tensor, real: Tensor) -> str:
    """MSE, L1 and PSNR of (N, T, 3, H, W) sequences at some frames, as cells of a table."""
    difference = frames[:, list(places)] - real[:, list(places)]
    errors = difference.square().mean((1, 2, 3, 4))
    return f"{errors.mean():.4f}  {difference.abs().mean():.4f}  {(-10 * errors.log10()).mean():6.2f}"


def _steps(frames: Tensor) -> list[float]:
    """(T - 1,) mean dE from each frame to the next."""
    differences = [[colour_difference(*pair).mean() for pair in pairwise(process.lab)] for process in processes(frames)]
    return [float(step) for step in np.mean(differences, axis=0)]


def _on_or_off(switch: bool) -> str:
    return "on " if switch else "off"


if __name__ == "__main__":
    run_benchmark(main)
