"""Paints one painting at a time with one painter in memory, and shows its progress meanwhile."""

import dataclasses
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from conf.errors import UserError
from pipelines.web.order import Order
from pipelines.web.paintings import Paintings, StoredPainting
from pipelines.web.settings import AppConfig
from pipelines.web.upload import accepted_picture, write_picture

if TYPE_CHECKING:
    from torch import Tensor

    from pipelines.inference.pipeline import PaintingPipeline

_UPDATE_S = 0.5  # between two updates about a painting's progress
_GUESS_PX = 192
_SHARE_FOR_GUESSES = 0.1  # largest share of the time that previews take


@dataclass(frozen=True, kw_only=True)
class Glance:
    """The progress of a painting.

    Attributes:
        done: number of denoising steps that are done.
        steps: number of all steps; None if it is not known beforehand, as for processes longer than the painter knows.
        finishing: whether all steps are done, and the painting is executed in strokes or written.
        guess: (T, h, w, 3) preview of the frames, at most `_GUESS_PX` a side; None until there is one.
    """

    done: int = 0
    steps: int | None = None
    finishing: bool = False
    guess: NDArray[np.uint8] | None = None


class _Stopped(UserError):
    """Nobody waits for this painting any more."""


class Easel:
    """Paints orders, each into a folder of its own.

    Args:
        config: configuration of the app.
        paintings: the folder of paintings; no files are read except those uploaded there, whatever a visitor sends.
    """

    def __init__(self, config: AppConfig, paintings: Paintings) -> None:
        self._config, self._paintings = config, paintings
        self._busy = threading.Lock()
        self._loaded: tuple[str, PaintingPipeline] | None = None
        self._cards: dict[str, Mapping[str, Any]] = {}

    def card(self, painter: str) -> Mapping[str, Any]:
        """The card of the painter of that name.

        Raises:
            UserError: if there is no such painter, or its folder is not complete.
        """
        if painter not in self._cards:
            from pipelines.painters import painter_folder
            from training.models.painter_folder import read_painter_card

            if painter not in self._config.by_name:
                raise UserError("There is no such painter here.")
            self._cards[painter] = read_painter_card(painter_folder(self._config.by_name[painter]))
        return self._cards[painter]

    def load(self, painter: str) -> "PaintingPipeline":
        """A painter's pipeline; another one that was loaded before is dropped.

        Raises:
            UserError: if its folder is not complete.
        """
        if self._loaded is None or self._loaded[0] != painter:
            import torch

            from conf.devices import compute_device
            from pipelines.inference.loading import load_painter_pipeline

            self._loaded = None
            folder, device = self._config.by_name[painter], compute_device(self._config.device)
            self._loaded = (painter, load_painter_pipeline(folder, torch.float32, device, {})[0])
        return self._loaded[1]

    def paint(self, order: Order) -> Iterator[Glance | StoredPainting]:
        """Glances, at most two a second, and finally the painting; closing the iterator stops it.

        Raises:
            UserError: if the order is refused, takes too long, or cannot be painted.
        """
        order.checked(self._config, self.card(order.painter)["phrases"])
        sitting = _Sitting(self._config.limits.seconds, self._steps_of(order))
        thread = threading.Thread(target=sitting.run, args=[lambda: self._painted(order, sitting)], daemon=True)
        thread.start()
        last_glance = None
        try:
            while (outcome := sitting.outcome()) is None:
                if last_glance is not sitting.glance:
                    last_glance = sitting.glance
                    yield last_glance
        finally:
            sitting.stop()
        if isinstance(outcome, BaseException):
            raise outcome
        yield outcome

    def _steps_of(self, order: Order) -> int | None:
        return order.steps if order.num_frames <= self.card(order.painter)["num_frames"] else None

    def _painted(self, order: Order, sitting: "_Sitting") -> StoredPainting:
        """Paint an order and write its folder; waits while another painting is still being stopped."""
        from pipelines import paint

        limits, uploads = self._config.limits, self._paintings.uploads
        phrases = self.card(order.painter)["phrases"]
        with self._busy, tempfile.TemporaryDirectory(dir=uploads) as scratch:
            pipeline = self.load(order.painter)
            order.check_words(phrases, pipeline.base.tokens)
            pictures = {}
            for number, (frame, path) in enumerate(order.pictures.items()):
                pictures[frame] = Path(scratch) / f"picture-{number + 1}.png"
                write_picture(accepted_picture(path, uploads, limits), pictures[frame])
            order = dataclasses.replace(order, pictures=pictures)
            if limits.paintings is not None:
                self._paintings.make_room(limits.paintings)
            folder = self._paintings.new_folder()
            config = order.paint_config(self._config, phrases, folder)
            sitting.begin()
            paint.run(config, pipeline, sitting.step)
        painting = self._paintings.find(folder.name)
        if painting is None:
            raise UserError("The painting could not be written.")
        return painting


class _Sitting:
    """One painting while it is made in a thread of its own; the visitor's thread follows its progress."""

    def __init__(self, seconds: float, steps: int | None) -> None:
        self.glance = Glance(steps=steps)
        self._seconds, self._stopped = seconds, threading.Event()
        self._outcome: Queue[StoredPainting | Exception] = Queue()
        self._start_s = self._next_guess_s = time.monotonic()

    def run(self, paint: Callable[[], StoredPainting]) -> None:
        """Paint; the outcome is the painting, or the exception that was raised."""
        try:
            self._outcome.put(paint())
        except Exception as error:
            self._outcome.put(error)

    def outcome(self) -> StoredPainting | Exception | None:
        """The painting or an exception; None if there is neither within half a second."""
        try:
            return self._outcome.get(timeout=_UPDATE_S)
        except Empty:
            return None

    def stop(self) -> None:
        """Stop the painting at its next step."""
        self._stopped.set()

    def begin(self) -> None:
        """Start the time that the painting may take."""
        self._start_s = time.monotonic()

    def step(self, decode: "Callable[[], Tensor]") -> None:
        """Note a step of denoising, and make a preview if it is time for one; see `OnGuess`.

        Raises:
            UserError: if the painting takes too long, or nobody waits for it any more.
        """
        if self._stopped.is_set():
            raise _Stopped("stopped")
        step_start_s = time.monotonic()
        if step_start_s - self._start_s > self._seconds:
            limit = f"This took longer than {self._seconds:g} seconds and was stopped."
            raise UserError(f"{limit} Please ask for fewer steps or frames.")
        guess = self.glance.guess
        if step_start_s >= self._next_guess_s:
            guess = _small(decode()[0])
            now_s = time.monotonic()
            self._next_guess_s = now_s + max(_UPDATE_S, (now_s - step_start_s) / _SHARE_FOR_GUESSES)
        done = self.glance.done + 1
        self.glance = dataclasses.replace(self.glance, done=done, guess=guess, finishing=done == self.glance.steps)


def _small(frames: "Tensor") -> NDArray[np.uint8]:
    """(T, 3, H, W) frames in [0, 1] as (T, h, w, 3) small pictures."""
    from torch.nn.functional import interpolate

    scale = _GUESS_PX / max(frames.shape[-2:])
    if scale < 1:
        frames = interpolate(frames, scale_factor=scale, mode="area")
    pixels: NDArray[np.uint8] = (frames * 255).round().byte().permute(0, 2, 3, 1).numpy()
    return pixels
