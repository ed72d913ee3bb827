"""Readers of pictures and videos."""

import io
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

import av
import cv2
import numpy as np
from av.video.stream import VideoStream
from hypothesis import strategies as st
from PIL import Image, ImageCms

from pipelines.artists.video import read_video
from pipelines.sources.decode import decode, decode_rgba
from pipelines.sources.depth import decode_depth
from pipelines.sources.source import RefusedPicture
from renderers.stored_picture import MOST_PIXELS, decoded, size_of
from tests.fuzz.mutations import mutated, mutated_png
from tests.fuzz.target import Target

_PIXELS = np.random.default_rng(0).integers(0, 256, (20, 24, 4), np.uint8)
_VIDEOS = {"mp4": "mpeg4", "matroska": "mpeg4", "avi": "mjpeg", "mpegts": "mpeg2video", "gif": "gif"}


@cache
def pictures() -> dict[str, bytes]:
    """One small picture of each kind that can be read, with metadata where the format has it."""
    rgba = Image.fromarray(_PIXELS)
    rgb, exif, profile = rgba.convert("RGB"), Image.Exif(), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    exif[0x0112] = 6
    metadata: dict[str, Any] = {"exif": exif, "icc_profile": profile.tobytes()}
    return {
        "png": _saved(rgba, "PNG", **metadata),
        "palette": _saved(rgb.convert("P"), "PNG", transparency=3),
        "grey16": cv2.imencode(".png", _PIXELS[..., 0].astype(np.uint16) * 257)[1].tobytes(),
        "deep": cv2.imencode(".png", _PIXELS.astype(np.uint16) * 257)[1].tobytes(),
        "jpeg": _saved(rgb, "JPEG", **metadata),
        "cmyk": _saved(rgb.convert("CMYK"), "JPEG"),
        "webp": _saved(rgb, "WEBP", **metadata),
        "lossless": _saved(rgba, "WEBP", lossless=True),
        "animated": _saved(rgb, "WEBP", save_all=True, append_images=[rgb.rotate(90)] * 2, duration=100),
        "gif": _saved(rgb, "GIF", save_all=True, append_images=[rgb.rotate(90)], duration=100),
        "bmp": _saved(rgb, "BMP"),
        "tiff": _saved(rgb, "TIFF", compression="tiff_lzw"),
        "floats": _saved(rgb.convert("F").point(lambda level: level / 255), "TIFF"),
        "avif": _saved(rgb, "AVIF"),
    }


def _saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


@cache
def _videos() -> list[bytes]:
    return [*(_video(container, codec) for container, codec in _VIDEOS.items()), pictures()["animated"]]


def _video(container: str, codec: str) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream = cast(VideoStream, output.add_stream(codec, rate=5))
        stream.width, stream.height = 32, 16
        stream.pix_fmt = {"gif": "rgb8", "mjpeg": "yuvj420p"}.get(codec, "yuv420p")
        output.metadata["title"] = stream.metadata["DURATION"] = "00:00:01.000000000"
        for level in range(0, 250, 50):
            frame = av.VideoFrame.from_ndarray(np.full((16, 32, 3), level, np.uint8), format="rgb24")
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return buffer.getvalue()


def _read_video(data: bytes, folder: Path) -> None:
    (folder / "video").write_bytes(data)
    footage = read_video(str(folder / "video"), 32, range(2, 9))
    assert 1 <= len(footage) <= 9


def _read_picture(data: bytes, _: Path) -> None:
    pixels = decode(data, max_pixels=1_000_000)
    assert pixels.dtype == np.float32 and pixels.ndim == 3 and pixels.shape[2] == 3
    assert np.isfinite(pixels).all() and pixels.min() >= 0 and pixels.max() <= 1


def _read_stored(data: bytes, _: Path) -> None:
    picture = decoded(data, cv2.IMREAD_COLOR_RGB)
    assert picture is None or (picture.shape[:2] == size_of(data) and picture[..., 0].size <= MOST_PIXELS)


def _files(names: tuple[str, ...] = ()) -> Any:
    corpus = [data for name, data in pictures().items() if not names or name in names]
    pngs = [data for data in corpus if data.startswith(b"\x89PNG")]
    return mutated(corpus) | (mutated_png(pngs) if pngs else st.nothing())


TARGETS = {
    "picture": Target(files=_files, read=_read_picture, refusals=(RefusedPicture,)),
    "brush": Target(
        files=_files, read=lambda data, _: decode_rgba(data, max_pixels=1_000_000), refusals=(RefusedPicture,)
    ),
    "depth": Target(
        files=partial(_files, ("grey16", "png", "jpeg")),
        read=lambda data, _: decode_depth(data),
        refusals=(RefusedPicture,),
    ),
    "stored-picture": Target(files=partial(_files, ("png", "deep", "jpeg", "webp", "lossless")), read=_read_stored),
    "video": Target(files=lambda: mutated(_videos()), read=_read_video, refusals=(RefusedPicture,)),
}
