"""Reports running out of memory in one line that names the keys that would save some."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from conf.errors import UserError

if TYPE_CHECKING:
    from pipelines.inference.config import PaintConfig

_SIGNS = (
    "out of memory",
    "not enough memory",  # torch's allocator for the CPU on Windows,
    "can't allocate memory",  # and on Linux
    "CUBLAS_STATUS_ALLOC_FAILED",
)

_SAVINGS_OF_STROKES = ["a smaller canvas_px", "fewer shown_frames"]


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that CPU or GPU memory ran out; torch raises several kinds."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)
    )


def savings(config: "PaintConfig", *, on_gpu: bool, at_once: int) -> list[str]:
    """Keys that would save memory and are not used yet, the cheapest first.

    Args:
        config: the configuration.
        on_gpu: whether a GPU computes.
        at_once: number of processes that are painted together.
    """
    next_vae = {"whole": "sliced", "sliced": "tiled"}.get(config.vae)
    next_offload = {"none": "model", "model": "group", "group": "sequential"}.get(config.offload) if on_gpu else None
    return [
        *(["dtype=bf16"] if config.dtype == "fp32" else []),
        *([f"vae={next_vae}"] if next_vae else []),
        *([f"batch_size={at_once // 2}"] if at_once > 1 else []),
        *([f"offload={next_offload}"] if next_offload else []),
        "a smaller size",
    ]


@contextmanager
def naming_memory(config: "PaintConfig", *, on_gpu: bool, at_once: int) -> Iterator[None]:
    """Context that turns running out of memory into a `UserError`.

    Args:
        config: the configuration.
        on_gpu: whether a GPU computes.
        at_once: number of processes that are painted together.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not ran_out_of_memory(error):
            raise
        # What is no network runs out of the machine's own memory, and then Python or numpy raises this.
        of_strokes = config.strokes is not None and isinstance(error, MemoryError)
        where = "on the GPU" if on_gpu and not of_strokes else "on this machine"
        keys = _SAVINGS_OF_STROKES if of_strokes else savings(config, on_gpu=on_gpu, at_once=at_once)
        raise UserError(f"out of memory {where}; try {_listed(keys)}") from error


def _listed(keys: Sequence[str]) -> str:
    return keys[0] if len(keys) == 1 else f"{', '.join(keys[:-1])} or {keys[-1]}"
