"""Converts the colours of files to sRGB: ICC profiles, gamma and primaries, wide gamuts, high dynamic range.

Code points are those of ITU-T H.273, which PNG (cICP), AVIF (nclx) and videos share.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

Floats = NDArray[np.float32]
Chromaticities = tuple[float, float, float, float, float, float, float, float]
"""x and y of white, red, green and blue, in the order of PNG's cHRM."""

_D65 = (0.3127, 0.3290)
_SRGB: Chromaticities = (*_D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
ADOBE_RGB: Chromaticities = (*_D65, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
ADOBE_GAMMA = 1 / 2.19921875

_PRIMARIES: Mapping[int, Chromaticities] = {
    4: (0.310, 0.316, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*_D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (*_D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    7: (*_D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    9: (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    12: (*_D65, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
}
_GAMMAS: Mapping[int, float] = {8: 1.0}
_PQ, _HLG = 16, 18

_PQ_WHITE_NITS = 203.0  # ITU-R BT.2408: white paper in the light of the scene
_HLG_WHITE = 0.265  # the same in HLG's scene light: a signal of 75 %
_SHOULDER = 0.8  # share of white above which light is rolled off

_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


@dataclass(frozen=True)
class Colours:
    """How stored RGB values in [0, 1] become light.

    Attributes:
        chromaticities: of white and of the three primaries.
        transfer: code point of the transfer function. Unknown ones count as sRGB's, as screens treat television's.
        gamma: if not None, values are light to the power of it, and `transfer` is ignored.
    """

    chromaticities: Chromaticities = _SRGB
    transfer: int = 2
    gamma: float | None = None

    @classmethod
    def of_codes(cls, primaries: int, transfer: int) -> "Colours":
        """The colours of a pair of code points; unknown primaries count as sRGB's."""
        return cls(_PRIMARIES.get(primaries, _SRGB), transfer, _GAMMAS.get(transfer))

    @classmethod
    def of_png(cls, gamma: float | None, chromaticities: Sequence[float] | None) -> "Colours":
        """The colours that PNG's gAMA and cHRM name. A gamma near sRGB's means sRGB's curve; nonsense is ignored."""
        corners = _SRGB
        if chromaticities and len(chromaticities) == 8 and _are_plausible(chromaticities):
            given = cast(Chromaticities, tuple(chromaticities))
            if max(abs(one - other) for one, other in zip(given, _SRGB, strict=True)) > 0.002:
                corners = given
        plausible = gamma is not None and 0.1 <= gamma <= 10 and abs(gamma - 1 / 2.2) > 0.01
        return cls(corners, gamma=gamma if plausible else None)

    @property
    def are_srgb(self) -> bool:
        """Whether stored values are sRGB already."""
        return self.chromaticities == _SRGB and self.gamma is None and not self.are_hdr

    @property
    def are_hdr(self) -> bool:
        """Whether they may be brighter than white paper (PQ or HLG)."""
        return self.gamma is None and self.transfer in (_PQ, _HLG)

    def to_srgb(self, values: Floats) -> Floats:
        """Convert (h, w, 3) stored values to sRGB values, both in [0, 1]; colours outside sRGB are clipped.

        High dynamic range is mapped by scene light (HLG) or display light (PQ): the reference white of ITU-R BT.2408
        is white, and what is brighter than 80 % of it is rolled off exponentially, all channels by one factor, so that
        hues stay.
        """
        if self.are_srgb:
            return values
        light = cv2.transform(self._light(values), _to_srgb_matrix(self.chromaticities)).astype(np.float32)
        return _encoded(_rolled_off(light) if self.are_hdr else light)

    def _light(self, values: Floats) -> Floats:
        """Linear light; 1 is white."""
        if self.gamma is not None:
            light = np.power(values, 1 / self.gamma)
        elif self.transfer == _PQ:  # SMPTE ST 2084
            root = np.power(values, 32 / 2523)
            light = np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)
            light = 10000 / _PQ_WHITE_NITS * np.power(light, 16384 / 2610)
        elif self.transfer == _HLG:  # ITU-R BT.2100, table 5
            above = np.exp((np.maximum(values, 0.5) - 0.55991073) / 0.17883277) + 0.28466892
            light = np.where(values <= 0.5, np.square(values) / 3, above / 12) / _HLG_WHITE
        else:  # IEC 61966-2-1
            light = np.where(values <= 0.04045, values / 12.92, np.power((values + 0.055) / 1.055, 2.4))
        return light.astype(np.float32)


def with_profile(picture: Image.Image, pixels: Floats, profile: bytes) -> Floats:
    """sRGB values of a picture that has an ICC profile.

    They are converted by relative colorimetry with black point compensation. littleCMS gets 8 bits a channel; the
    remainder of finer values is added afterwards. A profile that is damaged, or for another kind of colours than the
    picture's, changes nothing, and neither does one that equals sRGB to within rounding.

    Args:
        picture: the loaded picture, as it is stored.
        pixels: (h, w, 3 or 4) its RGB or RGBA in [0, 1], before the profile is applied.
        profile: the whole ICC profile.

    Returns:
        (h, w, 3 or 4); alpha is unchanged.
    """
    rgb: Floats = pixels[..., :3]
    eight_bit: NDArray[np.uint8] = np.rint(rgb * 255).astype(np.uint8)
    remainder: Floats = (rgb - eight_bit / np.float32(255)).astype(np.float32)
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        kind = source.profile.xcolor_space.strip()
        if kind == "CMYK" and picture.mode == "CMYK":
            coded, rest = picture, np.zeros_like(rgb)
        elif kind == "GRAY" and picture.mode[:1] in ("1", "L", "I", "F"):
            coded, rest = Image.fromarray(eight_bit[..., 0]), remainder
        elif kind == "RGB" and picture.mode not in ("CMYK", "LAB"):
            coded, rest = Image.fromarray(eight_bit), remainder
        else:
            return pixels
        transform = ImageCms.buildTransform(
            source, ImageCms.createProfile("sRGB"), coded.mode, "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )  # fmt: skip
        if kind == "RGB" and _changes_nothing(transform):
            return pixels
        converted = ImageCms.applyTransform(coded, transform)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return pixels
    assert converted is not None
    values = np.clip(np.asarray(converted, np.float32) / np.float32(255) + rest, 0, 1)
    return np.concatenate([values, pixels[..., 3:]], axis=-1, dtype=np.float32)


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether a transform of RGB keeps every colour to one level of 255."""
    levels = np.arange(0, 256, 17, dtype=np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(64, 64, 3)
    converted = ImageCms.applyTransform(Image.fromarray(cube), transform)
    return converted is not None and int(np.abs(np.asarray(converted, np.int16) - cube).max()) <= 1


def _to_srgb_matrix(chromaticities: Chromaticities) -> NDArray[np.float64]:
    """(3, 3) from linear RGB of these primaries to linear sRGB; whites are adapted by Bradford's transform."""
    matrix: NDArray[np.float64] = np.linalg.inv(_to_d65(_SRGB)) @ _to_d65(chromaticities)
    return matrix


def _to_d65(chromaticities: Chromaticities) -> NDArray[np.float64]:
    """(3, 3) from linear RGB to CIE XYZ, seen under D65."""
    white, *primaries = (_xyz(chromaticities[at : at + 2]) for at in (0, 2, 4, 6))
    columns = np.stack(primaries, axis=1)
    to_xyz = columns * np.linalg.solve(columns, white)
    scale = (_BRADFORD @ _xyz(_D65)) / (_BRADFORD @ white)
    adapted: NDArray[np.float64] = np.linalg.inv(_BRADFORD) @ np.diag(scale) @ _BRADFORD @ to_xyz
    return adapted


def _are_plausible(chromaticities: Sequence[float]) -> bool:
    """Whether the three primaries span a triangle, and white lies within it."""
    white, *primaries = (chromaticities[at : at + 2] for at in (0, 2, 4, 6))
    if min(y for _, y in (white, *primaries)) <= 0:
        return False
    columns = np.stack([_xyz(each) for each in primaries], axis=1)
    return abs(float(np.linalg.det(columns))) > 1e-3 and bool((np.linalg.solve(columns, _xyz(white)) > 0).all())


def _xyz(xy: Sequence[float]) -> NDArray[np.float64]:
    x, y = xy
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _rolled_off(light: Floats) -> Floats:
    """Light rolled off so that nothing is brighter than white; the brightest channel sets the factor of all three."""
    brightest = light.max(-1, keepdims=True)
    rest = np.float32(1 - _SHOULDER)
    rolled = np.float32(1) - rest * np.exp((np.float32(_SHOULDER) - brightest) / rest)
    return np.where(brightest > _SHOULDER, light * rolled / np.maximum(brightest, np.float32(1e-6)), light)


def _encoded(light: Floats) -> Floats:
    """sRGB values of linear light (IEC 61966-2-1)."""
    light = np.clip(light, 0, 1)
    curve = 1.055 * np.power(light, 1 / 2.4) - 0.055
    return np.where(light <= 0.0031308, 12.92 * light, curve).astype(np.float32)
