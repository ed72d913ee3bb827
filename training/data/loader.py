"""Batches made in this process or in others, always in order."""

import itertools
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from conf.errors import UserError
from training.data.batch import CachedLatents, SequenceBatch
from training.data.pixels import FloatFrames, pixel_slots

if TYPE_CHECKING:
    from torch import Tensor

_PREFETCHED = 2  # batches per worker
_SHARED_MEMORY_TEXTS = ("shared memory", "file </torch_")  # texts in torch's errors about shared memory


@dataclass(frozen=True)
class _Failure:
    """Why there is no batch. It is sent as a value, because an exception from a worker would bring a traceback."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A batch as a worker sends it: a `SequenceBatch` without its frames, with latents as stored, and few tensors.

    Every tensor that a process sends takes a file descriptor, and as much time as decoding a small frame.
    """

    keys: tuple[str, ...]
    positions: tuple[int, ...]
    captions: tuple[str, ...]
    token_ids: NDArray[np.int64] | None
    latents: CachedLatents | None


Load = Callable[[int, "Tensor | None"], Loaded]
"""(step, pixels to write the frames to) -> the rest of the batch; pixels are None when it has no frames."""


@dataclass(frozen=True)
class _Steps:
    """The function step number -> batch, which is sent to workers."""

    load: Load
    slots: "Tensor | None"

    def __getitem__(self, step: int) -> Loaded | _Failure:
        try:
            return self.load(step, self.pixels(step))
        except UserError as error:
            return _Failure(str(error))

    def pixels(self, step: int) -> "Tensor | None":
        """Where the frames of a step are written; they are read before the same worker reaches this slot again."""
        return None if self.slots is None else self.slots[step % len(self.slots)]


class Batches(Iterator[SequenceBatch]):
    """Endless batches; also a context. Closing ends the workers, and so does dropping the last reference.

    Args:
        load: makes a batch; picklable. A `UserError` that it raises is raised here when that batch is requested.
        pixels_shape: (B, T, 3, H, W), or None if batches have no frames.
        num_workers: processes that load ahead; 0 loads each batch in this process when it is requested.
        as_bytes: leave frames as uint8, for a GPU to convert; they are valid until the next batch is requested.
    """

    def __init__(
        self, load: Load, pixels_shape: tuple[int, ...] | None, num_workers: int, *, as_bytes: bool = False
    ) -> None:
        handler = signal.getsignal(signal.SIGCHLD)
        with _naming_shared_memory(num_workers):
            self._steps, self._iterator = _begin(load, pixels_shape, num_workers)
        self._step = 0
        self._convert = (lambda pixels: pixels) if as_bytes else FloatFrames().signed_unit
        if signal.getsignal(signal.SIGCHLD) is not handler:
            # torch's handler would raise in the middle of whatever the trainer does, such as writing a checkpoint;
            # `__next__` notices a dead worker as well.
            signal.signal(signal.SIGCHLD, handler)

    def __next__(self) -> SequenceBatch:
        try:
            loaded = next(self._iterator)
        except (RuntimeError, OSError, EOFError) as error:
            if isinstance(error, RuntimeError) and "DataLoader worker (pid" not in str(error):
                raise
            self.close()
            raise UserError(
                f"a data-loading process has died ({' '.join(str(error).split())}); is memory or /dev/shm full? "
                "num_workers=0 reads in the training process"
            ) from error
        if isinstance(loaded, _Failure):
            self.close()
            raise UserError(loaded.reason)
        pixels = self._steps.pixels(self._step)
        self._step += 1
        return _sequence_batch(loaded, None if pixels is None else self._convert(pixels))

    def close(self) -> None:
        """End the workers; there are no batches afterwards."""
        self._iterator = iter(())  # torch's iterator ends its workers when nothing refers to it

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _begin(
    load: Load, pixels_shape: tuple[int, ...] | None, num_workers: int
) -> tuple[_Steps, Iterator[Loaded | _Failure]]:
    """The steps with their slots for frames, and an iterator over their results."""
    import torch
    from torch.utils.data import DataLoader

    slots = None
    if pixels_shape is not None:
        # Each worker has slots for the batches that wait and for the one that is converted here while it fills another.
        count = (_PREFETCHED + 1) * num_workers or 1
        slots = pixel_slots(count, pixels_shape, in_shared_memory=num_workers > 0)
    steps = _Steps(load, slots)
    loader: DataLoader[Loaded | _Failure] = DataLoader(
        steps,  # type: ignore[arg-type]  # torch only indexes it
        batch_size=None,
        sampler=itertools.count(),  # endless, as a sampler may be; worker n gets every n-th step
        num_workers=num_workers,
        prefetch_factor=_PREFETCHED if num_workers else None,
        worker_init_fn=partial(_begin_worker, os.getpid()),
        collate_fn=_unchanged,
        generator=torch.Generator(),  # otherwise it would draw from the global one, and so change its state
    )
    return steps, iter(loader)


@contextmanager
def _naming_shared_memory(num_workers: int) -> Iterator[None]:
    """Context that turns failures of shared memory into one line: not every container has a usable /dev/shm."""
    try:
        if num_workers:
            multiprocessing.Lock()  # fails here first: otherwise torch's half-made iterator would print a traceback
        yield
    except (OSError, RuntimeError) as error:
        is_unrelated = isinstance(error, RuntimeError) and not any(each in str(error) for each in _SHARED_MEMORY_TEXTS)
        if not num_workers or is_unrelated:
            raise
        raise UserError(
            f"num_workers={num_workers}: data-loading processes cannot start ({' '.join(str(error).split())}); is "
            "/dev/shm missing, full or too small? num_workers=0 reads in the training process"
        ) from error


def _sequence_batch(loaded: Loaded, frames: "Tensor | None") -> SequenceBatch:
    """The batch as training needs it."""
    import torch

    latents = loaded.latents
    if latents is not None:
        latents = CachedLatents(mean=latents.mean.float(), logvar=latents.logvar.float(), text=latents.text.float())
    return SequenceBatch(
        keys=loaded.keys,
        positions=torch.tensor(loaded.positions),
        captions=loaded.captions,
        token_ids=None if loaded.token_ids is None else torch.from_numpy(loaded.token_ids),
        frames=frames,
        latents=latents,
    )


def _begin_worker(trainer: int, _: int) -> None:
    """Set up a worker, whose torch threads are limited already. Signals are for the trainer, which wants to save."""
    if os.getppid() != trainer:
        os._exit(0)  # the trainer died while this process started; torch watches only a trainer that it has seen alive
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_exit_on_sigterm_of, args=(trainer,), daemon=True).start()


def _exit_on_sigterm_of(trainer: int) -> None:
    """Exit on a SIGTERM of the trainer, which it sends when it exits without having closed its batches."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != trainer:
        pass
    os._exit(0)


def _unchanged(batch: Any) -> Any:
    return batch
