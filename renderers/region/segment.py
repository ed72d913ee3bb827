"""From a picture to a label map that partitions the canvas."""

from conf.errors import ConfigError
from renderers.bezier.fit import shrink
from renderers.painting import Assets, Image, Knowledge
from renderers.region.config import SegmentChoice
from renderers.things.colour import lab_of
from renderers.things.contours import resized_labels
from renderers.things.graph import Labels, Merging, merged, numbered
from renderers.things.sam import partition, sam_masks

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
        network = assets["sam"].load(choice.sam.variant, choice.sam.device)
        masks = sam_masks(image, network, choice.sam)
        return partition(image, masks, choice.max_regions, choice.least_area)
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
