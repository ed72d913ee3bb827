"""From a picture to its things."""

import cv2
import numpy as np
from numpy.typing import NDArray

from conf.errors import ConfigError
from renderers.painting import Assets, Image, Knowledge
from renderers.shrink import shrink
from renderers.things.background import Scores, standing_out, stretched
from renderers.things.cells import Cells, cells_of
from renderers.things.colour import lab_of
from renderers.things.config import ThingsConfig
from renderers.things.contours import guided_labels, resized_labels, smoothed, without_specks
from renderers.things.depth import guessed_distances
from renderers.things.graph import Labels, Merging, merged, numbered
from renderers.things.grouping import grouped
from renderers.things.naming import names_of
from renderers.things.saliency import judge
from renderers.things.sam import partition, sam_masks, wholes
from renderers.things.subject import subject_cells
from renderers.things.survey import survey
from renderers.things.things import Things
from renderers.things.truth import known_wholes

LEAST_PIECE = 0.001
"""No connected piece of a thing is smaller than this share of the canvas."""

_EDGES_PX = 256
_SMOOTH = 0.004  # how far borders of networks' masks are evened out, in shorter sides


def find_things(
    image: Image, known: Knowledge, config: ThingsConfig, rng: np.random.Generator, assets: Assets
) -> Things:
    """The things of a (H, W, 3) float32 RGB image in [0, 1].

    Args:
        known: the source's label map, names and depth, which are taken as they are.
        rng: decides what lies in front where nothing else decides it.
        assets: what `asset_paths` names: handles whose `load` gives the networks.

    Raises:
        ConfigError: if `method=truth` and the source brings no label map.
    """
    cells = cells_of(image)
    if config.saliency.method == "background":
        salient = standing_out(cells)
    else:
        salient = _by_cell(cells, judge(image, config.saliency, assets))
    labels = numbered(
        without_specks(_cut(image, cells, salient, known, config, assets), LEAST_PIECE, config.least_area)
    )
    height, width = labels.shape
    saliency = cv2.resize(salient[cells.labels].astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    measured = survey(labels, saliency, lab_of(image))
    count = int(labels.max()) + 1
    areas_px = np.bincount(labels.ravel(), minlength=count).astype(np.int64)
    if known.depth is None:
        far = guessed_distances(labels, rng)
    else:
        far = np.bincount(labels.ravel(), known.depth.ravel(), count) / areas_px
    rank = np.empty(count, np.int64)
    rank[np.argsort(-far, kind="stable")] = np.arange(count)
    return Things(
        labels=labels.astype(np.uint16),
        saliency=measured.scores.astype(np.float32),
        areas_px=areas_px,
        detail=_detail(image, labels),
        depth_rank=rank,
        names=names_of(labels, measured, known),
    )


def _cut(image: Image, cells: Cells, salient: Scores, known: Knowledge, config: ThingsConfig, assets: Assets) -> Labels:
    if config.method == "truth" and known.labels is None:
        raise ConfigError("method", "truth", "auto, graph or sam: this source brings no label map")
    if known.labels is not None and config.method in ("auto", "truth"):
        merging = Merging(tolerance=-1.0, max_regions=config.max_things, least_area=config.least_area)
        return merged(known_wholes(known), lab_of(image), merging)
    if config.method == "sam":
        network = assets["sam"].load(config.sam.variant, config.sam.device)
        masks = wholes(sam_masks(image, network, config.sam), image.shape[0] * image.shape[1])
        labels = partition(image, masks, config.max_things, config.least_area)
        return smoothed(labels, _SMOOTH * min(labels.shape))
    coarse_labels = grouped(cells, salient, subject_cells(cells, salient), config.max_things, config.least_area)
    return guided_labels(coarse_labels, image)


def _by_cell(cells: Cells, saliency: NDArray[np.float32]) -> Scores:
    """(N,) mean of a (H, W) map over each cell, stretched to [0, 1]."""
    height, width = cells.labels.shape
    small = cv2.resize(saliency, (width, height), interpolation=cv2.INTER_AREA)
    pixels = np.bincount(cells.labels.ravel())
    return stretched(np.bincount(cells.labels.ravel(), small.ravel()) / pixels)


def _detail(image: Image, labels: Labels) -> NDArray[np.float32]:
    """(K,) mean strength of edges of each thing, its own border left out."""
    small = lab_of(shrink(image, _EDGES_PX))
    slope = np.sqrt((cv2.Sobel(small, -1, 1, 0) ** 2 + cv2.Sobel(small, -1, 0, 1) ** 2).sum(-1)) / 8
    small_labels = resized_labels(labels, *slope.shape).astype(np.float32)
    square = np.ones((3, 3), np.uint8)
    inside = cv2.erode(small_labels, square) == cv2.dilate(small_labels, square)
    flat, count = small_labels[inside].astype(np.int64), int(labels.max()) + 1
    pixels = np.maximum(np.bincount(flat, minlength=count), 1)
    detail: NDArray[np.float32] = (np.bincount(flat, slope[inside], count) / pixels).astype(np.float32)
    return detail
