"""ComfyUI's progress bar and interruption."""

from collections.abc import Callable

from comfy.model_management import throw_exception_if_processing_interrupted
from comfy.utils import ProgressBar


def step_counter(total: int) -> Callable[[], None]:
    """A function to call at each of `total` steps: it advances the bar, and raises if the user has interrupted."""
    throw_exception_if_processing_interrupted()
    bar = ProgressBar(total)

    def advance() -> None:
        throw_exception_if_processing_interrupted()
        bar.update(1)

    return advance
