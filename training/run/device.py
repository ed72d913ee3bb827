"""The device that computes: how batches reach it while it works, and for how long it works."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from training.data.batch import SequenceBatch


def allow_tensor_cores(device: torch.device) -> None:
    """Let a GPU multiply float32 matrices in TF32: ten bits of fraction, as many as the pictures have and more."""
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")


class Arrivals:
    """Batches on their way to the device. A GPU copies them, in a stream of its own, while it computes.

    Args:
        device: where they go.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream: Any = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    @property
    def as_bytes(self) -> bool:
        """Whether frames should come as uint8: a quarter of the way, and floats are made faster there."""
        return self._stream is not None

    def begin(self, batch: SequenceBatch) -> SequenceBatch:
        """The batch on the device; not to be used there before `finish`."""
        with torch.cuda.stream(self._stream) if self._stream is not None else nullcontext():
            moved = batch.moved(self._moved)
            if moved.frames is None or moved.frames.dtype != torch.uint8:
                return moved
            return replace(moved, frames=signed_unit(moved.frames))

    def _moved(self, tensor: Tensor) -> Tensor:
        if self._stream is None:
            return tensor.to(self._device)
        return tensor.pin_memory().to(self._device, non_blocking=True)

    def finish(self, batches: Sequence[SequenceBatch]) -> None:
        """Work queued on the device from here on waits for these batches; the caller does not."""
        if self._stream is None:
            return
        computing = torch.cuda.current_stream(self._device)
        computing.wait_stream(self._stream)

        def used(tensor: Tensor) -> Tensor:
            tensor.record_stream(computing)  # or its memory might be given to the next copy too early
            return tensor

        for batch in batches:
            batch.moved(used)


def signed_unit(pixels: Tensor) -> Tensor:
    """uint8 to float32 in [-1, 1]."""
    return pixels.float().mul_(2 / 255).sub_(1)


class DeviceClock:
    """How long the device computes; reading the time waits for it, measuring does not.

    Args:
        device: a GPU measures itself; other devices compute while they are called.
    """

    def __init__(self, device: torch.device) -> None:
        self._on_gpu = device.type == "cuda"
        self._seconds = 0.0
        self._spans: list[tuple[Any, Any]] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """Measures the work that is queued within, from its begin to its end on the device."""
        if self._on_gpu:
            begun, done = _mark(), _mark()
            begun.record()
            yield
            done.record()
            self._spans.append((begun, done))
        else:
            start = time.perf_counter()
            yield
            self._seconds += time.perf_counter() - start

    def taken(self) -> float:
        """Seconds since the last call."""
        for begun, done in self._spans:
            done.synchronize()
            self._seconds += begun.elapsed_time(done) / 1000
        seconds, self._seconds = self._seconds, 0.0
        self._spans.clear()
        return seconds


def _mark() -> Any:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
