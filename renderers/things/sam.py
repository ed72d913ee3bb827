"""Regions from Segment Anything (Kirillov et al., ICCV 2023): its automatic masks, made into a partition."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from renderers.painting import Image, to_uint8
from renderers.things.colour import lab_of
from renderers.things.config import SamChoice
from renderers.things.graph import Labels, Merging, merged, numbered

if TYPE_CHECKING:
    from segment_anything.modeling import Sam

_SURROUNDINGS, _INSIDE = 0.5, 0.85


def sam_masks(image: Image, network: "Sam", choice: SamChoice) -> Sequence[Mapping[str, Any]]:
    """All masks that the network finds on a grid of points, as records of `SamAutomaticMaskGenerator`.

    Args:
        image: (H, W, 3) float32 RGB in [0, 1].
    """
    from segment_anything import SamAutomaticMaskGenerator

    generator = SamAutomaticMaskGenerator(
        network,
        points_per_side=choice.points_per_side,
        points_per_batch=choice.points_per_batch,
        pred_iou_thresh=choice.min_quality,
        stability_score_thresh=choice.min_stability,
    )
    masks: Sequence[Mapping[str, Any]] = generator.generate(to_uint8(image))
    return masks


def wholes(masks: Sequence[Mapping[str, Any]], num_pixels: int) -> list[Mapping[str, Any]]:
    """The masks that are not part of another: of a coat and the person in it, the person.

    A mask lies in a larger one if nearly all of its pixels do. A mask of more than half the canvas counts as the
    surroundings of what lies in it, not as a whole that has it as a part.
    """
    masks_of_wholes: list[Mapping[str, Any]] = []
    surroundings = []
    for mask in sorted(masks, key=lambda mask: -int(mask["area"])):
        if mask["area"] > _SURROUNDINGS * num_pixels:
            surroundings.append(mask)
        elif not any(
            (mask["segmentation"] & whole["segmentation"]).sum() > _INSIDE * mask["area"] for whole in masks_of_wholes
        ):
            masks_of_wholes.append(mask)
    return surroundings + masks_of_wholes


def partition(image: Image, masks: Sequence[Mapping[str, Any]], max_regions: int, least_area: float) -> Labels:
    """Make one label map of overlapping masks.

    Where masks overlap, the one with the larger stability / sqrt(area) is on top, so parts lie upon wholes, unless they
    are much less certain. Each connected piece is a region, also where no mask covers. Pieces that are too small, and
    the most alike of too many, are merged with the neighbour that is most like them.

    Args:
        image: (H, W, 3) float32 RGB in [0, 1].
        masks: records with `segmentation` (H, W) bool, `stability_score` and `area`.
        max_regions: the most regions that are left.
        least_area: no region is smaller than this share of the canvas.

    Returns:
        (H, W) labels without gaps; a single one where there is no mask.
    """
    from skimage.measure import label as connected

    stacked = np.zeros(image.shape[:2], np.int32)
    ranked = sorted(masks, key=lambda mask: float(mask["stability_score"]) / max(1.0, float(mask["area"])) ** 0.5)
    for number, mask in enumerate(ranked, 1):
        stacked[mask["segmentation"]] = number
    pieces = numbered(connected(stacked, connectivity=1, background=-1))
    merging = Merging(tolerance=-1.0, max_regions=max_regions, least_area=least_area)
    return merged(pieces, lab_of(image), merging)
