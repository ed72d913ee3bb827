"""The style of a picture, measured and transferred without weights: colours, stroke character, texture.

Three questions, one function each: `transfer_colours` (how would this image look in that picture's colours?),
`stroke_character` (how is that picture painted?) and `texture_distance` (how near did a painting come to it?).
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
_QUANTILES = np.linspace(0.0, 1.0, 129)
_GUIDE_RADIUS = 0.06  # of the shorter side
_GUIDE_NOISE = 3.0  # Lab units: fainter local variation than this is kept as it is, not stretched

# Strokes: covariograms along and across the local direction.
_STROKE_PX = 384  # shorter side at which strokes are measured
_LARGE = 0.05  # of the shorter side: coarser than this is composition, not strokes
_FAINT = 0.015  # luma contrast below which there is nothing to see
_MAX_WALK = 0.5  # of the shorter side
_NUM_WALKS = 12000

# Texture: patches of a Laplacian pyramid.
_PATCH_PX = 5
_NUM_PATCHES = 4096
_NUM_DIRECTIONS = 64
_NUM_LEVELS = 4
_BAND_FLOOR = 0.01  # contrast that even an empty band of the style is credited with


def transfer_colours(image: Image, style: Image, rng: np.random.Generator, *, strength: float = 1.0) -> Image:
    """The image with the colour distribution and contrast of the style picture.

    Sliced optimal transport in CIELAB: along the axes, then along random orthonormal axes, colours are moved so that
    their quantiles are the style's (iterative distribution transfer, Pitié et al. 2007; a step of the sliced
    Wasserstein flow of Rabin et al. 2012). Raw, that map stretches the noise of a flat sky into grain and bands. So it
    is solved on a small version and its displacements are fitted by a guided filter (He et al. 2013; the fast form of
    He & Sun 2015): locally affine in the image's own colours, and constant where they vary by less than three units.

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
    moved = colours.astype(np.float64)
    for turn in range(_ROUNDS):
        axes = np.eye(3) if turn == 0 else np.linalg.qr(rng.normal(size=(3, 3)))[0]
        along, wanted = moved @ axes, palette @ axes
        shift = np.empty_like(along)
        for c in range(3):
            have, want = np.quantile(along[:, c], _QUANTILES), np.quantile(wanted[:, c], _QUANTILES)
            # A flat area holds many quantiles at once: it goes to their mean (the barycentric projection) as a whole.
            knots, which = np.unique(have, return_inverse=True)
            values = np.bincount(which, want) / np.bincount(which)
            shift[:, c] = np.interp(along[:, c], knots, values) - along[:, c]
        moved += shift @ axes.T
    return moved.astype(np.float32)


def _guided_fit(guide: Image, values: Image) -> tuple[NDArray[np.float32], Image]:
    """Coefficients of the guided filter (He et al. 2013, equations 14 to 16): values ~ slope . guide + offset.

    Returns:
        slope (h, w, 3, 3) and offset (h, w, 3), already averaged over the windows.
    """
    side = 2 * max(1, round(_GUIDE_RADIUS * min(guide.shape[:2]))) + 1

    def mean(field: NDArray[np.float64]) -> NDArray[np.float64]:
        flat = cv2.blur(field.reshape(*field.shape[:2], -1), (side, side), borderType=cv2.BORDER_REFLECT_101)
        return np.asarray(flat, np.float64).reshape(field.shape)

    guides, wanted = guide.astype(np.float64), values.astype(np.float64)
    guide_mean, wanted_mean = mean(guides), mean(wanted)
    outer = mean(guides[..., :, None] * guides[..., None, :]) - guide_mean[..., :, None] * guide_mean[..., None, :]
    cross = mean(wanted[..., :, None] * guides[..., None, :]) - wanted_mean[..., :, None] * guide_mean[..., None, :]
    inverse = np.linalg.inv(outer + _GUIDE_NOISE**2 * np.eye(3))
    slope = cross @ inverse
    offset = wanted_mean - (slope @ guide_mean[..., None])[..., 0]
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
        width: typical width of a stroke in units of the picture's shorter side, 0.005 to 0.1.
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

    What is coarser than a twentieth of the shorter side is taken away as composition and the rest is brought to even
    contrast, so that strokes count by the area they cover and a few sharp outlines do not pass for brushwork.

    - Direction and `alignment`: eigenvector and coherence (l1 - l2) / (l1 + l2) of the structure tensor (Bigün &
      Granlund 1987), averaged over the area, nothing counting where there is no contrast.
    - `width`, `elongation`: the covariogram of a box of width w is 1 - t / w (Matheron 1975), so it halves at w / 2;
      measured across the direction, and along it by walking the flow as in line integral convolution (Cabral & Leedom
      1993). Where little of the area shows strokes, elongation sinks to 2, a dab.
    - `colour_variation`: median over the area of c(x) - (c(x + w n) + c(x - w n)) / 2 across the strokes, which is
      blind to even gradients and to sparse edges; c is smoothed to half a width. For independent strokes of standard
      deviation s it has 1.5 s^2, and the median of a normal's magnitude is 0.6745 of its deviation.
    - `relief`: energy of the luma finer than half a stroke's width, e / (e + 0.05).

    Args:
        style: (h, w, 3) RGB in [0, 1], any size.
    """
    picture = _shrink(np.ascontiguousarray(style, np.float32), _STROKE_PX)
    unit = min(picture.shape[:2])
    luma = picture @ _LUMA
    detail = luma - _blur(luma, _LARGE * unit)
    contrast = np.sqrt(_blur(detail**2, _LARGE * unit))
    present = contrast**2 / (contrast**2 + _FAINT**2)
    even = detail / np.sqrt(contrast**2 + _FAINT**2)
    width_px, length_px, coherence, normal = 0.012 * unit, 0.0, present, present
    for _ in range(2):  # the window of the tensor should be about a stroke wide, which the first pass finds out
        coherence, normal = _structure(even, max(1.5, width_px))
        across = _covariogram(even, present, normal, unit, along=False)
        width_px = 2 * _halving(across)
    length_px = 2 * _halving(_covariogram(even, present, normal, unit, along=True))
    share = float(present.mean())
    elongation = 2 + share * (length_px / width_px - 2)
    smooth = _blur(picture, width_px / 4)
    height, breadth = luma.shape
    rows, columns = np.mgrid[:height, :breadth].astype(np.float32)
    dx, dy = width_px * np.cos(normal), width_px * np.sin(normal)
    ahead = _sample(smooth, columns + dx, rows + dy)
    behind = _sample(smooth, columns - dx, rows - dy)
    odd = np.median(np.abs(smooth - (ahead + behind) / 2))
    fine = luma - _blur(luma, max(1.0, width_px / 4))
    energy = float(np.median(np.sqrt(_blur(fine**2, _LARGE * unit))))
    return StrokeCharacter(
        elongation=float(np.clip(elongation, 2, 12)),
        width=float(np.clip(width_px / unit, 0.005, 0.1)),
        alignment=float(np.clip((present * coherence).mean(), 0, 1)),
        colour_variation=float(np.clip(odd / 0.6745 / np.sqrt(1.5), 0, 0.3)),
        relief=energy / (energy + 0.05),
    )


def _structure(even: Image, window_px: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Coherence in [0, 1] and the angle, in radians, across the strokes, both (h, w)."""
    soft = _blur(even, 1.0)
    dx, dy = cv2.Scharr(soft, cv2.CV_32F, 1, 0), cv2.Scharr(soft, cv2.CV_32F, 0, 1)
    xx, yy, xy = (_blur(product, window_px) for product in (dx * dx, dy * dy, dx * dy))
    coherence = np.hypot(xx - yy, 2 * xy) / (xx + yy + 1e-6)
    return coherence, 0.5 * np.arctan2(2 * xy, xx - yy)


def _covariogram(even, present, normal, unit, *, along: bool):
    height, width = even.shape
    step = max(1, round(np.sqrt(even.size / _NUM_WALKS)))
    rows, columns = (axis.ravel().astype(np.float32) for axis in np.mgrid[:height:step, :width:step])
    start = _sample(even, columns, rows)
    weight = _sample(present, columns, rows)
    weight = weight / (weight @ start**2 + 1e-9)
    covariances = [1.0]
    turn = normal + np.pi / 2 if along else normal
    cos, sin = np.cos(turn), np.sin(turn)
    walks = [[columns, rows, _sample_nearest(cos, columns, rows) * s, _sample_nearest(sin, columns, rows) * s] for s in (1, -1)]
    for _ in range(int(_MAX_WALK * unit)):
        total = 0.0
        for walk in walks:
            x, y, dx, dy = walk
            x, y = x + dx, y + dy
            if along:
                nx, ny = _sample_nearest(cos, x, y), _sample_nearest(sin, x, y)
                flip = np.where(nx * dx + ny * dy < 0, -1, 1)
                dx, dy = nx * flip, ny * flip
            walk[:] = x, y, dx, dy
            total += 0.5 * float((weight * start) @ _sample(even, x, y))
        covariances.append(total)
        if total < 0.25:
            break
    return covariances


def _sample_nearest(f, x, y):
    h, w = f.shape
    return f[np.clip(np.rint(y), 0, h - 1).astype(int), np.clip(np.rint(x), 0, w - 1).astype(int)]


def _sample(f, x, y):
    out = cv2.remap(f, np.asarray(x, np.float32), np.asarray(y, np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return out.ravel() if np.ndim(x) == 1 else out


def _halving(covariances):
    for lag in range(1, len(covariances)):
        if covariances[lag] < 0.5:
            before, after = covariances[lag - 1], covariances[lag]
            return lag - 1 + (before - 0.5) / (before - after)
    return float(len(covariances))


def _blur(field, sigma_px):
    return cv2.GaussianBlur(field, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT_101)
