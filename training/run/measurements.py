"""What a run measures: losses by timestep band, speed, memory, utilisation."""

import itertools
import re
import resource
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

NUM_BANDS = 4
"""Equal parts of the noise schedule for which losses are reported separately."""

_PEAK_TFLOPS = {
    # Dense bf16 figures of the vendor's data sheets, by the words of a card's name that `_NO_MODEL` leaves.
    "GH200": 989.0, "H200": 989.0, "H200 NVL": 835.0, "H100": 989.0, "H100 NVL": 835.0, "H100 PCIE": 756.0,
    "A100": 312.0, "A100 PCIE": 312.0, "L40S": 362.0, "L40": 181.0, "L4": 121.0, "A10G": 70.0, "A10": 125.0,
    "RTX 4090": 165.0, "RTX 3090": 71.0, "V100": 125.0, "V100 PCIE": 112.0, "T4": 65.0,
}  # fmt: skip
_NO_MODEL = re.compile(r"NVIDIA|TESLA|GEFORCE|SXM\d?|HBM\d\w?|\d+GB?")
"""Words of a name that do not change the speed; all others do, such as `Laptop`, `Ti`, or `MIG` of a part of a card."""


class LossWindow:
    """Losses of the samples since the last line of the log: sums and counts, overall and by band.

    Args:
        num_steps: upper bound of timesteps; None for a stage without noise, which has no bands.
        sums: (1 + NUM_BANDS, 2) float64, the sums and counts of a resumed run.
    """

    def __init__(self, num_steps: int | None, sums: Tensor | None = None) -> None:
        self._num_steps = num_steps
        self.sums = torch.zeros(1 + NUM_BANDS, 2, dtype=torch.float64) if sums is None else sums.clone()

    def add(self, losses: Tensor, timesteps: Tensor | None) -> None:
        """Add (B,) losses at (B,) timesteps, which may be fractions; None for a stage without noise."""
        losses = losses.detach().double().cpu()
        self.sums[0] += torch.stack([losses.sum(), torch.tensor(float(len(losses)), dtype=torch.float64)])
        if timesteps is None or self._num_steps is None:
            return
        bands = 1 + (timesteps.cpu() * NUM_BANDS // self._num_steps).long()
        self.sums[:, 0].index_add_(0, bands, losses)
        self.sums[:, 1].index_add_(0, bands, torch.ones_like(losses))

    def means(self, sums: Tensor) -> dict[str, float]:
        """Means `loss`, and `loss/t0000-0249` and so on for the bands that have samples."""
        names = ["loss"]
        if self._num_steps is not None:
            edges = [-(-band * self._num_steps // NUM_BANDS) for band in range(NUM_BANDS + 1)]  # rounded up
            names += [f"loss/t{low:04d}-{high - 1:04d}" for low, high in itertools.pairwise(edges)]
        rows = zip(names, sums[: len(names)].tolist(), strict=True)
        return {name: total / count for name, (total, count) in rows if count}


class Speed:
    """Time spent in steps since the last line of the log, and what was done in it.

    Peak GPU memory is reset here, because a process may train several runs.

    Args:
        flops: FLOPs of forward and backward for one sample on one rank; None if not known.
        peak_tflops: peak TFLOP/s of one device; None if not known.
    """

    def __init__(self, flops: float | None, peak_tflops: float | None) -> None:
        self._flops, self._peak_tflops = flops, peak_tflops
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.reset_peak_memory_stats()
        self._reset()

    def _reset(self) -> None:
        self._steps = self._samples = self._frames = 0
        self._seconds = self._waited_s = 0.0

    def add(self, *, seconds: float, waited_s: float, samples: int, frames: int) -> None:
        """Add a step of this rank: how long it took to queue, how much of that it waited for data, and its samples."""
        self._steps += 1
        self._seconds += seconds
        self._waited_s += waited_s
        self._samples += samples
        self._frames += frames

    def waited_for_device(self, seconds: float) -> None:
        """Add the time that this rank waited for the device to finish its steps."""
        self._seconds += seconds

    def taken(self, num_ranks: int, computing_s: float) -> dict[str, float]:
        """Rates over all ranks since the last call; this rank's device computed for `computing_s` of that time."""
        seconds = max(self._seconds, 1e-9)
        values = {
            "perf/step_s": seconds / max(1, self._steps),
            "perf/samples_per_s": num_ranks * self._samples / seconds,
            "perf/frames_per_s": num_ranks * self._frames / seconds,
            "perf/compute_share": computing_s / seconds,
            "perf/data_wait_share": self._waited_s / seconds,
            "perf/peak_memory_gib": peak_memory_gib(),
        }
        if self._flops is not None:
            values["perf/tflops_per_device"] = self._flops * self._samples / seconds / 1e12
            if self._peak_tflops is not None:
                values["perf/mfu"] = values["perf/tflops_per_device"] / self._peak_tflops
        self._reset()
        return values


class Stopwatch:
    """Adds up the seconds spent within it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._start


def peak_memory_gib() -> float:
    """Peak memory of this process: of its GPU, or of the machine if it uses no GPU."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # Linux counts KiB


def peak_tflops(device: torch.device, configured: float | None) -> float | None:
    """Peak TFLOP/s of a device: as configured, or by its name; None if that is not known."""
    if configured is not None or device.type != "cuda":
        return configured
    name_words = re.split(r"[\s-]+", torch.cuda.get_device_name(device).upper())
    return _PEAK_TFLOPS.get(" ".join(word for word in name_words if not _NO_MODEL.fullmatch(word)))


def count_flops(work: Callable[[], Any]) -> float:
    """Floating-point operations of matrix products, convolutions and attention in `work`."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops())
