"""How kernels are compiled: numba, float32, one thread, cached on disk under a key made of every kernel's source."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

_Function = TypeVar("_Function", bound=Callable[..., Any])

_OPTIONS: dict[str, Any] = {"fastmath": True, "nogil": True, "error_model": "numpy"}


def _sources_hash() -> str:
    """Numba looks only at the file a kernel stands in; a cached kernel would keep old parts inlined. So hash all."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


if not os.environ.get("NUMBA_CACHE_DIR"):
    _home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    numba.config.CACHE_DIR = str(_home / "process-painter" / f"kernels-{_sources_hash()}")


def compiled_marker(family: str, cpu: str) -> Path:
    """The file that says that kernels of a family of renderers, as they are now, have been compiled for a processor."""
    return Path(numba.config.CACHE_DIR) / f"compiled-{family}-{cpu}-{_sources_hash()}"


def kernel(function: _Function) -> _Function:
    """Compile to machine code. `fastmath` lets sums be reordered for SIMD: the same bits on one kind of CPU only."""
    return cast(_Function, numba.njit(function, cache=True, **_OPTIONS))


def part(function: _Function) -> _Function:
    """A function for kernels to call, which becomes a piece of each of them.

    Compiled on its own, it would be one symbol with several bodies, each optimised for the kernel it came with, and the
    linker would take the first that a process happens to load: the same call could then round differently from one
    process to the next (measured: a fresh compilation and a cached one painted different strokes).
    """
    return cast(_Function, numba.njit(function, inline="always", **_OPTIONS))
