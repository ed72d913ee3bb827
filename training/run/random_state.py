"""The states of all random generators of a process: stored in checkpoints, and restored after samples are drawn."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from training.random.streams import Stream


def seed_all(seed: int, rank: int) -> None:
    """Seed Python's, NumPy's and torch's generators from (seed, rank)."""
    python, numpy, torch_ = (int(word) for word in Stream.LIBRARIES.generator(seed, rank).integers(2**63, size=3))
    random.seed(python)
    np.random.seed(numpy % 2**32)  # noqa: NPY002  # libraries draw from it, we do not
    torch.manual_seed(torch_)


def capture() -> dict[str, Any]:
    """States of the generators of this process, of types that `torch.load(weights_only=True)` reads."""
    kind, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002
    return {
        "python": random.getstate(),
        "numpy": (kind, torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, gauss),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }


def restore(state: dict[str, Any]) -> None:
    """Set all generators to a captured state."""
    version, generator_state, gauss = state["python"]
    random.setstate((version, tuple(generator_state), gauss))
    kind, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, cached))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


@contextmanager
def undisturbed() -> Iterator[None]:
    """Context that leaves the random generators as it found them."""
    state = capture()
    try:
        yield
    finally:
        restore(state)
