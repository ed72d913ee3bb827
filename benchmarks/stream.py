"""Samples a second of the shuffled stream, against reading the same tars from end to end and decoding their frames.

    python -m benchmarks.stream [--dataset DIR] [--size 256] [--sequences 256] [--batch-size 8] [--rounds 5]

The yardstick is the standard library's tarfile and the same decoder, in one process, without checks, order or batches;
a second one also makes the floats that the stream's batches consist of.
Rates are per CPU-second of all processes together; the stream's time includes starting workers and what they read
ahead in vain. All kinds take turns, and the best round of each counts.
"""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.command_line import from_1, run_benchmark
from conf.compose import compose
from pipelines.synthesis.config import synth_config
from pipelines.synth import run
from training.data.dataset import read_card
from training.data.layout import FRAME_FORMATS
from training.data.manifest import tar_path
from training.data.stream import DataMixture, SequenceStream

_WORKERS = (0, 1, 2)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, help="a data set of frames; without it one of scenes is made")
    parser.add_argument("--size", type=from_1, default=256)
    parser.add_argument("--sequences", type=from_1, default=256)
    parser.add_argument("--batch-size", type=from_1, default=8)
    parser.add_argument(
        "--epochs", type=from_1, default=4, help="of one round, so that starting workers is little of it"
    )
    parser.add_argument("--rounds", type=from_1, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        dataset = arguments.dataset or _make(Path(folder) / "dataset", arguments.size, arguments.sequences)
        stream = SequenceStream.open([DataMixture(path=str(dataset))])
        epochs = arguments.epochs
        batches = max(1, epochs * len(stream) // arguments.batch_size)
        kinds: dict[str, Callable[[], int]] = {
            "tar, from end to end": lambda: sum(read_tars(dataset) for _ in range(epochs))
        }
        kinds["tar, floats as well"] = lambda: sum(read_tars(dataset, floats=True) for _ in range(epochs))
        for workers in _WORKERS:
            kinds[f"stream, {workers} workers"] = lambda workers=workers: _read_stream(  # type: ignore[misc]
                stream, arguments.batch_size, batches, workers
            )
        rates: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
        for _ in range(arguments.rounds):
            for kind, read in kinds.items():
                rates[kind].append(_rates(read))
    height_px, width_px = stream.size_px
    print(f"{len(stream)} sequences of {stream.num_frames} frames, {width_px}x{height_px} px, shuffled\n")
    print(f"{'':22} samples/CPU-s   of tar   samples/s")
    yardstick = max(cpu for cpu, _ in rates["tar, from end to end"])
    for kind, measured in rates.items():
        cpu, wall = max(cpu for cpu, _ in measured), max(wall for _, wall in measured)
        print(f"{kind:22} {cpu:13.1f} {cpu / yardstick:8.2f} {wall:11.1f}")


def read_tars(root: Path, *, floats: bool = False) -> int:
    """Decode all frames of the train split in stored order; returns the number of sequences.

    With `floats`, each frame is also converted to the tensor that training takes: (3, H, W) in [-1, 1].
    """
    keys = set()
    for name in read_card(root).shards:
        if not name.startswith("train-"):
            continue
        with tarfile.open(tar_path(root, name)) as tar:
            for entry in tar:
                key, _, member = entry.name.partition(".")
                file = tar.extractfile(entry)
                assert file is not None
                data = file.read()
                keys.add(key)
                if member.endswith(FRAME_FORMATS):
                    frame = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
                    if floats:
                        torch.from_numpy(frame).permute(2, 0, 1).contiguous().float().mul_(2 / 255).sub_(1)
    return len(keys)


def _read_stream(stream: SequenceStream, batch_size: int, num_batches: int, workers: int) -> int:
    with stream.batches(seed=0, batch_size=batch_size, num_workers=workers) as batches:
        return sum(len(next(batches)) for _ in range(num_batches))


def _rates(read: Callable[[], int]) -> tuple[float, float]:
    """Samples per CPU-second, of this process and of its children that have ended, and per second of wall time."""
    wall, cpu = time.perf_counter(), _cpu_s()
    samples = read()
    return samples / (_cpu_s() - cpu), samples / (time.perf_counter() - wall)


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _make(out: Path, size: int, num_sequences: int) -> Path:
    overrides = ("renderer=bezier", "renderer.preset=fast", f"num_sequences={num_sequences}", f"size={size}")
    run(synth_config(compose("synth", [*overrides, f"out={out}", "gallery=false", "cluster=inline"])))
    return out


if __name__ == "__main__":
    run_benchmark(main)
