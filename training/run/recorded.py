"""Forward and backward of a batch as a CUDA graph: queued kernel by kernel once, then by a single call each time.

A GPU computes the kernels of a small model faster than a processor queues them. A graph holds all of them and is queued
by one call. It uses the same memory every time: each batch is copied to the place of the first one, and gradients stay
where they are, so they are set to 0 between steps and not released.
"""

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from training.data.batch import SequenceBatch

_Result = TypeVar("_Result")
_WARM_UPS = 3  # after these runs, libraries have chosen their kernels and allocated their workspaces

BatchGradient = Callable[[SequenceBatch], tuple[Tensor, Tensor | None]]
"""Adds the gradient of a batch to that of the parameters; returns (B,) losses and (B,) timesteps, if it has any."""


class Recording(Protocol):
    """Work on a device that is recorded once and then replayed with the same memory."""

    def record(self, work: Callable[[], _Result]) -> _Result:
        """Record `work`, which may be run several times for that; returns its result, whose tensors `replay` fills."""

    def replay(self) -> None:
        """Do the recorded work."""


class CudaGraph:
    """A recording on a GPU."""

    def __init__(self) -> None:
        self._graph: Any = torch.cuda.CUDAGraph()

    def record(self, work: Callable[[], _Result]) -> _Result:
        """As `Recording` says."""
        stream: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                work()
        torch.cuda.current_stream().wait_stream(stream)
        # Other threads, such as one that pins memory, may go on using the GPU meanwhile.
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            return work()

    def replay(self) -> None:
        """As `Recording` says."""
        self._graph.replay()


def recording_on(device: torch.device) -> Recording | None:
    """A new recording; None if the device cannot record."""
    return CudaGraph() if device.type == "cuda" else None


class RecordedGradient:
    """The gradient of batches of one shape, recorded with the first of them. Called as a `BatchGradient`.

    Args:
        gradient: the function that is recorded. It must not read from the device, and what it draws at random must
            depend on the samples' positions only.
        parameters: the parameters whose gradients it adds to. When the first batch comes, these have no gradient, or
            one that is 0; those that it does not reach keep none.
        recording: a new recording.
    """

    def __init__(self, gradient: BatchGradient, parameters: Iterable[nn.Parameter], recording: Recording) -> None:
        self._gradient, self._parameters, self._recording = gradient, list(parameters), recording
        self._batch: SequenceBatch | None = None
        self._results: tuple[Tensor, Tensor | None]

    def __call__(self, batch: SequenceBatch) -> tuple[Tensor, Tensor | None]:
        """Losses (B,) and timesteps (B,) of a batch, as a copy.

        Raises:
            ValueError: if the batch has other shapes than the first.
        """
        if self._batch is None:
            self._record(batch)
        else:
            _copy(batch, self._batch)
        self._recording.replay()
        losses, timesteps = self._results
        return losses.clone(), timesteps.clone() if timesteps is not None else None

    def _record(self, batch: SequenceBatch) -> None:
        recorded_batch = batch.moved(torch.clone)
        self._results = self._recording.record(lambda: self._gradient(recorded_batch))
        self._batch = recorded_batch
        torch._foreach_zero_([parameter.grad for parameter in self._parameters if parameter.grad is not None])


def _copy(batch: SequenceBatch, recorded_batch: SequenceBatch) -> None:
    """Put a batch's tensors where the graph reads them."""
    sources, targets = _tensors(batch), _tensors(recorded_batch)
    if [tensor.shape for tensor in sources] != [tensor.shape for tensor in targets]:
        raise ValueError("a batch of other shapes than the recorded one")
    for source, target in zip(sources, targets, strict=True):
        target.copy_(source)


def _tensors(batch: SequenceBatch) -> list[Tensor]:
    tensors: list[Tensor] = []

    def collect(tensor: Tensor) -> Tensor:
        tensors.append(tensor)
        return tensor

    batch.moved(collect)
    return tensors
