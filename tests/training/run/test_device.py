"""How batches reach the device, and how long it computes."""

import time
from pathlib import Path

import torch

from tests.training.toy_runs import log, train
from training.data.pixels import FloatFrames
from training.data.stream import DataMixture, SequenceStream
from training.run.device import Arrivals, DeviceClock, signed_unit

CPU = torch.device("cpu")


def test_bytes_become_the_floats_on_the_device_that_they_become_here() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).reshape(2, 1, 1, 8, 16)
    assert torch.allclose(signed_unit(pixels), FloatFrames().signed_unit(pixels), atol=1e-7)


def test_batches_that_come_as_bytes_arrive_as_the_same_floats(sequences: Path) -> None:
    stream, arrivals = SequenceStream.open([DataMixture(path=str(sequences))]), Arrivals(CPU)
    with (
        stream.batches(seed=0, batch_size=2, num_workers=1, as_bytes=True) as sent,
        stream.batches(seed=0, batch_size=2) as read,
    ):
        for _ in range(6):
            raw, batch = next(sent), next(read)
            assert raw.frames is not None and raw.frames.dtype == torch.uint8
            arrived = arrivals.begin(raw)
            arrivals.finish([arrived])
            assert arrived.frames is not None and batch.frames is not None
            assert torch.allclose(arrived.frames, batch.frames, atol=1e-7)
            assert torch.equal(arrived.positions, batch.positions) and arrived.keys == batch.keys


def test_the_clock_counts_what_is_within_and_begins_again() -> None:
    clock = DeviceClock(CPU)
    for _ in range(2):
        with clock.running():
            time.sleep(0.02)
    time.sleep(0.05)
    assert 0.04 <= clock.taken() < 0.08
    assert clock.taken() == 0.0


def test_the_log_says_what_share_of_a_step_the_device_computes(sequences: Path, tmp_path: Path) -> None:
    train(sequences, tmp_path / "run", log_every=4)
    shares = [line["perf/compute_share"] for line in log(tmp_path / "run")]
    assert len(shares) == 2 and all(0 < share <= 1 for share in shares)
