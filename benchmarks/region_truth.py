"""The true objects of bundled scenes, and measures of how far regions and saliency agree with them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.sources.source import GroundTruth
from pipelines.sources.framing import Framing
from pipelines.sources.scenes.composition import compose
from pipelines.sources.scenes.description import Scene
from pipelines.sources.scenes.source import ScenesSource
from renderers.painting import Image, Knowledge

_PARTS = frozenset({"mast", "boat inside", "tree trunk", "leaves", "wings", "flame", "person", "roof", "sail", "fruit"})
_LEAST_AREA = 0.004  # share of the canvas; smaller things can hardly be found
_LEVELS = np.linspace(0, 1, 256)
_BETA = 0.3  # beta squared of the F measure, as in the literature on saliency


@dataclass(frozen=True, kw_only=True)
class KnownScene:
    """A scene with its objects.

    Attributes:
        image: (H, W, 3) RGB in [0, 1].
        knowledge: label map and depth.
        objects: for each label the number of its object, which is a thing with its parts; -1 for ground.
        subject: number of the most salient object.
    """

    image: Image
    knowledge: Knowledge
    objects: NDArray[np.int64]
    subject: int

    @property
    def labels(self) -> NDArray[np.int64]:
        """(H, W) label of each pixel."""
        assert self.knowledge.labels is not None
        return self.knowledge.labels.astype(np.int64)

    @property
    def subject_mask(self) -> NDArray[np.bool_]:
        """(H, W) where the subject is."""
        mask: NDArray[np.bool_] = (self.objects == self.subject)[self.labels]
        return mask


def known_scenes(seed: int, count: int, size_px: int) -> list[KnownScene]:
    """The first scenes of a series."""
    source, framing = ScenesSource(seed=seed), Framing(height_px=size_px, width_px=size_px)
    scenes = []
    for index in range(count):
        picture = source.load(source.entry(index), framing)
        assert picture.truth is not None
        objects = _objects(compose(seed, index, source.kinds), picture.truth)
        subject = int(objects[picture.truth.saliency_order[0]])
        scenes.append(KnownScene(image=picture.image, knowledge=picture.knowledge(), objects=objects, subject=subject))
    return scenes


def _objects(scene: Scene, truth: GroundTruth) -> NDArray[np.int64]:
    """(K,) object of each label; labels are in the order of drawing: a thing, then its parts, then the next thing."""
    things_left = [thing.name for thing in scene.things]
    objects, current, parts = np.full(len(truth.names), -1), -1, frozenset[str | None]()
    for label, name in enumerate(truth.names):
        if name in things_left:
            things_left.remove(name)
            current = label
            namesakes = [thing for thing in scene.things if thing.name == name]
            parts = _PARTS | {part for thing in namesakes for part in (thing.part, thing.part_name)}
        elif name not in parts:
            current = -1
        objects[label] = current
    return objects


def region_object(scene: KnownScene, mask: NDArray[np.bool_]) -> int:
    """The object that most of a region shows; -1 for ground."""
    label = int(np.argmax(np.bincount(scene.labels[mask])))
    return int(scene.objects[label])


def best_overlaps(scene: KnownScene, regions: NDArray[np.integer]) -> list[float]:
    """The best IoU of any region with each label of a scene, without labels of tiny areas."""
    count, num_labels = int(regions.max()) + 1, len(scene.objects)
    both = np.bincount((scene.labels * count + regions).ravel(), minlength=num_labels * count)
    both = both.reshape(num_labels, count)
    true_areas, region_areas = both.sum(1), both.sum(0)
    return [
        float((both[label] / (true_areas[label] + region_areas - both[label])).max())
        for label in range(num_labels)
        if true_areas[label] >= _LEAST_AREA * scene.labels.size
    ]


def f_measures(saliency: NDArray[np.float32], truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(256,) F measure with beta squared 0.3, of the saliency map thresholded at each of 256 levels."""
    level = np.searchsorted(_LEVELS, saliency.ravel(), side="right") - 1
    hits = np.bincount(level, truth.ravel(), 256)[::-1].cumsum()[::-1]
    marked = np.bincount(level, minlength=256)[::-1].cumsum()[::-1]
    precision, recall = hits / np.maximum(marked, 1), hits / max(1, int(truth.sum()))
    measures: NDArray[np.float64] = (1 + _BETA) * precision * recall / np.maximum(_BETA * precision + recall, 1e-9)
    return measures
