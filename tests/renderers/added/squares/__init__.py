"""A family of renderers that is not part of the package: squares in the colours of the picture and a palette."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from conf.errors import ConfigError
from renderers.distance import canvas_distances
from renderers.family import AssetFile, Renderer
from renderers.painting import NO_ASSETS, NOTHING_KNOWN, Assets, Image, Knowledge, Painting, StrokeProgram

BATCH_SIZES: list[int] = []
"""How many pictures each call of `paint_batch` was given."""


@dataclass(frozen=True, kw_only=True)
class SquaresConfig:
    """The keys of the family.

    Attributes:
        num_along: squares along each side, 2 to 64.
        palette: path of a picture whose mean colour tints the squares.
        note: path of a file that must not be empty.
        by_object: whether objects must be known.
        together: whether painting in batches is faster.
    """

    num_along: int = 8
    palette: str | None = None
    note: str | None = None
    by_object: bool = False
    together: bool = False

    def __post_init__(self) -> None:
        if not 2 <= self.num_along <= 64:
            raise ConfigError("num_along", self.num_along, "2 to 64")


class SquaresRenderer(Renderer):
    """The family `squares`, which uses every hook."""

    config_type = SquaresConfig

    def paint(
        self, image: Image, config: SquaresConfig, seed: np.random.SeedSequence, assets: Assets = NO_ASSETS,
        known: Knowledge = NOTHING_KNOWN,
    ) -> Painting:  # fmt: skip
        height, width = image.shape[:2]
        small = cv2.resize(image, (config.num_along, config.num_along), interpolation=cv2.INTER_AREA)
        if "palette" in assets:
            small = 0.5 * small + 0.5 * assets["palette"].mean((0, 1))
        if config.by_object:
            assert known.labels is not None
        order = np.random.default_rng(seed).permutation(config.num_along**2)
        tops, lefts = np.divmod(order, config.num_along)
        rows = np.column_stack([tops, lefts, small.reshape(-1, 3)[order]]).astype(np.float32)
        program = StrokeProgram(
            family="squares", strokes=rows, canvas=self.ground(config), height_px=height, width_px=width,
            arrays={"num_along": np.array(config.num_along)},
        )  # fmt: skip
        canvases = list(self.replay(program, range(len(rows) + 1)))
        return Painting(program=program, distances=self.distances(program, canvases))

    def replay(
        self, program: StrokeProgram, steps: Sequence[int], size_px: tuple[int, int] | None = None
    ) -> Iterator[Image]:
        height, width = size_px or (program.height_px, program.width_px)
        num_along = int(program.arrays["num_along"])
        for step in steps:
            small = np.tile(np.array(program.canvas, np.float32), (num_along, num_along, 1))
            tops, lefts = program.strokes[:step, :2].astype(int).T
            small[tops, lefts] = program.strokes[:step, 2:]
            yield cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)

    def gains_by_batches(self, config: SquaresConfig) -> bool:
        return config.together

    def paint_batch(
        self, images: Sequence[Image], config: SquaresConfig, seeds: Sequence[np.random.SeedSequence],
        assets: Assets = NO_ASSETS, known: Sequence[Knowledge] = (),
    ) -> list[Painting]:  # fmt: skip
        BATCH_SIZES.append(len(images))
        return super().paint_batch(images, config, seeds, assets, known)

    def ground(self, config: SquaresConfig) -> tuple[float, float, float]:
        return (0.5, 0.5, 0.5)

    def asset_files(self, config: SquaresConfig) -> Mapping[str, AssetFile]:
        files: dict[str, AssetFile] = {}
        if config.palette is not None:
            files["palette"] = AssetFile(key="palette", path=config.palette, kind="picture", what="a picture")
        if config.note is not None:
            files["note"] = AssetFile(key="note", path=config.note, kind="bytes")
        return files

    def check_assets(self, config: SquaresConfig, assets: Assets) -> None:
        if not assets.get("note", b"some"):
            raise ConfigError("note", config.note, "a file that is not empty")

    def check_source(self, config: SquaresConfig, *, brings_labels: bool) -> None:
        if config.by_object and not brings_labels:
            raise ConfigError("by_object", config.by_object, "false")

    def distances(self, program: StrokeProgram, canvases: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
        return canvas_distances(list(canvases), canvases[0])


RENDERER = SquaresRenderer()
