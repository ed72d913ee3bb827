"""ComfyUI's progress bar, and its button that interrupts."""

from collections.abc import Callable

from comfy.model_management import throw_exception_if_processing_interrupted
from comfy.utils import ProgressBar


def step_counter(total: int) -> Callable[[], None]:
    """What to call at each of `total` steps: it moves the bar, or raises where the user has interrupted."""
    throw_exception_if_processing_interrupted()
    bar = ProgressBar(total)

    def advance() -> None:
        throw_exception_if_processing_interrupted()
        bar.update(1)

    return advance
