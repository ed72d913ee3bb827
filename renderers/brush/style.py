"""The style of a picture, measured and transferred without weights: colours and stroke character.

Two questions, one function each: `transfer_colours` (how would this image look in that picture's colours?) and
`stroke_character` (how is that picture painted?).
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from renderers.painting import Image

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)

# Colours: optimal transport on a small version, applied to the full one through a guided filter.
_COLOUR_PX = 96  # shorter side of the small version; 9216 colours describe a palette well
_ROUNDS = 12  # rotations; the sliced distance has settled by then
_VALUE_WEIGHT = 3.0  # of lightness against a and b; at 1, light and dark can change places
_QUANTILES = np.linspace(0.0, 1.0, 129)
_GUIDE_RADIUS = 0.06  # of the shorter side
_GUIDE_NOISE = 3.0  # Lab units: fainter local variation than this is kept as it is, not stretched

# Strokes: covariograms along and across the local direction.
_STROKE_PX = 576  # shorter side at which strokes are measured; a width of 0.005 is then three pixels
_LARGE = 0.08  # of the shorter side: coarser than this is composition, not strokes
_NEAR = 0.02  # of the shorter side: the neighbourhood whose contrast is evened out
_FAINT = 0.03  # luma contrast below which there is nothing to see
_MAX_NEIGHBOUR = 0.02  # of the shorter side: farther apart, colours differ because the subject does
_MAX_WALK = 0.5  # of the shorter side
_NUM_WALKS = 12000
_OVERLAP = 3.0  # a stroke's extent over the lag at which the covariogram has halved
_NORMAL_MEDIAN = 0.6745  # median magnitude of a normal variable over its standard deviation


def transfer_colours(image: Image, style: Image, rng: np.random.Generator, *, strength: float = 1.0) -> Image:
    """The image with the colour distribution and contrast of the style picture.

    Sliced optimal transport in CIELAB: along the axes, then along random orthonormal axes, colours are moved so that
    their quantiles are the style's (iterative distribution transfer, Pitié et al. 2007; a step of the sliced
    Wasserstein flow of Rabin et al. 2012). Lightness has three times the weight, because a picture is read by its
    values: light stays light, and hues give way. Used directly, that map stretches the noise of a flat sky into grain
    and bands. So it is solved on a small version and its displacements are fitted by a guided filter (He et al. 2013;
    the fast form of He & Sun 2015): locally affine in the image's own colours, and constant where they vary by less
    than three units.

    Args:
        image: (H, W, 3) RGB in [0, 1].
        style: (h, w, 3) RGB in [0, 1], any size.
        rng: chooses the axes; the same state gives the same bytes.
        strength: share in [0, 1] of the way to go; 0 returns the image.

    Returns:
        (H, W, 3) RGB in [0, 1].

    Raises:
        ValueError: if `strength` is out of range.
    """
    if not 0.0 <= strength <= 1.0:
        raise ValueError(f"strength={strength}: not in [0, 1]")
    if strength == 0.0:
        return image.astype(np.float32)
    lab = cv2.cvtColor(np.ascontiguousarray(image, np.float32), cv2.COLOR_RGB2Lab)
    guide = _shrink(lab, _COLOUR_PX)
    palette = cv2.cvtColor(_shrink(np.ascontiguousarray(style, np.float32), _COLOUR_PX), cv2.COLOR_RGB2Lab)
    moved = _transport(guide.reshape(-1, 3), palette.reshape(-1, 3), rng).reshape(guide.shape)
    slope, offset = _guided_fit(guide, moved - guide)
    size = (lab.shape[1], lab.shape[0])
    slope = cv2.resize(slope.reshape(*guide.shape[:2], 9), size, interpolation=cv2.INTER_LINEAR)
    offset = cv2.resize(offset, size, interpolation=cv2.INTER_LINEAR)
    displacement = np.einsum("hwcd,hwd->hwc", slope.reshape(*lab.shape, 3), lab) + offset
    moved = cv2.cvtColor((lab + strength * displacement).astype(np.float32), cv2.COLOR_Lab2RGB)
    return np.clip(np.asarray(moved, np.float32), 0.0, 1.0)


def _transport(colours: NDArray[np.float32], palette: NDArray[np.float32], rng: np.random.Generator) -> Image:
    """Move (N, 3) colours until their distribution is that of the (M, 3) palette."""
    scale = np.array([_VALUE_WEIGHT, 1.0, 1.0])
    moved, palette = colours * scale, palette * scale
    for turn in range(_ROUNDS):
        axes = np.eye(3) if turn == 0 else np.linalg.qr(rng.normal(size=(3, 3)))[0]
        along, palette_along = moved @ axes, palette @ axes
        shift = np.empty_like(along)
        for c in range(3):
            have, want = np.quantile(along[:, c], _QUANTILES), np.quantile(palette_along[:, c], _QUANTILES)
            # A flat area holds many quantiles at once: it goes to their mean (the barycentric projection) as a whole.
            knots, which = np.unique(have, return_inverse=True)
            values = np.bincount(which, want) / np.bincount(which)
            shift[:, c] = np.interp(along[:, c], knots, values) - along[:, c]
        moved += shift @ axes.T
    return np.asarray(moved / scale, np.float32)


def _guided_fit(guide: Image, values: Image) -> tuple[NDArray[np.float32], Image]:
    """Coefficients of the guided filter (He et al. 2013, equations 14 to 16): values ~ slope . guide + offset.

    Returns:
        slope (h, w, 3, 3) and offset (h, w, 3), already averaged over the windows.
    """
    side = 2 * max(1, round(_GUIDE_RADIUS * min(guide.shape[:2]))) + 1

    def mean(field: NDArray[np.float64]) -> NDArray[np.float64]:
        flat = cv2.blur(field.reshape(*field.shape[:2], -1), (side, side), borderType=cv2.BORDER_REFLECT_101)
        return np.asarray(flat, np.float64).reshape(field.shape)

    guides, targets = guide.astype(np.float64), values.astype(np.float64)
    guide_mean, target_mean = mean(guides), mean(targets)
    outer = mean(guides[..., :, None] * guides[..., None, :]) - guide_mean[..., :, None] * guide_mean[..., None, :]
    cross = mean(targets[..., :, None] * guides[..., None, :]) - target_mean[..., :, None] * guide_mean[..., None, :]
    inverse = np.linalg.inv(outer + _GUIDE_NOISE**2 * np.eye(3))
    slope = cross @ inverse
    offset = target_mean - (slope @ guide_mean[..., None])[..., 0]
    return mean(slope).astype(np.float32), mean(offset).astype(np.float32)


def _shrink(picture: Image, shorter_px: int) -> Image:
    """The picture with a shorter side of at most that many pixels."""
    height, width = picture.shape[:2]
    scale = shorter_px / min(height, width)
    if scale >= 1.0:
        return picture
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.float32)


@dataclass(frozen=True)
class StrokeCharacter:
    """How a picture is painted.

    Attributes:
        elongation: typical length of a stroke over its width, 2 to 12.
        width: typical visible width of a stroke in units of the picture's shorter side, 0.005 to 0.1.
        alignment: 0 (strokes at all angles beside each other, or none to see) to 1 (all follow the local direction).
        colour_variation: standard deviation of a stroke's colour about that of its neighbours, RGB units, 0 to 0.3.
        relief: 0 to 1, how strong light and dark is within the width of a stroke: bristle marks, ridges, weave.
    """

    elongation: float
    width: float
    alignment: float
    colour_variation: float
    relief: float


def stroke_character(style: Image) -> StrokeCharacter:
    """Measure how a picture is painted.

    What is coarser than a twelfth of the shorter side is taken away as composition, and the rest is brought to even
    contrast, so that strokes count by the area they cover and a few sharp outlines do not pass for brushwork.

    - Direction and `alignment`: eigenvector and coherence (l1 - l2) / (l1 + l2) of the structure tensor (Bigün &
      Granlund 1987), averaged over the area; places without contrast do not count.
    - `width`, `elongation`: strokes that cover one another are dead leaves, whose correlation at lag t is g / (2 - g)
      with g = 1 - t / w the covariogram of a box of width w (Matheron 1968; Lee, Mumford & Huang 2001): it halves at
      t = w / 3. Measured across the direction, and along it by walking the flow as in line integral convolution
      (Cabral & Leedom 1993). In proportion to the area that shows no contrast, elongation falls to 2, a dab.
      On dead leaves it is right within a factor of 1.5, and widths above 0.04 are measured up to a third too small.
    - `colour_variation`: median over the area of |c(x) - (c(x + t n) + c(x - t n)) / 2| across the strokes, with t one
      width but at most 0.02. It ignores even gradients and sparse edges; c is smoothed within the stroke. For
      independent strokes of standard deviation s its deviation is sqrt(3 / 2) s.
    - `relief`: the same for luma at a sixth of the width, as e / (e + 0.05).

    Args:
        style: (h, w, 3) RGB in [0, 1], any size.
    """
    picture = _shrink(np.ascontiguousarray(style, np.float32), _STROKE_PX)
    unit = min(picture.shape[:2])
    luma = picture @ _LUMA
    detail = luma - _blur(luma, _LARGE * unit)
    energy = _blur(detail**2, _NEAR * unit)
    present = np.asarray(energy / (energy + _FAINT**2), np.float32)
    even = np.asarray(detail / np.sqrt(energy + _FAINT**2), np.float32)
    width_px = 0.018 * unit
    for _ in range(2):  # the window of the tensor should be about as wide as a stroke, which the first pass finds out
        coherence, normal = _structure(even, max(1.5, 0.7 * width_px))
        width_px = _OVERLAP * _halving_lag(even, present, normal, _MAX_WALK * unit)
    length_px = _OVERLAP * _halving_lag(even, present, normal + np.float32(np.pi / 2), _MAX_WALK * unit)
    neighbour_px = min(width_px, _MAX_NEIGHBOUR * unit)
    relief = _deviation_across(luma, normal, max(1.0, width_px / 6))
    return StrokeCharacter(
        elongation=float(np.clip(2 + present.mean() * (length_px / width_px - 2), 2, 12)),
        width=float(np.clip(width_px / unit, 0.005, 0.1)),
        alignment=float(np.clip((present * coherence).mean(), 0, 1)),
        colour_variation=min(0.3, _deviation_across(_blur(picture, neighbour_px / 6), normal, neighbour_px)),
        relief=relief / (relief + 0.05),
    )


def _structure(even: Image, window_px: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Coherence in [0, 1] and the angle, in radians, across the strokes, both (h, w)."""
    soft = _blur(even, 1.0)
    dx, dy = cv2.Scharr(soft, cv2.CV_32F, 1, 0), cv2.Scharr(soft, cv2.CV_32F, 0, 1)
    xx, yy, xy = (_blur(product, window_px) for product in (dx * dx, dy * dy, dx * dy))
    coherence = np.hypot(xx - yy, 2 * xy) / (xx + yy + 1e-6)
    return coherence.astype(np.float32), (0.5 * np.arctan2(2 * xy, xx - yy)).astype(np.float32)


def _halving_lag(even: Image, present: Image, angle: NDArray[np.float32], farthest_px: float) -> float:
    """Lag in pixels along `angle` at which the correlation has fallen to a half.

    Walks start on a grid and go both ways in steps of a pixel, turning with the field of angles.
    """
    height, width = even.shape
    step = max(1, round(np.sqrt(even.size / _NUM_WALKS)))
    grid = np.mgrid[:height:step, :width:step].reshape(2, -1)
    rows, columns = grid[0], grid[1]
    start = even[rows, columns]
    weight = present[rows, columns] / max(1e-9, float(present[rows, columns] @ start**2))
    field = np.stack([np.cos(angle), np.sin(angle)], -1)
    places = np.tile(np.stack([columns, rows], -1).astype(np.float32), (2, 1))
    headings = np.concatenate([field[rows, columns], -field[rows, columns]])
    before = 1.0
    for lag in range(1, max(1, int(farthest_px)) + 1):
        places += headings
        values = _sample(even, places[:, 0], places[:, 1]).reshape(2, -1).mean(0)
        after = float((weight * start) @ values)
        if after < 0.5:
            return lag - 1 + (before - 0.5) / (before - after)
        before = after
        nearest = np.rint(places).astype(np.int64)
        ahead = field[nearest[:, 1].clip(0, height - 1), nearest[:, 0].clip(0, width - 1)]
        headings = np.where((ahead * headings).sum(-1, keepdims=True) < 0, -ahead, ahead)
    return max(1.0, farthest_px)


def _deviation_across(values: Image, normal: NDArray[np.float32], lag_px: float) -> float:
    """Typical difference of (h, w) or (h, w, 3) values from the mean of both neighbours at that lag across strokes."""
    rows, columns = np.mgrid[: normal.shape[0], : normal.shape[1]].astype(np.float32)
    dx, dy = lag_px * np.cos(normal), lag_px * np.sin(normal)
    between = (_sample(values, columns + dx, rows + dy) + _sample(values, columns - dx, rows - dy)) / 2
    return float(np.median(np.abs(values - between))) / (_NORMAL_MEDIAN * float(np.sqrt(1.5)))


def _sample(values: Image, columns: NDArray[np.float32], rows: NDArray[np.float32]) -> Image:
    """Values between pixels, mirrored at the border; the result has the shape of `columns` (and channels)."""
    sampled = cv2.remap(values, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(sampled, np.float32)


def _blur(values: Image, sigma_px: float) -> Image:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT_101), np.float32)
