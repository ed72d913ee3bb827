"""Decodes picture files to RGB, or says in one line why it cannot."""

import io
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, TiffImagePlugin

from pipelines.sources.colour import ADOBE_GAMMA, ADOBE_RGB, Colours, with_profile
from pipelines.sources.framing import WHITE, Ground
from pipelines.sources.png import SIGNATURE, PngColours, readable_png
from pipelines.sources.source import RefusedPicture

MIN_SIDE_PX = 16
MAX_PIXELS = 178_956_970
"""From here on Pillow itself reports a decompression bomb, so `max_pixels` cannot be larger. Decoding takes 3.4 GB."""

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
"""Raster formats that Pillow decodes itself: no PostScript, PDF or anything else that runs a program."""


_PHOTOMETRIC = TiffImagePlugin.PHOTOMETRIC_INTERPRETATION
_SIGNED = 2  # of TIFF's SampleFormat
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
_ADOBE_RGB_FILE = "R03"  # Exif's interoperability index for Adobe RGB, for which cameras embed no profile


def decode(data: bytes, *, max_pixels: int, ground: Ground = WHITE) -> NDArray[np.float32]:
    """Decode a picture file.

    Only the first frame of an animation is decoded. The picture is turned and mirrored by its EXIF orientation; 16-bit
    channels keep their precision. Colours are converted to sRGB: ICC profiles, the gamma and primaries of PNG and of
    Exif's Adobe RGB, wide gamuts and high dynamic range of PNG and AVIF (see `colour`).

    Args:
        data: the whole file.
        max_pixels: refuse more pixels than this, before any of them is decoded; at most `MAX_PIXELS`.
        ground: colour that shows through transparent places.

    Returns:
        (h, w, 3) float32 sRGB in [0, 1].

    Raises:
        RefusedPicture: if the file is no picture, damaged, truncated, too small or too large.
    """
    return np.ascontiguousarray(_over(_decoded(data, max_pixels), ground))


def decode_rgba(data: bytes, *, max_pixels: int, min_side_px: int = MIN_SIDE_PX) -> NDArray[np.float32]:
    """As `decode`, with transparency kept: (h, w, 4) float32 RGBA in [0, 1]; opaque if the file has no alpha."""
    pixels = _decoded(data, max_pixels, min_side_px)
    if pixels.shape[2] == 3:
        pixels = np.dstack([pixels, np.ones_like(pixels[..., 0])])
    return np.ascontiguousarray(pixels)


def _decoded(data: bytes, max_pixels: int, min_side_px: int = MIN_SIDE_PX) -> NDArray[np.float32]:
    """(h, w, 3 or 4) sRGB, upright."""
    data, png_colours = readable_png(data) if data.startswith(SIGNATURE) else (data, PngColours())
    picture = _open(data)
    width_px, height_px = picture.size
    if width_px * height_px > max_pixels:
        raise RefusedPicture(f"{width_px}x{height_px} px is more than max_pixels={max_pixels}")
    if min(width_px, height_px) < min_side_px:
        raise RefusedPicture(f"{width_px}x{height_px} px is too small: {min_side_px} px a side at least")
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        _check_samples(picture)
    # Pillow has no mode for 16-bit colour channels and drops their low bytes when it loads, so this is checked before.
    deep_colour = picture.mode in ("RGB", "RGBA") and any(";16" in str(tile[3]) for tile in picture.tile)
    try:
        picture.load()
        pixels = _pixels(picture)
    except (MemoryError, RefusedPicture):
        raise
    except Exception as error:  # the exceptions of decoders on malformed bytes have no common class
        raise RefusedPicture(f"truncated or damaged {picture.format} ({_one_line(error)})") from error
    if deep_colour:
        pixels = _with_low_bytes(data, pixels, keyed="transparency" in picture.info)
    return _upright(_in_srgb(picture, pixels, data, png_colours), _orientation(picture))


def _open(data: bytes) -> ImageFile.ImageFile:
    """Parse the header and nothing more.

    `Image.open` would warn of large pictures, and warning filters are process-wide: they cannot be changed in one
    thread without disturbing the others. So Pillow's openers are called directly; `decode` checks the size itself.
    """
    if not data:
        raise RefusedPicture("the file is empty (0 bytes)")
    Image.init()
    for name in (*_FORMATS, *_heif(data)):
        opener, accepts = Image.OPEN[name]
        if accepts is None or accepts(data[:16]) is not True:
            continue
        try:
            return opener(io.BytesIO(data), "")
        except MemoryError:
            raise
        except Exception as error:  # as above: plugins raise SyntaxError, KeyError, struct.error, ...
            if "unknown pixel mode" in str(error):
                raise RefusedPicture(
                    f"{name} of a rare kind of pixels: save it with 8 or 16 bits a channel, unsigned"
                ) from error
            raise RefusedPicture(f"truncated or damaged {name} ({_one_line(error)})") from error
    raise RefusedPicture(f"not a picture of a known format ({', '.join(_FORMATS)})")


def _check_samples(picture: TiffImagePlugin.TiffImageFile) -> None:
    """Raise RefusedPicture for what Pillow would take for other values.

    It reads signed bytes as unsigned ones, and every byte of raw 16-bit channels stored plane by plane as a value.
    """
    if picture.tag_v2.get(TiffImagePlugin.SAMPLEFORMAT, (1,))[0] == _SIGNED:
        raise RefusedPicture("signed values have no agreed black: save it with 8 or 16 bits, unsigned")
    planar = picture.tag_v2.get(TiffImagePlugin.PLANAR_CONFIGURATION) == 2
    deep = max(picture.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (1,))) > 8
    if planar and deep and any(tile.codec_name == "raw" for tile in picture.tile):
        raise RefusedPicture("16 bits a channel, stored plane by plane: save it pixel by pixel, or compressed")


def _heif(data: bytes) -> tuple[str, ...]:
    """The name of HEIC's decoder if the file is a HEIC picture, else nothing.

    Raises:
        RefusedPicture: if it is a HEIC picture, and the extra with the decoder is not installed.
    """
    if data[4:8] != b"ftyp" or data[8:12] not in _HEIF_BRANDS or b"avif" in data[16:64]:
        return ()
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        advice = "HEIC pictures need: pip install 'process-painter[heic]'; or export it as JPEG or PNG"
        raise RefusedPicture(advice) from None
    register_heif_opener()
    return ("HEIF",)


def _in_srgb(
    picture: Image.Image, pixels: NDArray[np.float32], data: bytes, png: PngColours
) -> NDArray[np.float32]:  # fmt: skip
    """Pixels of a loaded picture, converted to sRGB by the file's colour information.

    If a file has several kinds, the first of these is used: code points (as PNG's third edition demands), profile,
    sRGB, gamma, Exif.
    """
    info, profile = picture.info, png.profile or picture.info.get("icc_profile")
    colours = Colours()
    if codes := png.code_points or _avif_code_points(picture, data):
        colours = Colours.of_codes(*codes)
    elif profile:
        return with_profile(picture, pixels, profile)
    elif "srgb" not in info and ("gamma" in info or "chromaticity" in info):
        colours = Colours.of_png(info.get("gamma"), info.get("chromaticity"))
    elif _interoperability(picture) == _ADOBE_RGB_FILE:
        colours = Colours(ADOBE_RGB, gamma=ADOBE_GAMMA)
    if colours.are_srgb:
        return pixels
    return np.concatenate([colours.to_srgb(pixels[..., :3]), pixels[..., 3:]], axis=-1, dtype=np.float32)


def _avif_code_points(picture: Image.Image, data: bytes) -> tuple[int, int] | None:
    """Primaries and transfer in an AVIF's `nclx` box (ISO 23008-12, section 6.5.5), which Pillow does not report.

    None if there is no such box, or a profile takes its place.
    """
    box = data.find(b"colrnclx") if picture.format in ("AVIF", "HEIF") and "icc_profile" not in picture.info else -1
    codes = data[box + 8 : box + 12] if box >= 0 else b""
    return (int.from_bytes(codes[:2], "big"), int.from_bytes(codes[2:], "big")) if len(codes) == 4 else None


def _interoperability(picture: Image.Image) -> str:
    """Exif's interoperability index; empty where there is none."""
    try:
        return str(picture.getexif().get_ifd(ExifTags.IFD.Interop).get(ExifTags.Interop.InteropIndex, ""))
    except Exception:  # as in `_orientation`
        return ""


def _pixels(picture: Image.Image) -> NDArray[np.float32]:
    """(h, w, 3 or 4) float32 RGB or RGBA in [0, 1] of a loaded picture, not yet turned upright."""
    if picture.mode.startswith("I;16"):
        grey = np.asarray(picture).astype(np.uint16)
        if isinstance(picture, TiffImagePlugin.TiffImageFile) and picture.tag_v2.get(_PHOTOMETRIC) == 0:
            grey = 65535 - grey  # 0 is white; Pillow inverts 8-bit pictures itself
        channels = [grey.astype(np.float32) / 65535] * 3
        if "transparency" in picture.info:
            channels.append((grey != picture.info["transparency"]).astype(np.float32))
        return np.stack(channels, axis=-1)
    if picture.mode == "F":
        grey = np.asarray(picture)
        if not np.isfinite(grey).all():
            raise RefusedPicture("holds values that are not finite")
        if grey.min() < 0 or grey.max() > 1:
            raise RefusedPicture("holds floating-point values outside 0 to 1")
        return np.stack([grey] * 3, axis=-1)
    if picture.mode == "I":
        raise RefusedPicture("32-bit integer values have no agreed white: save it with 8 or 16 bits")
    bands = "RGBA" if picture.has_transparency_data else "RGB"
    eight_bit = picture if picture.mode == bands else picture.convert(bands)
    pixels: NDArray[np.float32] = np.divide(np.asarray(eight_bit), np.float32(255), dtype=np.float32)
    return pixels


def _with_low_bytes(data: bytes, pixels: NDArray[np.float32], *, keyed: bool) -> NDArray[np.float32]:
    """The same pixels with the 16-bit precision that Pillow dropped, as OpenCV decodes them.

    OpenCV treats orientation, premultiplied alpha and damage differently. So its pixels are used only if they agree
    with Pillow's to within the dropped byte; else the picture stays at 8 bits. Alpha is not compared if the picture is
    `keyed` (transparent wherever it has a certain colour), as Pillow cannot find that colour without the low bytes.
    """
    with _silent_opencv():
        deep = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if deep is None or deep.dtype != np.uint16 or deep.shape != pixels.shape:
        return pixels
    order = cv2.COLOR_BGR2RGB if deep.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
    refined: NDArray[np.float32] = np.divide(cv2.cvtColor(deep, order), np.float32(65535), dtype=np.float32)
    compared = slice(3 if keyed else None)
    return refined if np.abs(refined - pixels)[..., compared].max() < 1.5 / 255 else pixels


@contextmanager
def _silent_opencv() -> Iterator[None]:
    """Context in which OpenCV prints nothing of files that it cannot decode, such as TIFF packed by LZMA."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


def _over(pixels: NDArray[np.float32], ground: Ground) -> NDArray[np.float32]:
    """(h, w, 3 or 4) pixels on a ground: (h, w, 3), composited on sRGB values as browsers do."""
    if pixels.shape[2] == 3:
        return pixels
    alpha = pixels[..., 3:]
    rgb: NDArray[np.float32] = pixels[..., :3] * alpha + np.array(ground, np.float32) * (1 - alpha)
    return rgb


def _orientation(picture: Image.Image) -> int:
    """EXIF orientation of a loaded picture, 1 to 8. (A loaded TIFF is already upright, and says so.)"""
    try:
        return int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a sound picture with damaged EXIF is worth painting; the parser raises anything
        return 1


def _upright(image: NDArray[np.float32], orientation: int) -> NDArray[np.float32]:
    """Undo an EXIF orientation (CIPA DC-008, tag 0x0112); an unknown number changes nothing."""
    if orientation in (5, 6, 7, 8):
        image = image.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return image


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
