"""Regions from Segment Anything (Kirillov et al., ICCV 2023): its automatic masks, made into a partition."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from renderers.painting import Image, to_uint8
from renderers.region.config import SegmentChoice
from renderers.region.graph import Labels, Merging, merged, numbered
from renderers.region.segment import lab_of

if TYPE_CHECKING:
    from segment_anything.modeling import Sam


def sam_labels(image: Image, network: "Sam", choice: SegmentChoice) -> Labels:
    """Cut a picture by all masks that the network finds on a grid of points.

    Args:
        image: (H, W, 3) float32 RGB in [0, 1].

    Returns:
        (H, W) labels without gaps; a single one where no mask is found.
    """
    from segment_anything import SamAutomaticMaskGenerator

    generator = SamAutomaticMaskGenerator(
        network,
        points_per_side=choice.sam.points_per_side,
        points_per_batch=choice.sam.points_per_batch,
        pred_iou_thresh=choice.sam.min_quality,
        stability_score_thresh=choice.sam.min_stability,
    )
    return partition(image, generator.generate(to_uint8(image)), choice)


def partition(image: Image, masks: Sequence[Mapping[str, Any]], choice: SegmentChoice) -> Labels:
    """Make one label map of overlapping masks.

    Where masks overlap, the one with the larger stability / sqrt(area) is seen: parts lie upon wholes, unless they are
    much less certain. Each connected piece is a region, of what no mask covers too; pieces too small, and the most
    alike of too many, join the neighbour that is most like them.

    Args:
        image: (H, W, 3) float32 RGB in [0, 1].
        masks: records with `segmentation` (H, W) bool, `stability_score` and `area`.
    """
    from skimage.measure import label as connected

    stacked = np.zeros(image.shape[:2], np.int32)
    ranked = sorted(masks, key=lambda mask: float(mask["stability_score"]) / max(1.0, float(mask["area"])) ** 0.5)
    for number, mask in enumerate(ranked, 1):
        stacked[mask["segmentation"]] = number
    pieces = numbered(connected(stacked, connectivity=1, background=-1))
    merging = Merging(tolerance=-1.0, max_regions=choice.max_regions, least_area=choice.least_area)
    return merged(pieces, lab_of(image), merging)
