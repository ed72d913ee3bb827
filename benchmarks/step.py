"""What a step of training takes besides the network's forward and backward, now and as it was before, row by row.

    python -m benchmarks.step
    python -m benchmarks.step --repeats 100

Two workloads: 256 pictures of 8 x 32 x 32 latents (stage base of the tiny model), and 4 sequences of 8 frames of
4 x 64 x 64 (Stable Diffusion at 512 px). Times are the least of many on this machine's CPU, which others may use as
well. Averages, clipping and optimizer use as many tensors as a tiny UNet has, with few numbers in each: this measures
the launching of operations, for which a GPU waits, and not their arithmetic, which is fast on a GPU. The time of work
that is done once for several steps is divided by their number. `before` is the first implementation: one generator for
each sample, captions tokenised in the step, one kernel for each parameter, numbers read at every step. The optimizer's
step is printed but is not in the totals; now it also does the division of gradients that clipping did before.
"""

import argparse
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.command_line import from_1, run_benchmark
from training.data.batch import SequenceBatch
from training.run.device import Arrivals, DeviceClock
from training.diffusion import draw
from training.run.clipping import Clipping
from training.run.ema import MovingAverage
from training.run.measurements import LossWindow, Speed
from training.models.sd15.base import Tokens
from training.models.tiny.build import train_tokenizer
from training.noise_schedule import NoiseSchedule
from training.random.philox import normals
from training.random.streams import Stream
from training.run.run_folder import RunFolder
from training.run.unread import StepOutcome, Unread

_NUM_STEPS, _DROPOUT, _SEED, _DECAY, _LOG_EVERY = 1000, 0.1, 0, 0.999, 10
_NUM_TENSORS, _TENSOR_SIZE = 270, 64  # the weights: tensors, and numbers in each
_CPU = torch.device("cpu")
_THINGS = ("house", "boat", "tree", "church", "lighthouse", "bridge", "hill", "mill")
_COLOURS = ("red", "white", "green", "blue", "grey", "yellow")

Work = Callable[[], object]


@dataclass(frozen=True)
class Workload:
    """A batch.

    Attributes:
        name: as printed.
        batch_size: samples.
        shape: (T, C, h, w) of one sample.
        exact: whether the codec's latents are certain, so that none need be drawn from its posterior.
        target_ms: milliseconds that a step may take.
    """

    name: str
    batch_size: int
    shape: tuple[int, int, int, int]
    exact: bool
    target_ms: float


WORKLOADS = (
    Workload("256 x 8x32x32", 256, (1, 8, 32, 32), exact=True, target_ms=3.0),
    Workload("4 x 8x4x64x64", 4, (8, 4, 64, 64), exact=False, target_ms=1.0),
)


@dataclass(frozen=True)
class Row:
    """A part of a step: how it was done before and is done now, and whether it is in the totals.

    Each way is run once in `before_every` or `now_every` steps.
    """

    name: str
    before: Work
    now: Work
    before_every: int = 1
    now_every: int = 1
    counted: bool = True


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=from_1, default=30, help="of each row, at least 1")
    arguments = parser.parse_args()
    totals = []
    for workload in WORKLOADS:
        print(f"{workload.name}, {torch.get_num_threads()} threads{'before':>16}{'now':>10}  ms a step")
        before = now = 0.0
        with tempfile.TemporaryDirectory() as folder:
            for row in _rows(workload, Path(folder)):
                times_ms = [
                    _least_ms(work, arguments.repeats) / every
                    for work, every in ((row.before, row.before_every), (row.now, row.now_every))
                ]
                note = "" if row.counted else "  not in the total"
                print(f"{row.name:>38}{times_ms[0]:>10.3f}{times_ms[1]:>10.3f}{note}")
                before, now = before + row.counted * times_ms[0], now + row.counted * times_ms[1]
        totals.append(f"{workload.name}: {before:.2f} ms before, {now:.2f} now (at most {workload.target_ms:g})")
    print(f"totals a step: {'; '.join(totals)}")


def _least_ms(work: Work, repeats: int) -> float:
    work()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return 1000 * min(seconds)


def _rows(workload: Workload, folder: Path) -> list[Row]:
    size, shape = workload.batch_size, workload.shape
    generator = torch.Generator().manual_seed(_SEED)
    positions, losses = torch.arange(size), torch.rand(size, generator=generator)
    timesteps = torch.randint(_NUM_STEPS, (size,), generator=generator)
    has_caption = torch.rand(size, generator=generator) >= _DROPOUT
    captions = tuple(
        f"a {_COLOURS[n % 6]} {_THINGS[n % 8]} by a {_THINGS[n // 8 % 8]} at dusk, painted in oil" for n in range(size)
    )
    tokens = Tokens(train_tokenizer(captions), 64)
    token_ids, no_words = tokens(captions), tokens([""])
    keys = tuple(f"scenes/{n:08d}" for n in range(size))
    batch = SequenceBatch(keys=keys, positions=positions, captions=captions, token_ids=token_ids)
    weights = {str(n): nn.Parameter(torch.rand(_TENSOR_SIZE, generator=generator)) for n in range(_NUM_TENSORS)}
    for weight in weights.values():
        weight.grad = torch.rand(_TENSOR_SIZE, generator=generator)
    average, arrivals, window = MovingAverage(weights, _DECAY), Arrivals(_CPU), LossWindow(_NUM_STEPS)
    norm, parameters = torch.tensor(1.0), list(weights.values())
    optimizer = torch.optim.AdamW(parameters, lr=0.0, fused=True)

    def tokenise_in_the_step() -> Tensor:
        return tokens([caption if keep else "" for caption, keep in zip(captions, has_caption.tolist(), strict=True)])

    def arrive() -> None:
        arrivals.finish([arrivals.begin(batch)])

    def read_every_step() -> None:
        flags = torch.stack([(~torch.isfinite(losses)).sum(), torch.tensor(0), torch.tensor(0)])
        if any(flags.tolist()) or not math.isfinite(float(norm)):
            raise ArithmeticError
        window.add(losses, timesteps)

    def read_once(unread: Unread) -> None:
        for step in range(_LOG_EVERY):
            unread.add(StepOutcome(step=step, keys=keys, losses=losses, timesteps=timesteps, norm=norm))
        reading = unread.read()
        if reading.fault is not None:
            raise ArithmeticError
        window.add(reading.losses, reading.timesteps)

    return [
        Row(
            "draws",
            lambda: _draw_before(positions.tolist(), shape),
            lambda: _draw_now(positions, workload),
        ),
        Row("numbers of words", tokenise_in_the_step, lambda: torch.where(has_caption[:, None], token_ids, no_words)),
        Row("batch to the device (this CPU)", lambda: batch.to(_CPU), arrive),
        Row("checks of losses and gradients", read_every_step, lambda: read_once(Unread()), now_every=_LOG_EVERY),
        Row(
            "clipping",
            lambda: torch.nn.utils.clip_grad_norm_(parameters, 1.0),
            Clipping(parameters, 1.0, optimizer).clip,
        ),
        Row("average of the weights", lambda: _average_before(average), lambda: average.update(10**6)),
        Row(
            "line of the log",
            lambda: _log(RunFolder(folder), window),
            lambda: _log(RunFolder(folder), window),
            before_every=_LOG_EVERY,
            now_every=_LOG_EVERY,
        ),
        Row(
            "optimizer",
            torch.optim.AdamW(parameters, lr=0.0, foreach=False).step,
            optimizer.step,
            counted=False,
        ),
    ]


def _draw_now(positions: Tensor, workload: Workload) -> None:
    draw(_SEED, positions, workload.shape, NoiseSchedule(), _DROPOUT)
    if not workload.exact:
        normals(_SEED, Stream.POSTERIOR, positions, workload.shape)


def _log(folder: RunFolder, window: LossWindow) -> None:
    speed = Speed(None, None)
    speed.add(seconds=1.0, waited_s=0.0, samples=1, frames=1)
    values = {**window.means(window.sums), **speed.taken(1, DeviceClock(_CPU).taken())}
    folder.append({key: float(f"{value:.7g}") for key, value in values.items()})


@torch.no_grad()
def _average_before(average: MovingAverage) -> None:
    for mean in average.averages.values():
        mean.lerp_(mean.detach(), 1 - _DECAY)


def _draw_before(positions: Sequence[int], shape: Sequence[int]) -> list[Tensor]:
    """Draw noise, latents, which captions are kept, and timesteps, with one generator for each sample."""
    (start,) = np.random.SeedSequence(_SEED, spawn_key=(0,)).generate_state(1)
    noises, latents, has_caption, timesteps = [], [], [], []
    for position in positions:
        state = np.random.SeedSequence(_SEED, spawn_key=(1, position)).generate_state(1, np.uint64)[0]
        generator = torch.Generator().manual_seed(int(state))
        noises.append(torch.randn(*shape, generator=generator))
        latents.append(torch.randn(*shape, generator=generator))
        has_caption.append(float(torch.rand((), generator=generator)) >= _DROPOUT)
        timesteps.append(int((int(start) / 2**32 + position * 0.6180339887498949) % 1.0 * _NUM_STEPS))
    return [torch.stack(noises), torch.stack(latents), torch.tensor(has_caption), torch.tensor(timesteps)]


if __name__ == "__main__":
    run_benchmark(main)
