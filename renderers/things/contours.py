"""Borders of label maps: laid where the picture has its edges, smooth, without specks, and at any size."""

import cv2
import numpy as np
from numpy.typing import NDArray

from renderers.painting import Image
from renderers.shrink import shrink
from renderers.things.colour import lab_of
from renderers.things.graph import Labels

_GUIDED_PX = 256  # the picture that guides borders is no larger along its shorter side
_REACH, _EDGE_LAB = 0.016, 4.0  # of the guided filter: half its window in shorter sides, steps taken for flat
_SMOOTH, _ROUNDS = 0.0055, 2  # how far borders are evened out, in shorter sides
_ENLARGED_PX = 0.7  # deviation by which enlarged maps are evened out, in their old pixels
_SOFT_PX, _SHARPNESS = 1.2, 3  # these make a border as wide as one pixel


def guided_labels(labels: Labels, image: Image) -> Labels:
    """A coarse label map at the size of the picture, its borders moved to the nearest edges and evened out.

    Each label's mask goes through the guided filter (He, Sun and Tang, ECCV 2010; the coefficients of a small copy are
    enlarged: He and Sun, 2015); then borders move by their curvature (Merriman, Bence and Osher, 1992).

    Args:
        labels: (h, w) numbered without gaps.
        image: (H, W, 3) float32 RGB in [0, 1].

    Returns:
        (H, W) labels; some may have lost all their pixels.
    """
    height, width = image.shape[:2]
    guide = lab_of(shrink(image, _GUIDED_PX))
    coarse = resized_labels(labels, *guide.shape[:2])
    lab = guide if guide.shape == image.shape else lab_of(image)
    reach = max(1, round(_REACH * min(guide.shape[:2])))
    guided_filter = _GuidedFilter(guide, 2 * reach + 1)
    best, guided = np.full((height, width), -np.inf, np.float32), np.zeros((height, width), np.int32)
    for label, box in boxes(coarse):
        padded = _padded(box, coarse.shape, 4 * reach)
        slope, level = guided_filter.coefficients((coarse[padded] == label).astype(np.float32), padded)
        (slope, place), (level, _) = (_resampled(values, padded, guide.shape, image.shape) for values in (slope, level))
        share = np.einsum("hwc,hwc->hw", slope, lab[place]) + level
        better = share > best[place]
        best[place][better] = share[better]
        guided[place][better] = label
    return smoothed(guided, _SMOOTH * min(height, width))


class _GuidedFilter:
    """The guided filter of one guide: the covariance of colours in each window is inverted only once."""

    def __init__(self, guide: NDArray[np.float32], window: int) -> None:
        self.guide, self.window = guide, window
        self.mean = self._mean(guide)
        aa, ab, ac, bb, bc, cc = (
            self._mean(guide[..., a] * guide[..., b])
            - self.mean[..., a] * self.mean[..., b]
            + (a == b) * np.float32(_EDGE_LAB**2)
            for a, b in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
        )
        minors = [bb * cc - bc * bc, ac * bc - ab * cc, ab * bc - ac * bb,
                  aa * cc - ac * ac, ab * ac - aa * bc, aa * bb - ab * ab]  # fmt: skip
        determinant = aa * minors[0] + ab * minors[1] + ac * minors[2]
        self.inverse = [minor / determinant for minor in minors]

    def _mean(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        mean: NDArray[np.float32] = cv2.blur(values, (self.window, self.window), borderType=cv2.BORDER_REFLECT)
        return mean

    def coefficients(
        self, mask: NDArray[np.float32], padded: tuple[slice, slice]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(h, w, 3) slope and (h, w) level: the mask is close to slope . colour + level in every window around it."""
        mean, mean_colour = self._mean(mask), self.mean[padded]
        x, y, z = cv2.split(self._mean(self.guide[padded] * mask[..., None]) - mean_colour * mean[..., None])
        xx, xy, xz, yy, yz, zz = (entry[padded] for entry in self.inverse)
        slope = cv2.merge([xx * x + xy * y + xz * z, xy * x + yy * y + yz * z, xz * x + yz * y + zz * z])
        return self._mean(slope), self._mean(mean - np.einsum("hwc,hwc->hw", slope, mean_colour))


def smoothed(labels: Labels, deviation_px: float) -> Labels:
    """A label map whose borders are evened out: each pixel takes the label that most of its neighbourhood has."""
    if deviation_px < 0.3:
        return labels
    for _ in range(_ROUNDS):
        best, moved = np.zeros(labels.shape, np.float32), labels.copy()
        for label, box in boxes(labels):
            padded = _padded(box, labels.shape, int(3 * deviation_px) + 2)
            mask = (labels[padded] == label).astype(np.float32)
            share = cv2.GaussianBlur(mask, (0, 0), deviation_px, borderType=cv2.BORDER_REPLICATE)
            better = share > best[padded]
            best[padded][better] = share[better]
            moved[padded][better] = label
        labels = moved
    return labels


def without_specks(labels: Labels, least_piece: float, least_area: float = 0.0) -> Labels:
    """A label map without specks: each of their pixels takes the label of the nearest pixel that is kept.

    Args:
        labels: (H, W).
        least_piece: connected pieces smaller than this share of the canvas are removed, except the largest of all.
        least_area: so are all pieces of labels whose whole area is smaller than this.
    """
    from skimage.measure import label as connected

    while True:
        pieces = connected(labels, connectivity=1, background=-1) - 1
        sizes = np.bincount(pieces.ravel())
        faint = np.bincount(labels.ravel()) < least_area * labels.size
        owners = np.zeros(len(sizes), np.int32)
        owners[pieces.ravel()] = labels.ravel()
        small = (sizes < least_piece * labels.size) | faint[owners]
        small[np.argmax(sizes)] = False
        if not small.any():
            return labels
        is_speck = small[pieces]
        _, nearest = cv2.distanceTransformWithLabels(
            is_speck.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
        )
        label_of_part = np.zeros(int(nearest.max()) + 1, np.int32)
        label_of_part[nearest[~is_speck]] = labels[~is_speck]
        labels = label_of_part[nearest]


def resized_labels(labels: Labels, height: int, width: int) -> Labels:
    """The label map at another size: each pixel gets the region that has most of it, so contours come out smooth."""
    if labels.shape == (height, width):
        return labels
    best, resized = np.full((height, width), -1, np.float32), np.zeros((height, width), np.int32)
    for label, box in boxes(labels):
        padded = _padded(box, labels.shape, 3)
        mask = (labels[padded] == label).astype(np.float32)
        if height > labels.shape[0] and width > labels.shape[1]:
            mask = cv2.GaussianBlur(mask, (0, 0), _ENLARGED_PX, borderType=cv2.BORDER_REPLICATE)
        share, place = _resampled(mask, padded, labels.shape, best.shape)
        better = share > best[place]
        best[place][better] = share[better]
        resized[place][better] = label
    return resized


def _resampled(
    values: NDArray[np.float32], padded: tuple[slice, slice], old: tuple[int, ...], new: tuple[int, ...]
) -> tuple[NDArray[np.float32], tuple[slice, slice]]:
    """Values of a part of a canvas, resampled for another size of the canvas, and the part of that which they cover.

    Pixel edges of both sizes coincide only at corners of the canvas, so the part is warped instead of resized.
    """
    if old[:2] == new[:2]:
        return values, padded
    (top, left), (rows, columns) = (side.start for side in padded), values.shape[:2]
    scale_y, scale_x = new[0] / old[0], new[1] / old[1]
    first_y, last_y = int(top * scale_y), min(new[0], int(np.ceil((top + rows) * scale_y)))
    first_x, last_x = int(left * scale_x), min(new[1], int(np.ceil((left + columns) * scale_x)))
    matrix = np.array(
        [
            [1 / scale_x, 0, (first_x + 0.5) / scale_x - 0.5 - left],
            [0, 1 / scale_y, (first_y + 0.5) / scale_y - 0.5 - top],
        ]
    )
    moved: NDArray[np.float32] = cv2.warpAffine(
        values, matrix, (last_x - first_x, last_y - first_y), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    return moved, np.s_[first_y:last_y, first_x:last_x]


def softened(labels: NDArray[np.integer], label: int) -> NDArray[np.float32]:
    """(H, W) float32 how strongly a label claims each pixel; it covers its share of all claims.

    Between two labels the share rises from 0 to 1 across a border over about one pixel.
    """
    mask = (labels == label).astype(np.float32)
    claim: NDArray[np.float32] = cv2.GaussianBlur(mask, (0, 0), _SOFT_PX, borderType=cv2.BORDER_REPLICATE) ** _SHARPNESS
    return claim


def boxes(labels: Labels) -> list[tuple[int, tuple[slice, slice]]]:
    """Every label that occurs, with its bounding box."""
    from scipy.ndimage import find_objects

    return [(label, box) for label, box in enumerate(find_objects(labels + 1)) if box is not None]


def _padded(box: tuple[slice, slice], size: tuple[int, ...], margin: int) -> tuple[slice, slice]:
    rows, columns = (
        slice(max(0, side.start - margin), min(length, side.stop + margin))
        for side, length in zip(box, size, strict=True)
    )
    return rows, columns
