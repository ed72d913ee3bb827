"""From a picture to a label map that partitions the canvas, and which regions are parts of one thing."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from conf.errors import ConfigError
from renderers.painting import Assets, Image, Knowledge
from renderers.region.config import SegmentChoice
from renderers.shrink import shrink
from renderers.things.background import standing_out
from renderers.things.cells import cells_of
from renderers.things.colour import lab_of
from renderers.things.contours import guided_labels, resized_labels, without_specks
from renderers.things.graph import Labels, Merging, merged, numbered
from renderers.things.grouping import grouped
from renderers.things.sam import partition, sam_masks, wholes
from renderers.things.subject import subject_cells
from renderers.things.truth import known_wholes

_WORKING_PX = 192
_SUPERPIXEL_SCALE, _SUPERPIXEL_SIGMA, _SUPERPIXEL_PX = 30.0, 0.3, 20
_MERGING_POWER, _BORDER_WEIGHT = 0.1, 2.0
_LEAST_THING = 0.004  # share of the canvas


@dataclass(frozen=True)
class Cut:
    """R regions of a picture.

    Attributes:
        labels: (H, W) from 0 on without gaps.
        things: (R,) the thing that each region is a part of.
    """

    labels: Labels
    things: NDArray[np.int64]


def segment(image: Image, choice: SegmentChoice, assets: Assets, known: Knowledge) -> Cut:
    """Cut a picture into regions.

    Args:
        image: (H, W, 3) float32 RGB in [0, 1].
        assets: `sam`, a handle whose `load(variant, device)` gives a `segment_anything.modeling.Sam`, for `method=sam`.
        known: its labels are taken for `method=truth`.

    Raises:
        ConfigError: if `method=truth` and the source brings no label map.
    """
    if choice.method == "truth":
        if known.labels is None:
            raise ConfigError("segment.method", "truth", "graph or sam: this source brings no label map")
        labels = numbered(known.labels)
        return Cut(labels, _majority(known_wholes(known), labels))
    if choice.method == "sam":
        network = assets["sam"].load(choice.sam.variant, choice.sam.device)
        masks = sam_masks(image, network, choice.sam)
        labels = partition(image, masks, choice.max_regions, choice.least_area)
        things = partition(image, wholes(masks, labels.size), choice.max_things, _LEAST_THING)
        return Cut(labels, _majority(things, labels))
    return graph_cut(image, choice)


def graph_cut(image: Image, choice: SegmentChoice) -> Cut:
    """Merge the superpixels (Felzenszwalb and Huttenlocher, IJCV 2004) of each thing by colour and strength of borders.

    This works on no more than 192 px along the shorter side; then borders move to the edges of the picture itself.
    """
    from skimage.segmentation import felzenszwalb

    cells = cells_of(image)
    salient = standing_out(cells)
    things = grouped(cells, salient, subject_cells(cells, salient), choice.max_things, _LEAST_THING)
    small = shrink(image, _WORKING_PX)
    superpixels = _connected(
        felzenszwalb(small, scale=_SUPERPIXEL_SCALE, sigma=_SUPERPIXEL_SIGMA, min_size=_SUPERPIXEL_PX, channel_axis=-1)
    )
    merging = Merging(
        tolerance=choice.tolerance,
        max_regions=choice.max_regions,
        min_regions=choice.min_regions,
        least_area=choice.least_area,
        border_weight=_BORDER_WEIGHT,
        power=_MERGING_POWER,
    )
    superpixel_things = _majority(resized_labels(things, *small.shape[:2]), superpixels)
    parts = merged(superpixels, lab_of(small), merging, superpixel_things)
    final_merging = Merging(tolerance=-1.0, max_regions=choice.max_regions, least_area=choice.least_area)
    pieces = _connected(without_specks(guided_labels(parts, image), choice.least_area / 2))
    labels = merged(pieces, lab_of(image), final_merging)
    return Cut(labels, _majority(resized_labels(things, *labels.shape), labels))


def _connected(labels: NDArray[np.integer]) -> Labels:
    """The label map in which each connected piece is a region of its own."""
    from skimage.measure import label as connected

    return numbered(connected(labels, connectivity=1, background=-1))


def _majority(values: Labels, labels: Labels) -> NDArray[np.int64]:
    """(R,) the value that most pixels of each label have."""
    count = int(values.max()) + 1
    pairs = np.bincount(labels.ravel() * count + values.ravel(), minlength=(int(labels.max()) + 1) * count)
    most: NDArray[np.int64] = pairs.reshape(-1, count).argmax(1)
    return most
