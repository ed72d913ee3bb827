"""From a picture to a label map that partitions the canvas."""

import cv2
import numpy as np
from numpy.typing import NDArray

from conf.errors import ConfigError
from renderers.bezier.fit import shrink
from renderers.painting import Assets, Image, Knowledge
from renderers.region.config import SegmentChoice
from renderers.region.graph import Labels, Merging, merged, numbered

_WORKING_PX = 256
_SUPERPIXEL_SCALE, _SUPERPIXEL_SIGMA, _SUPERPIXEL_PX = 30.0, 0.3, 20
_MERGING_POWER, _BORDER_WEIGHT = 0.1, 2.0


def segment(image: Image, choice: SegmentChoice, assets: Assets, known: Knowledge) -> Labels:
    """Cut a picture into regions.

    Args:
        image: (H, W, 3) float32 RGB in [0, 1].
        assets: `sam`, a handle whose `load(variant, device)` gives a `segment_anything.modeling.Sam`, for `method=sam`.
        known: its labels are taken for `method=truth`.

    Returns:
        (H, W) int32 labels from 0 on without gaps.

    Raises:
        ConfigError: if `method=truth` and the source brings no label map.
    """
    if choice.method == "truth":
        if known.labels is None:
            raise ConfigError("segment.method", "truth", "graph or sam: this source brings no label map")
        return numbered(known.labels)
    if choice.method == "sam":
        from renderers.region.sam import sam_labels

        network = assets["sam"].load(choice.sam.variant, choice.sam.device)
        found: Labels = sam_labels(image, network, choice)
        return found
    return graph_labels(image, choice)


def graph_labels(image: Image, choice: SegmentChoice) -> Labels:
    """Superpixels (Felzenszwalb and Huttenlocher, IJCV 2004), merged by colour and strength of borders.

    Looks at no more than 256 px along the shorter side; contours are smoothed when enlarged.
    """
    from skimage.measure import label as connected
    from skimage.segmentation import felzenszwalb

    small = shrink(image, _WORKING_PX)
    cells = felzenszwalb(
        small, scale=_SUPERPIXEL_SCALE, sigma=_SUPERPIXEL_SIGMA, min_size=_SUPERPIXEL_PX, channel_axis=-1
    )
    superpixels = numbered(connected(cells, connectivity=1, background=-1))  # cells may hang together by corners
    merging = Merging(
        tolerance=choice.tolerance,
        max_regions=choice.max_regions,
        min_regions=choice.min_regions,
        least_area=choice.least_area,
        border_weight=_BORDER_WEIGHT,
        power=_MERGING_POWER,
    )
    return numbered(resized_labels(merged(superpixels, lab_of(small), merging), *image.shape[:2]))


def lab_of(image: Image) -> NDArray[np.float32]:
    """(H, W, 3) CIE Lab."""
    lab: NDArray[np.float32] = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    return lab


def resized_labels(labels: Labels, height: int, width: int) -> Labels:
    """The label map at another size: each pixel gets the region that has most of it, so contours come out smooth."""
    if labels.shape == (height, width):
        return labels
    scale_y, scale_x = height / labels.shape[0], width / labels.shape[1]
    best, resized = np.full((height, width), -1, np.float32), np.zeros((height, width), np.int32)
    for label, box in boxes(labels):
        # whole pixels of both maps meet only at corners of the canvas, so each box is cut with room and warped
        top, left = max(0, box[0].start - 2), max(0, box[1].start - 2)
        mask = (labels[top : box[0].stop + 2, left : box[1].stop + 2] == label).astype(np.float32)
        first_y, last_y = int(top * scale_y), min(height, int(np.ceil((top + mask.shape[0]) * scale_y)))
        first_x, last_x = int(left * scale_x), min(width, int(np.ceil((left + mask.shape[1]) * scale_x)))
        matrix = np.array(
            [
                [1 / scale_x, 0, (first_x + 0.5) / scale_x - 0.5 - left],
                [0, 1 / scale_y, (first_y + 0.5) / scale_y - 0.5 - top],
            ]
        )
        share = cv2.warpAffine(
            mask, matrix, (last_x - first_x, last_y - first_y), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        there = np.s_[first_y:last_y, first_x:last_x]
        better = share > best[there]
        best[there][better] = share[better]
        resized[there][better] = label
    return resized


def boxes(labels: Labels) -> list[tuple[int, tuple[slice, slice]]]:
    """Every label that is there, with its bounding box."""
    from scipy.ndimage import find_objects

    return [(label, box) for label, box in enumerate(find_objects(labels + 1)) if box is not None]
