"""Paints the pictures of a shard one by one or, if the renderer is faster that way, many at once."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from conf.errors import ConfigError
from pipelines.sources.source import Picture, RefusedPicture, StorageFault
from pipelines.synthesis.plan import PlannedSequence
from pipelines.synthesis.renderer_choice import RendererChoice, renderer_key
from renderers.painting import Painting, to_uint8

if TYPE_CHECKING:
    from pipelines.synthesis.sequence import RenderSettings, Stopwatch

_PAINT_STAGE = 0  # in the spawn key, after a sequence's index; other uses of randomness would take other numbers
_AT_ONCE = 128  # pictures: more gain little, and their frames take memory


@dataclass(frozen=True, kw_only=True)
class Painted:
    """A picture, how it was painted, and the (T, H, W, 3) frames at the steps that the schedule chose.

    `seconds` is the time that the painting took; in a batch, an equal share of the batch's time.
    """

    picture: Picture
    painting: Painting
    steps: tuple[int, ...]
    frames: NDArray[np.uint8]
    seconds: float


def spawn_key(sequence: PlannedSequence) -> tuple[int, int]:
    """The spawn key of a painting's random numbers; it is used with the seed of the run."""
    return sequence.index, _PAINT_STAGE


def paint_sequence(sequence: PlannedSequence, settings: "RenderSettings", watch: "Stopwatch") -> Painted:
    """Paint one picture.

    Raises:
        RefusedPicture: if the source cannot give it.
    """
    choice = settings.renderers[sequence.renderer]
    picture = _loaded(sequence, settings)
    watch.lap("load")
    seed = _seed(sequence, settings)
    with _naming_full_keys(settings, choice):
        painting = choice.renderer.paint(picture.image, choice.config, seed, choice.assets.content, picture.knowledge())
    seconds = watch.lap("paint")
    steps = settings.schedule.steps(painting.left)
    frames = np.stack([to_uint8(canvas) for canvas in choice.renderer.replay(painting.program, steps)])
    watch.lap("frames")
    return Painted(picture=picture, painting=painting, steps=steps, frames=frames, seconds=seconds)


class Batches:
    """Paints the sequences of a shard in batches, as they are asked for in order.

    A picture that cannot be loaded or painted is refused when it is asked for; the others of its batch are painted.
    """

    def __init__(self, sequences: Sequence[PlannedSequence], settings: "RenderSettings") -> None:
        self._sequences, self._settings = sequences, settings
        self._outcomes: dict[int, Painted | Exception] = {}

    def painted(self, sequence: PlannedSequence, watch: "Stopwatch") -> Painted:
        """The painting of one sequence.

        Raises:
            Exception: the error that loading or painting it raised.
        """
        choice = self._settings.renderers[sequence.renderer]
        if not choice.renderer.gains_by_batches(choice.config):
            return paint_sequence(sequence, self._settings, watch)
        if sequence.index not in self._outcomes:
            same_renderer = (
                other
                for other in self._sequences
                if other.renderer == sequence.renderer and other.index >= sequence.index
            )
            self._paint(list(islice(same_renderer, _AT_ONCE)), watch)
        outcome = self._outcomes.pop(sequence.index)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _paint(self, sequences: list[PlannedSequence], watch: "Stopwatch") -> None:
        pictures: list[tuple[PlannedSequence, Picture]] = []
        for sequence in sequences:
            try:
                pictures.append((sequence, _loaded(sequence, self._settings)))
            except RefusedPicture as refused:
                self._outcomes[sequence.index] = refused
        watch.lap("load")
        try:
            self._paint_together(pictures, watch)
        except (OSError, MemoryError, StorageFault):
            raise
        except Exception:
            for pair in pictures:
                try:
                    self._paint_together([pair], watch)
                except (OSError, MemoryError, StorageFault):
                    raise
                except Exception as error:
                    self._outcomes[pair[0].index] = error

    def _paint_together(self, pictures: list[tuple[PlannedSequence, Picture]], watch: "Stopwatch") -> None:
        if not pictures:
            return
        choice = self._settings.renderers[pictures[0][0].renderer]
        images = [picture.image for _, picture in pictures]
        seeds = [_seed(sequence, self._settings) for sequence, _ in pictures]
        knowledge = [picture.knowledge() for _, picture in pictures]
        with _naming_full_keys(self._settings, choice):
            paintings = choice.renderer.paint_batch(images, choice.config, seeds, choice.assets.content, knowledge)
        seconds = watch.lap("paint") / len(pictures)
        steps = [self._settings.schedule.steps(painting.left) for painting in paintings]
        programs = [painting.program for painting in paintings]
        frames = choice.renderer.replay_batch(programs, steps, choice.config)
        for (sequence, picture), painting, frame_steps, canvases in zip(
            pictures, paintings, steps, frames, strict=True
        ):
            self._outcomes[sequence.index] = Painted(
                picture=picture,
                painting=painting,
                steps=frame_steps,
                frames=np.stack([to_uint8(canvas) for canvas in canvases]),
                seconds=seconds,
            )
        watch.lap("frames")


@contextmanager
def _naming_full_keys(settings: "RenderSettings", choice: RendererChoice) -> Iterator[None]:
    """Give keys of a renderer that do not suit a picture the names that users type."""
    try:
        yield
    except ConfigError as error:
        raise error.under(renderer_key(choice.name, len(settings.renderers))) from None


def _loaded(sequence: PlannedSequence, settings: "RenderSettings") -> Picture:
    """The picture, with its depth map if the renderer reads it: a bad one costs no painting that would not use it."""
    choice = settings.renderers[sequence.renderer]
    reads_depth = choice.renderer.reads_depth(choice.config)
    entry = sequence.entry if reads_depth else replace(sequence.entry, depth=None)
    return settings.source.load(entry, settings.framing, choice.ground)


def _seed(sequence: PlannedSequence, settings: "RenderSettings") -> np.random.SeedSequence:
    return np.random.SeedSequence(settings.seed, spawn_key=spawn_key(sequence))
