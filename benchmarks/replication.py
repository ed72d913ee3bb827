"""How faithfully the tiny model keeps to pictures that are pinned to frames, on held-out scenes.

    python -m benchmarks.replication [--data outputs/tiny/scenes] [--base outputs/tiny/base]
        [--motion outputs/tiny/motion] [--replication outputs/tiny/replication]

For conditions at the last frame, at each single frame, at two and at three: error at these frames with the network and
without it, and for one, two and three of them with each condition shown in another slot than its own. From the same
noise, through the network alone.
"""

import argparse
import os
from functools import partial
from collections.abc import Sequence

os.environ.setdefault("OMP_NUM_THREADS", "2")

import torch
from torch import Tensor

from benchmarks.command_line import from_1, run_benchmark
from benchmarks.tiny import add_trained, held_out, load_animated
from training.data.batch import SequenceBatch
from training.models.conditions import Conditions
from training.models.sd15.replication import load_replication
from training.run.samples import write_samples
from training.stages.denoising import DenoisingConfig, DenoisingNetwork, sample_sequences
from training.models.sd15.denoisers import ConditionedDenoiser, SequenceDenoiser
from training.models.weights import parent_weights

_NUM_PAIRS_SHOWN = 8


class Faithfulness:
    """Paints held-out sequences from the same noise under different conditions, and measures.

    Args:
        arguments: those of the command line.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._base, unet = load_animated(arguments.base, arguments.motion)
        replication = load_replication(parent_weights("replication", arguments.replication), self._base.unet).eval()
        self._without, self._with = SequenceDenoiser(unet), ConditionedDenoiser(unet, replication)
        self._config = DenoisingConfig(objective=self._base.schedule, guidance=arguments.guidance)
        self._network = DenoisingNetwork(self._base, self._without, self._config)
        self._batches = held_out(arguments.data, arguments.num_sequences)
        self._num_steps = arguments.steps
        self.num_frames = self._real(self._batches[0]).shape[1]

    @staticmethod
    def _real(batch: SequenceBatch) -> Tensor:
        assert batch.frames is not None
        return batch.frames / 2 + 0.5

    def painted(self, frames: Sequence[int], slots_moved: int = 0) -> tuple[Tensor, Tensor]:
        """Generated and real sequences, (N, T, 3, H, W) each.

        Args:
            frames: condition frames; with none of them the network is left out.
            slots_moved: by how many slots each condition is shown after its own.
        """
        batches_made = []
        for number, batch in enumerate(self._batches):
            mean, _ = self._network.posterior(batch)
            strengths = torch.zeros(mean.shape[:2])
            strengths[:, list(frames)] = 1
            own = Conditions.among(mean * self._base.scaling, strengths)
            conditions = Conditions(latents=own.latents.roll(slots_moved, 1), mask=own.mask.roll(slots_moved, 1))
            batches_made.append(
                sample_sequences(
                    self._base,
                    partial(self._with, conditions=conditions) if frames else self._without,
                    self._config,
                    batch.captions,
                    number,
                    (mean.shape[1], *mean.shape[2:]),
                    num_steps=self._num_steps,
                )
            )
        return torch.cat(batches_made), torch.cat([self._real(batch) for batch in self._batches])

    def errors(self, made: Tensor, real: Tensor, frames: Sequence[int]) -> tuple[float, float]:
        """Mean squared and mean absolute error at some frames."""
        differences = made[:, list(frames)] - real[:, list(frames)]
        return float(differences.square().mean()), float(differences.abs().mean())


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_trained(parser, data="scenes", base="base", motion="motion", replication="replication")
    parser.add_argument("--num-sequences", type=from_1, default=64)
    parser.add_argument("--guidance", type=float, default=2.5)
    parser.add_argument("--steps", type=from_1, default=30)
    arguments = parser.parse_args()
    faithfulness = Faithfulness(arguments)
    without, real = faithfulness.painted(())
    last = faithfulness.num_frames - 1
    cases = [(last,), *((frame,) for frame in range(last)), (0, last), (last // 2, last), (0, last // 2, last)]
    controls = (cases[0], *cases[-2:])
    print(f"{len(real)} held-out sequences; MSE (L1) at the condition frames")
    print(f"{'frames':<12}{'network':>18}{'none':>18}{'of none':>10} in other slots")
    for frames in cases:
        made, _ = faithfulness.painted(frames)
        variants = [made, without]
        if frames in controls:
            variants.append(faithfulness.painted(frames, slots_moved=1)[0])
        rows = [faithfulness.errors(sequences, real, frames) for sequences in variants]
        cells = [f"{mse:.4f} ({absolute:.4f})" for mse, absolute in rows]
        ratio = rows[0][0] / rows[1][0]
        print(
            f"{','.join(map(str, frames)):<12}{''.join(f'{cell:>18}' for cell in cells[:2])}{ratio:>10.2f}", *cells[2:]
        )
        if frames == (last,):
            pairs = torch.stack([real[:_NUM_PAIRS_SHOWN], made[:_NUM_PAIRS_SHOWN]], dim=1).flatten(0, 1)
            _, sheet = write_samples(arguments.replication / "held_out", 0, pairs)
    print(f"real, and generated under the real one's last frame: {sheet}")


if __name__ == "__main__":
    run_benchmark(main)
