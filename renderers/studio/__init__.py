"""The studio: a painting as people make one. A drawing first, then one object after another, accents last."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np

from conf.errors import ConfigError
from renderers import things
from renderers.begun import begun_png
from renderers.brush.canvas import ledger_of, replay
from renderers.family import AssetFile, Note, Renderer
from renderers.painting import NO_ASSETS, NOTHING_KNOWN, Assets, Image, Knowledge, Painting, StrokeProgram
from renderers.studio.config import StudioConfig as Config
from renderers.studio.media import MEDIA
from renderers.studio.order import refuse_order
from renderers.studio.pace import time_left
from renderers.studio.phases import Turns, phases_in_words
from renderers.studio.process import plan
from renderers.time_line import TimeLine

__all__ = ["RENDERER", "Config"]

_BEGUN = Note(phase="begun", thing=None, doing="the unfinished picture", receding=False)


class StudioRenderer(Renderer):
    """The family `studio`."""

    config_type = Config

    def paint(
        self, image: Image, config: Config, seed: np.random.SeedSequence, assets: Assets = NO_ASSETS,
        known: Knowledge = NOTHING_KNOWN,
    ) -> Painting:  # fmt: skip
        """Paint a (H, W, 3) float32 RGB image in [0, 1].

        Args:
            assets: `sam` and `network`, handles whose `load` gives the networks.
            known: the source's label map and depth.

        Raises:
            ConfigError: if the configuration asks for a label map, an object or a network that is not there.
        """
        return _painting(plan(image, config, seed, assets, known))

    def plan(
        self, image: Image, config: Config, seed: np.random.SeedSequence, assets: Assets = NO_ASSETS,
        known: Knowledge = NOTHING_KNOWN,
    ) -> StrokeProgram:  # fmt: skip
        """The strokes alone."""
        return plan(image, config, seed, assets, known)

    def follows(self, config: Config, *, begun: bool = False) -> bool:
        """Every medium from a blank canvas; only media that cover on a canvas that is begun."""
        medium = MEDIA[config.medium]
        return not begun or (medium.paints and not medium.absorbs)

    def follow(
        self, image: Image, time_line: TimeLine, config: Config, seed: np.random.SeedSequence,
        assets: Assets = NO_ASSETS,
    ) -> Painting:  # fmt: skip
        """Paint an image object by object, each blocked in and finished when a painter does; see `StudioConfig`.

        Raises:
            ConfigError: as `paint`.
        """
        return _painting(plan(image, config, seed, assets, time_line=time_line))

    def replay(
        self, program: StrokeProgram, steps: Sequence[int], size_px: tuple[int, int] | None = None
    ) -> Iterator[Image]:
        """The canvas after each of the given steps; see `renderers.brush.canvas.replay`."""
        return replay(program, steps, size_px)

    def notes(self, program: StrokeProgram, steps: Sequence[int]) -> list[Note]:
        """What is done up to each of the given steps (ascending), and whether that should bring the canvas nearer."""
        turns = Turns.from_arrays(program.arrays, len(program.strokes))
        notes = [turns.note(before, step) for before, step in pairwise([0, *steps])]
        if begun_png(program) is None:
            return notes
        return [_BEGUN if note.phase == "blank" else note for note in notes]

    def phrase(self, config: Config) -> str:
        """The phrase of the medium, and the phases where not all are painted."""
        return ", ".join(part for part in (MEDIA[config.medium].phrase, phases_in_words(config.phases)) if part)

    def ground(self, config: Config) -> tuple[float, float, float]:
        """The blank canvas, or the paper."""
        return config.ground

    def asset_files(self, config: Config) -> Mapping[str, AssetFile]:
        """The networks that find objects and what draws the eye."""
        paths = things.asset_paths(config.things)
        files: dict[str, AssetFile] = {}
        if "sam" in paths:
            files["sam"] = AssetFile(key="things.sam.checkpoint", path=paths["sam"], kind="sam")
        if "network" in paths:
            files["network"] = AssetFile(key="things.saliency.network", path=paths["network"], kind="saliency")
        return files

    def check_assets(self, config: Config, assets: Assets) -> None:
        """Load and try the networks."""
        things.check_assets(config.things, assets)

    def check_source(self, config: Config, *, brings_labels: bool) -> None:
        """Refuse a source without label maps where objects are to be taken from them."""
        if config.things.method == "truth" and not brings_labels:
            raise ConfigError("things.method", config.things.method, "auto, graph or sam")

    def check_image(self, image: Image, config: Config, assets: Assets = NO_ASSETS) -> None:
        """Refuse an image that holds nothing of what `order` names."""
        refuse_order(image, config, assets)


RENDERER = StudioRenderer()


def _painting(program: StrokeProgram) -> Painting:
    turns = Turns.from_arrays(program.arrays, len(program.strokes))
    ledger = ledger_of(program)
    distances = ledger.distances(program.height_px * program.width_px)
    pace = time_left(turns, distances, ledger.energies[:, 0])
    return Painting(program=program, distances=distances, pace=pace)
