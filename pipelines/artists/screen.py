"""A decoded frame as a screen shows it: upright, its pixels square, on white where it is transparent, in sRGB."""

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from pipelines.artists.footage import Frame, Pixels
from pipelines.sources.colour import Colours
from renderers.painting import to_uint8

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_LARGEST_ASPECT = 8  # pixels whose aspect ratio is larger are a fault of the file
_UNSPECIFIED_MATRIX = 2  # code of ITU-T H.273
_HD_WIDTH_PX, _SD_HEIGHT_PX = 1280, 576  # where players change from BT.601 to BT.709 when a file does not say


@dataclass(frozen=True)
class Screen:
    """How the frames of a stream are to be displayed.

    Attributes:
        pixel_aspect: width of a pixel divided by its height.
        colours: how the values encode colours.
    """

    pixel_aspect: Fraction
    colours: Colours

    @classmethod
    def of(cls, stream: "VideoStream") -> "Screen":
        """The screen of a stream, of which a frame must have been decoded."""
        aspect, codec = stream.sample_aspect_ratio or Fraction(1), stream.codec_context
        plausible = Fraction(1, _LARGEST_ASPECT) <= aspect <= _LARGEST_ASPECT
        return cls(aspect if plausible else Fraction(1), Colours.of_codes(codec.color_primaries, codec.color_trc))

    def pixels(self, frame: "VideoFrame") -> Pixels:
        """(h, w, 3) of a frame, upright and with square pixels, in 16 bits if it is HDR; `developed` gives sRGB."""
        width, height = frame.width, frame.height
        if self.pixel_aspect > 1:
            width = max(1, round(width * self.pixel_aspect))
        else:
            height = max(1, round(height / self.pixel_aspect))
        transparent = any(component.is_alpha for component in frame.format.components)
        kind = "rgba" if transparent else "rgb48le" if self.colours.are_hdr else "rgb24"
        is_hd = frame.width >= _HD_WIDTH_PX or frame.height > _SD_HEIGHT_PX
        matrix = "ITU709" if frame.colorspace == _UNSPECIFIED_MATRIX and is_hd else None
        decoded = cast(
            Pixels,
            frame.to_ndarray(format=kind, width=width, height=height, src_colorspace=matrix, interpolation="BICUBIC"),
        )
        return _upright(on_white(cast(Frame, decoded)) if transparent else decoded, frame)

    def developed(self, pixels: Pixels) -> Frame:
        """The sRGB values of `pixels`. It takes long, so call it after frames have been chosen and shrunk."""
        if self.colours.are_srgb and pixels.dtype == np.uint8:
            return pixels.astype(np.uint8, copy=False)
        scale = np.float32(np.iinfo(pixels.dtype).max)
        return to_uint8(self.colours.to_srgb(pixels.astype(np.float32) / scale))


def on_white(rgba: NDArray[np.uint8]) -> Frame:
    """(h, w, 4) pixels composited on white: (h, w, 3)."""
    alpha = rgba[..., 3:].astype(np.uint16)
    rgb: Frame = ((rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return rgb


def _upright(pixels: Pixels, frame: "VideoFrame") -> Pixels:
    """Pixels turned by quarter turns and mirrored by the display matrix (ISO 14496-12, section 8.3.2).

    The position of a pixel as a row vector, multiplied by [[a, b], [c, d]], is the position where it is shown.
    """
    matrix = bytes(cast(Any, frame.side_data).get("DISPLAYMATRIX") or b"")
    if len(matrix) < 36:
        return pixels
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix[:36])
    if abs(b) + abs(c) > abs(a) + abs(d):
        turned, across, down = pixels.transpose(1, 0, 2), c, b
    else:
        turned, across, down = pixels, a, d
    return cast(Pixels, np.ascontiguousarray(turned[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]))
