"""From a picture to its things."""

import cv2
import numpy as np
from numpy.typing import NDArray

from conf.errors import ConfigError
from renderers.bezier.fit import shrink
from renderers.painting import Assets, Image, Knowledge
from renderers.things.colour import lab_of
from renderers.things.config import ThingsConfig
from renderers.things.contours import resized_labels
from renderers.things.graph import Labels, Merging, merged, numbered
from renderers.things.naming import names_of
from renderers.things.saliency import judge
from renderers.things.sam import partition, sam_masks
from renderers.things.survey import survey
from renderers.things.things import Things

_WORKING_PX = 160
_NUM_CELLS = 250
_COMPACTNESS = 10.0
_TOLERANCE = 30.0
_EDGES_PX = 256


def find_things(
    image: Image, known: Knowledge, config: ThingsConfig, rng: np.random.Generator, assets: Assets
) -> Things:
    """The things of a (H, W, 3) float32 RGB image in [0, 1].

    Args:
        known: the source's label map and depth, which are believed.
        rng: decides between guesses that are equally good.
        assets: what `asset_paths` names: handles whose `load` gives the networks.

    Raises:
        ConfigError: if `method=truth` and the source brings no label map.
    """
    labels = _labels(image, known, config, assets)
    measured = survey(labels, judge(image, config.saliency, assets), lab_of(image))
    count = int(labels.max()) + 1
    areas_px = np.bincount(labels.ravel(), minlength=count).astype(np.int64)
    if known.depth is not None:
        far = np.bincount(labels.ravel(), known.depth.ravel(), count) / areas_px
    else:
        far = measured.far
    rank = np.empty(count, np.int64)
    rank[np.argsort(-far, kind="stable")] = np.arange(count)
    return Things(
        labels=labels.astype(np.uint16),
        saliency=measured.scores.astype(np.float32),
        areas_px=areas_px,
        detail=_detail(image, labels),
        depth_rank=rank,
        names=names_of(labels, measured),
    )


def _labels(image: Image, known: Knowledge, config: ThingsConfig, assets: Assets) -> Labels:
    if config.method == "truth" and known.labels is None:
        raise ConfigError("method", "truth", "auto, graph or sam: this source brings no label map")
    if known.labels is not None and config.method in ("auto", "truth"):
        merging = Merging(tolerance=-1.0, max_regions=config.max_things, least_area=config.least_area)
        return merged(numbered(known.labels), lab_of(image), merging)
    if config.method == "sam":
        network = assets["sam"].load(config.sam.variant, config.sam.device)
        masks = sam_masks(image, network, config.sam)
        return partition(image, masks, config.max_things, config.least_area)
    from skimage.segmentation import slic

    small = shrink(image, _WORKING_PX)
    lab = lab_of(small)
    cells = numbered(slic(lab, _NUM_CELLS, _COMPACTNESS, max_num_iter=5, start_label=0, convert2lab=False))
    merging = Merging(
        tolerance=_TOLERANCE, max_regions=config.max_things, least_area=config.least_area, border_weight=2.0, power=0.1
    )
    return numbered(resized_labels(merged(cells, lab, merging), *image.shape[:2]))


def _detail(image: Image, labels: Labels) -> NDArray[np.float32]:
    """(K,) mean strength of edges of each thing, its own border left out."""
    small = lab_of(shrink(image, _EDGES_PX))
    slope = np.sqrt((cv2.Sobel(small, -1, 1, 0) ** 2 + cv2.Sobel(small, -1, 0, 1) ** 2).sum(-1)) / 8
    height, width = slope.shape
    own = cv2.resize(labels.astype(np.float32), (width, height), interpolation=cv2.INTER_NEAREST).astype(np.int32)
    low, high = (change(own.astype(np.float32), np.ones((3, 3), np.uint8)) for change in (cv2.erode, cv2.dilate))
    inside = low == high
    count = int(labels.max()) + 1
    pixels = np.bincount(own[inside], minlength=count)
    detail: NDArray[np.float32] = (np.bincount(own[inside], slope[inside], count) / np.maximum(pixels, 1)).astype(
        np.float32
    )
    return detail
