"""Strokes of another renderer, region by region, each clipped to its own."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from renderers import renderer
from renderers.painting import Image, StrokeProgram
from renderers.raster.ribbon import R0, R2, X0, Y0, Y2
from renderers.region.config import RegionStrokes
from renderers.region.region_map import NUM_COLUMNS, REGION, RegionMap
from renderers.region.wash import Pixels
from renderers.things.contours import boxes
from renderers.things.graph import Labels

_FEWEST = 10
_MARGIN, _LEAST_PX, _MOST_PX = 0.1, 24, 256
_FAMILIES = {"bezier": "bezier", "oil": "brush"}
_ARRAY_PREFIX = "strokes_"


def plan_strokes(
    image: Image, labels: Labels, order: Sequence[int], choice: RegionStrokes, seed: np.random.SeedSequence
) -> tuple[NDArray[np.float32], dict[str, NDArray[np.generic]]]:
    """Fit strokes to every region by itself.

    A region is blocked in with its mean colour, and gets strokes in proportion to the root of its area. Before strokes
    are fitted, its surroundings are replaced by its own colours, so that none is wasted on what will be clipped.

    Returns:
        (N, C) rows of the program, and what else it must store.
    """
    family = renderer(_FAMILIES[choice.medium])
    region_boxes = dict(boxes(labels))
    roots = np.sqrt(np.bincount(labels.ravel()))
    rows, arrays = [], {}
    grounds = np.zeros((len(roots), 3), np.float32)
    for label in order:
        count = max(_FEWEST, round(choice.num_strokes * roots[label] / roots.sum()))
        box = _padded(region_boxes[label], image.shape[:2])
        cut_out = _continued(*_smaller(image[box], labels[box] == label))
        grounds[label] = image[labels == label].mean(0)
        ground = tuple(float(value) for value in grounds[label])
        medium_key = {"medium": "oil"} if choice.medium == "oil" else {}
        # A region is a silhouette already, and its surroundings go on in its own colours.
        config = family.config_type(preset=choice.preset, num_strokes=count, canvas=ground, attention=0.0, **medium_key)
        branch = np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, label))
        program = family.plan(cut_out, config, branch)
        strokes = _moved(program, box, min(image.shape[:2]))
        shares = np.linspace(0.0, 1.0, len(strokes) + 1, dtype=np.float32)
        heads = np.stack([np.full(len(shares), label, np.float32), shares], 1)
        rows.append(np.hstack([heads, np.vstack([np.zeros((1, strokes.shape[1]), np.float32), strokes])]))
        arrays = {_ARRAY_PREFIX + name: array for name, array in program.arrays.items()}
    return np.vstack(rows), {
        **arrays,
        "grounds": grounds,
        "medium": np.array(_FAMILIES[choice.medium]),
    }


def replay_strokes(
    program: StrokeProgram, region_map: RegionMap, label: int, row_numbers: Sequence[int]
) -> Iterator[Pixels]:
    """(n, 3) the pixels of a region after each of the given rows of its own (ascending; 1 is blocked in)."""
    height, width = region_map.labels.shape
    rows = program.strokes[program.strokes[:, REGION] == label]
    medium, grounds = str(program.arrays.get("medium")), program.arrays.get("grounds")
    if medium not in _FAMILIES.values() or grounds is None or grounds.ndim != 2 or not label < len(grounds):
        raise ValueError("the program's medium or grounds are not those of strokes in regions")
    red, green, blue = (float(value) for value in grounds[label])
    inner = replace(
        program,
        family=medium,
        strokes=np.ascontiguousarray(rows[1:, NUM_COLUMNS:]),
        canvas=(red, green, blue),
        arrays={
            name.removeprefix(_ARRAY_PREFIX): array
            for name, array in program.arrays.items()
            if name.startswith(_ARRAY_PREFIX)
        },
    )
    pixels = region_map.members[label]
    for canvas in renderer(inner.family).replay(inner, [step - 1 for step in row_numbers], (height, width)):
        yield canvas.reshape(-1, 3)[pixels]


def _padded(box: tuple[slice, slice], size: tuple[int, ...]) -> tuple[slice, slice]:
    """The box with a margin, and not too small to be painted."""
    wider = []
    for side, length in zip(box, size, strict=True):
        margin = max(2, round(_MARGIN * (side.stop - side.start)), (_LEAST_PX - (side.stop - side.start) + 1) // 2)
        wider.append(slice(max(0, side.start - margin), min(length, side.stop + margin)))
    return wider[0], wider[1]


def _smaller(image: Image, mask: NDArray[np.bool_]) -> tuple[Image, NDArray[np.bool_]]:
    """Cut-out and mask, shrunk to `_MOST_PX` along the longer side: strokes of one region show no more."""
    scale = _MOST_PX / max(mask.shape)
    if scale >= 1:
        return image, mask
    size = [max(1, round(scale * side)) for side in (mask.shape[1], mask.shape[0])]
    share = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    small = share >= min(0.5, float(share.max()))  # a region thinner than a pixel keeps its fullest pixels
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.float32), small


def _continued(image: Image, mask: NDArray[np.bool_]) -> Image:
    """The image with everything outside the mask in the colour of the nearest pixel inside, softened."""
    _, nearest = cv2.distanceTransformWithLabels(
        (~mask).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    colours = np.zeros((int(nearest.max()) + 1, 3), np.float32)
    colours[nearest[mask]] = image[mask]
    continued = colours[nearest]
    soft = cv2.GaussianBlur(continued, (0, 0), max(1.0, 0.03 * min(mask.shape)))
    filled: Image = np.ascontiguousarray(np.where(mask[..., None], image, soft), np.float32)
    return filled


def _moved(program: StrokeProgram, box: tuple[slice, slice], unit_px: int) -> NDArray[np.float32]:
    """Strokes of a cut-out, in coordinates of the whole canvas."""
    own_px = min(side.stop - side.start for side in box)
    strokes = program.strokes.copy()
    strokes[:, X0 : Y2 + 1] *= own_px / unit_px
    strokes[:, R0 : R2 + 1] *= own_px / unit_px
    strokes[:, X0 : Y2 + 1 : 2] += box[1].start / unit_px
    strokes[:, Y0 : Y2 + 1 : 2] += box[0].start / unit_px
    return strokes
