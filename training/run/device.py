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
    """Let a GPU multiply float32 matrices in TF32, whose ten bits of fraction are more than the pictures have."""
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")


class Arrivals:
    """Batches on their way to the device. A GPU copies them, in a stream of its own, while it computes.

    Args:
        device: the device that they are copied to.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream: Any = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    @property
    def as_bytes(self) -> bool:
        """Whether frames should come as uint8: a quarter of the bytes to copy, and a GPU converts them faster."""
        return self._stream is not None

    def begin(self, batch: SequenceBatch) -> SequenceBatch:
        """Begin to copy a batch to the device; the copy must not be used there before `finish`."""
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
        """Make work queued on the device from here on wait for these batches; the caller does not wait."""
        if self._stream is None:
            return
        computing = torch.cuda.current_stream(self._device)
        computing.wait_stream(self._stream)

        def mark_used(tensor: Tensor) -> Tensor:
            tensor.record_stream(computing)  # otherwise its memory could be reused for the next copy too early
            return tensor

        for batch in batches:
            batch.moved(mark_used)


def signed_unit(pixels: Tensor) -> Tensor:
    """uint8 to float32 in [-1, 1]."""
    return pixels.float().mul_(2 / 255).sub_(1)


class DeviceClock:
    """How long the device computes; `taken` waits for the device, measuring does not.

    Args:
        device: a GPU records events; on other devices the work is done when its call returns.
    """

    def __init__(self, device: torch.device) -> None:
        self._on_gpu = device.type == "cuda"
        self._seconds = 0.0
        self._spans: list[tuple[Any, Any]] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """Context that measures the work queued in it, from its start to its end on the device."""
        if self._on_gpu:
            begun, done = _timing_event(), _timing_event()
            begun.record()
            yield
            done.record()
            self._spans.append((begun, done))
        else:
            start = time.perf_counter()
            yield
            self._seconds += time.perf_counter() - start

    def taken(self) -> float:
        """Seconds that the device has computed since the last call."""
        for begun, done in self._spans:
            done.synchronize()
            self._seconds += begun.elapsed_time(done) / 1000
        seconds, self._seconds = self._seconds, 0.0
        self._spans.clear()
        return seconds


def _timing_event() -> Any:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
