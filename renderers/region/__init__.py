"""Region by region: the most salient object first, then outward to the background, and nothing is revised.

A picture is segmented, its saliency is judged, and its regions are ordered and filled. Once a region is finished, none
of its pixels changes, as in ink, carving or watercolour.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from conf.errors import ConfigError
from renderers.family import AssetFile, Renderer
from renderers.painting import (
    NO_ASSETS,
    NOTHING_KNOWN,
    Assets,
    Image,
    Knowledge,
    Painting,
    Regions,
    StrokeProgram,
    to_uint8,
)
from renderers.region.config import FILLS
from renderers.region.config import RegionConfig as Config
from renderers.region.order import painting_order
from renderers.region.region_map import REGION, SHARE, WASHES, RegionMap, packed, unpacked
from renderers.region.segment import segment
from renderers.region.strokes import plan_strokes, replay_strokes
from renderers.things.assets import check_networks, network_paths
from renderers.things.colour import lab_of
from renderers.things.graph import Labels
from renderers.things.saliency import judge
from renderers.things.survey import survey

__all__ = ["RENDERER", "Config"]

_MEASURED_PX = 96
_MOST_WASHES, _FEWEST_WASHES = 32, 4
_NOTHING = 1e-9


class RegionRenderer(Renderer):
    """The family `region`."""

    config_type = Config

    def paint(
        self, image: Image, config: Config, seed: np.random.SeedSequence, assets: Assets = NO_ASSETS,
        known: Knowledge = NOTHING_KNOWN,
    ) -> Painting:  # fmt: skip
        """Paint a (H, W, 3) float32 RGB image in [0, 1] region by region.

        Args:
            assets: what `asset_files` names: handles whose `load` gives the networks.
            known: the source's label map and depth.

        Raises:
            ConfigError: if the configuration asks for a label map, a region or a network that is not there.
        """
        cut = segment(image, config.segment, assets, known)
        labels = cut.labels
        region_survey = survey(labels, judge(image, config.saliency, assets), lab_of(image))
        order = painting_order(labels, cut.things, region_survey, config, known)
        program = _program(image, labels, order, config, seed)
        pixels = np.bincount(labels.ravel())
        regions = Regions(
            labels=labels.astype(np.uint16),
            order=order,
            saliency=tuple(round(float(score), 6) for score in region_survey.scores),
            areas_px=tuple(int(count) for count in pixels),
        )
        return Painting(program=program, distances=_distances(program), regions=regions)

    def replay(
        self, program: StrokeProgram, steps: Sequence[int], size_px: tuple[int, int] | None = None
    ) -> Iterator[Image]:
        """The (height, width, 3) canvas after each of the given steps (ascending; 0 is the blank canvas)."""
        height, width = size_px or (program.height_px, program.width_px)
        region_map = unpacked(program, height, width)
        canvas = np.tile(region_map.blank, (height * width, 1))
        yield from (canvas.reshape(height, width, 3).copy() for step in steps if step == 0)
        for label, start, end in _turns(program):
            if start >= steps[-1]:
                return
            own_steps = [step for step in steps if start < step <= end]
            ends = sorted({*own_steps, end})
            for step, pixels in zip(ends, _region_pixels(program, region_map, label, start, ends), strict=True):
                canvas[region_map.members[label]] = pixels
                yield from (canvas.reshape(height, width, 3).copy() for _ in range(own_steps.count(step)))

    def reads_depth(self, config: Config) -> bool:
        """Whether the farthest region is painted first."""
        return bool(config.order == "back_to_front")

    def ground(self, config: Config) -> tuple[float, float, float]:
        """The blank canvas."""
        return config.canvas

    def asset_files(self, config: Config) -> Mapping[str, AssetFile]:
        """The networks that find regions and what draws the eye."""
        paths = network_paths(config.segment.sam if config.segment.method == "sam" else None, config.saliency)
        files: dict[str, AssetFile] = {}
        if "sam" in paths:
            files["sam"] = AssetFile(key="segment.sam.checkpoint", path=paths["sam"], kind="sam")
        if "network" in paths:
            files["network"] = AssetFile(key="saliency.network", path=paths["network"], kind="saliency")
        return files

    def check_assets(self, config: Config, assets: Assets) -> None:
        """Load the networks that a configuration names, and try the one for saliency on a blank picture.

        Raises:
            ConfigError: if one is not usable; it names the key.
        """
        check_networks(config.segment.sam, config.saliency, assets)

    def check_source(self, config: Config, *, brings_labels: bool) -> None:
        """Refuse a source without label maps where regions are to be taken from them."""
        if config.segment.method == "truth" and not brings_labels:
            raise ConfigError("segment.method", config.segment.method, "graph or sam")

    def distances(self, program: StrokeProgram, canvases: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
        """Distances of (h, w, 3) canvases in [0, 1] from the finished one.

        Each region contributes the share of it that is still missing, |C - finished|^2 / |blank - finished|^2 over its
        pixels, weighted by the root of its area, so that a small subject is not passed over between two frames. As
        finished pixels never change, this falls with every step of `reveal`, `wash` and `flat`.
        """
        missing: list[NDArray[np.float64]] = []
        finished: NDArray[np.floating] | None = None
        for canvas in canvases:
            if finished is None:
                finished = next(iter(self.replay(program, [len(program.strokes)], canvas.shape[:2])))
                labels = unpacked(program, *canvas.shape[:2]).labels.ravel()
                weights = np.sqrt(np.bincount(labels))
                blank_energies = _energies(np.array(program.canvas, np.float32) - finished, labels)
            missing.append(_energies(canvas - finished, labels))
        measurable = blank_energies > _NOTHING * labels.size
        if not measurable.any():
            return np.zeros(len(missing))
        shares = np.stack(missing)[:, measurable] / blank_energies[measurable]
        distances: NDArray[np.float64] = np.minimum(1.0, shares @ weights[measurable] / weights[measurable].sum())
        return distances


RENDERER = RegionRenderer()


def _program(
    image: Image, labels: Labels, order: tuple[int, ...], config: Config, seed: np.random.SeedSequence
) -> StrokeProgram:
    if config.fill == "strokes":
        rows, arrays = plan_strokes(image, labels, order, config.strokes, seed)
        maps = packed(labels, None)
    else:
        areas = np.bincount(labels.ravel()) / labels.size
        rows = np.vstack([_rows(label, _num_steps(config.fill, areas[label])) for label in order])
        arrays, maps = {}, packed(labels, to_uint8(image))
    return StrokeProgram(
        family="region",
        strokes=rows,
        canvas=config.canvas,
        height_px=image.shape[0],
        width_px=image.shape[1],
        arrays={**arrays, **maps, "fill": np.array(WASHES if config.fill == "wash" else config.fill)},
    )


def _num_steps(fill: str, area: float) -> int:
    """The number of steps in which a region of this share of the canvas appears."""
    if fill == "wash":
        return max(_FEWEST_WASHES, round(_MOST_WASHES * math.sqrt(area)))
    return 2 if fill == "flat" else 1


def _rows(label: int, count: int) -> NDArray[np.float32]:
    return np.array([(label, (number + 1) / count) for number in range(count)], np.float32)


def _turns(program: StrokeProgram) -> Iterator[tuple[int, int, int]]:
    """Each region in painting order: its label, the step before its first, and its last."""
    regions = program.strokes[:, REGION].astype(int)
    start = 0
    for end in np.flatnonzero(np.diff(regions, append=-1)) + 1:
        yield int(regions[start]), start, int(end)
        start = int(end)


def _region_pixels(
    program: StrokeProgram, region_map: RegionMap, label: int, start: int, steps: list[int]
) -> Iterator[NDArray[np.float32]]:
    """Pixels of a region after each of the given steps, the region's own first step being start + 1."""
    if region_map.picture is None:
        yield from replay_strokes(program, region_map, label, [step - start for step in steps])
        return
    fill = str(program.arrays.get("fill"))
    if fill not in (*FILLS, WASHES):
        raise ValueError(f"the program's regions are filled by '{fill}'")
    for step in steps:
        yield region_map.partly(fill, label, float(program.strokes[step - 1, SHARE]))


def _energies(difference: NDArray[np.floating], labels: NDArray[np.int32]) -> NDArray[np.float64]:
    squares = (difference.astype(np.float64) ** 2).sum(-1).ravel()
    energies: NDArray[np.float64] = np.bincount(labels, squares).astype(np.float64)
    return energies


def _distances(program: StrokeProgram) -> NDArray[np.float64]:
    """(N + 1,) `RegionRenderer.distances` after every step. They are measured on a small canvas, because a share needs
    no detail, and only in the region that is being filled, because nothing else changes."""
    scale = min(1.0, _MEASURED_PX / min(program.height_px, program.width_px))
    region_map = unpacked(program, round(program.height_px * scale), round(program.width_px * scale))
    progress = np.zeros(len(program.strokes) + 1)  # by how much the distance falls at each step, times all weights
    for label, start, end in _turns(program):
        *unfinished, finished = _region_pixels(program, region_map, label, start, list(range(start + 1, end + 1)))
        blank_energy = _energy(region_map.blank - finished)
        if blank_energy > _NOTHING * region_map.labels.size:
            missing = np.minimum(1.0, [1.0, *(_energy(pixels - finished) / blank_energy for pixels in unfinished), 0.0])
            progress[start + 1 : end + 1] = -np.diff(missing) * math.sqrt(len(finished))
    distances: NDArray[np.float64] = 1.0 - np.cumsum(progress) / max(float(progress.sum()), _NOTHING)
    distances[0], distances[-1] = 1.0, 0.0
    return distances


def _energy(difference: NDArray[np.float32]) -> float:
    return float((difference.astype(np.float64) ** 2).sum())
