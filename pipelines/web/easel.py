"""One painter in memory, one painting at a time, and what can be seen of it meanwhile."""

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

_LOOKED_S = 0.5  # between two looks at how far a painting is
_GUESS_PX = 192
_SHARE_FOR_GUESSES = 0.1  # of the time, at most, goes into previews


@dataclass(frozen=True, kw_only=True)
class Glance:
    """How far a painting is.

    Attributes:
        done: steps of denoising that are done.
        steps: of how many; None where that is not known beforehand, as of processes longer than the painter knows.
        finishing: whether all steps are done, and the painting is executed in strokes or written.
        guess: (T, h, w, 3) what the frames may become, at most `_GUESS_PX` a side; None until there is a guess.
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
        config: of the app.
        paintings: where to; no other files are read than those uploaded there, whatever a stranger asks for.
    """

    def __init__(self, config: AppConfig, paintings: Paintings) -> None:
        self._config, self._paintings = config, paintings
        self._busy = threading.Lock()
        self._loaded: tuple[str, PaintingPipeline] | None = None
        self._cards: dict[str, Mapping[str, Any]] = {}

    def card(self, painter: str) -> Mapping[str, Any]:
        """What the painter of that name says of itself.

        Raises:
            UserError: if there is none of that name, or its folder is not whole.
        """
        if painter not in self._cards:
            from pipelines.painters import painter_folder
            from training.models.painter_folder import read_painter_card

            if painter not in self._config.by_name:
                raise UserError("There is no such painter here.")
            self._cards[painter] = read_painter_card(painter_folder(self._config.by_name[painter]))
        return self._cards[painter]

    def load(self, painter: str) -> "PaintingPipeline":
        """A painter's pipeline; the one that was loaded before is given up.

        Raises:
            UserError: if its folder is not whole.
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
        """Glances, two a second at most, and at last the painting; whoever closes the iterator ends it.

        Raises:
            UserError: if the order is refused, takes too long, or cannot be painted.
        """
        order.checked(self._config, self.card(order.painter)["phrases"])
        sitting = _Sitting(self._config.limits.seconds, self._steps_of(order))
        thread = threading.Thread(target=sitting.run, args=[lambda: self._painted(order, sitting)], daemon=True)
        thread.start()
        seen = None
        try:
            while (outcome := sitting.outcome()) is None:
                if seen is not sitting.glance:
                    seen = sitting.glance
                    yield seen
        finally:
            sitting.stop()
        if isinstance(outcome, BaseException):
            raise outcome
        yield outcome

    def _steps_of(self, order: Order) -> int | None:
        return order.steps if order.num_frames <= self.card(order.painter)["num_frames"] else None

    def _painted(self, order: Order, sitting: "_Sitting") -> StoredPainting:
        """Paint an order from its pictures to its folder; waits while another is still being stopped."""
        from pipelines import paint

        limits, uploads = self._config.limits, self._paintings.uploads
        with self._busy, tempfile.TemporaryDirectory(dir=uploads) as scratch:
            pictures = {}
            for number, (frame, path) in enumerate(order.pictures.items()):
                pictures[frame] = Path(scratch) / f"picture-{number + 1}.png"
                write_picture(accepted_picture(path, uploads, limits), pictures[frame])
            order = dataclasses.replace(order, pictures=pictures)
            if limits.paintings is not None:
                self._paintings.make_room(limits.paintings)
            folder = self._paintings.new_folder()
            config = order.paint_config(self._config, self.card(order.painter)["phrases"], folder)
            pipeline = self.load(order.painter)
            sitting.begin()
            paint.run(config, pipeline, sitting.step)
        painting = self._paintings.find(folder.name)
        if painting is None:
            raise UserError("The painting could not be written.")
        return painting


class _Sitting:
    """One painting while it is made, in a thread of its own, and the visitor who looks on from another."""

    def __init__(self, seconds: float, steps: int | None) -> None:
        self.glance = Glance(steps=steps)
        self._seconds, self._stopped = seconds, threading.Event()
        self._outcome: Queue[StoredPainting | Exception] = Queue()
        self._began_s = self._next_guess_s = time.monotonic()

    def run(self, paint: Callable[[], StoredPainting]) -> None:
        """Paint; the result is the outcome, and so is what goes wrong."""
        try:
            self._outcome.put(paint())
        except Exception as error:
            self._outcome.put(error)

    def outcome(self) -> StoredPainting | Exception | None:
        """What came of it; None after half a second in which nothing did."""
        try:
            return self._outcome.get(timeout=_LOOKED_S)
        except Empty:
            return None

    def stop(self) -> None:
        """End it at its next step."""
        self._stopped.set()

    def begin(self) -> None:
        """The time that it may take begins now."""
        self._began_s = time.monotonic()

    def step(self, decode: "Callable[[], Tensor]") -> None:
        """After a step of denoising; see `OnGuess`.

        Raises:
            UserError: if it took too long, or nobody waits for it any more.
        """
        if self._stopped.is_set():
            raise _Stopped("stopped")
        start_s = time.monotonic()
        if start_s - self._began_s > self._seconds:
            limit = f"This took longer than {self._seconds:g} seconds and was stopped."
            raise UserError(f"{limit} Please ask for fewer steps or frames.")
        guess = self.glance.guess
        if start_s >= self._next_guess_s:
            guess = _small(decode()[0])
            now_s = time.monotonic()
            self._next_guess_s = now_s + max(_LOOKED_S, (now_s - start_s) / _SHARE_FOR_GUESSES)
        done = self.glance.done + 1
        self.glance = dataclasses.replace(self.glance, done=done, guess=guess, finishing=done == self.glance.steps)


def _small(frames: "Tensor") -> NDArray[np.uint8]:
    """(T, h, w, 3) of (T, 3, H, W) in [0, 1]."""
    from torch.nn.functional import interpolate

    scale = _GUESS_PX / max(frames.shape[-2:])
    if scale < 1:
        frames = interpolate(frames, scale_factor=scale, mode="area")
    pixels: NDArray[np.uint8] = (frames * 255).round().byte().permute(0, 2, 3, 1).numpy()
    return pixels
