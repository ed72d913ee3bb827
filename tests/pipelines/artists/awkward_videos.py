"""Writes valid videos and animations of kinds that are often misread."""

import io
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]


def timed_video(
    path: Path, pictures: Sequence[Picture], last_held_s: float, codec: str, pix_fmt: str
) -> Path:  # fmt: skip
    """Write a video of ten frames a second whose last frame is held for longer."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = *pictures[0].shape[:2], pix_fmt
        stream.codec_context.time_base, stream.codec_context.max_b_frames = Fraction(1, 1000), 0
        if pix_fmt == "yuva420p":
            stream.codec_context.options = {"auto-alt-ref": "0"}  # libvpx encodes transparency only without them
        packets = []
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgba" if picture.shape[2] == 4 else "rgb24")
            frame.pts, frame.time_base = 100 * number, Fraction(1, 1000)
            packets += stream.encode(frame)
        packets += stream.encode()
        for packet in packets:
            last = packet.pts == 100 * (len(pictures) - 1)
            packet.duration = round(1000 * last_held_s) if last else 100
            container.mux(packet)
    return path


def animation(path: Path, pictures: Sequence[Picture], last_held_s: float) -> Path:
    """Write an animated GIF, WebP, PNG or AVIF with the same timing."""
    images = [Image.fromarray(picture) for picture in pictures]
    durations = [100] * (len(images) - 1) + [round(1000 * last_held_s)]
    options = {"lossless": True} if path.suffix == ".webp" else {"quality": 95} if path.suffix == ".avif" else {}
    images[0].save(path, save_all=True, append_images=images[1:], duration=durations, **options)
    return path


def _boxes(data: bytes) -> Iterator[bytes]:
    """The boxes of an MP4 file or of a box; each has a length, a name and a content (ISO 14496-12)."""
    while data:
        length = int.from_bytes(data[:4], "big")
        yield data[:length]
        data = data[length:]


def with_cover(path: Path, pictures: Sequence[Picture], cover: Picture) -> Path:
    """Write a video with a cover, which is the first stream of the file."""
    with av.open(str(path), "w") as container:
        first, video = container.add_stream("mjpeg", rate=10), container.add_stream("libx264", rate=10)
        assert isinstance(first, av.VideoStream) and isinstance(video, av.VideoStream)
        first.height, first.width, first.pix_fmt = *cover.shape[:2], "yuvj420p"
        first.disposition = Disposition.attached_pic
        video.height, video.width, video.pix_fmt = *pictures[0].shape[:2], "yuv420p"
        out = io.BytesIO()
        Image.fromarray(cover).save(out, "JPEG", quality=95)
        packet = av.Packet(out.getvalue())
        packet.stream, packet.pts, packet.dts, packet.time_base = first, 0, 0, Fraction(1, 10)
        container.mux(packet)
        for picture in pictures:
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode())
    path.write_bytes(_with_metadata_first(path.read_bytes()))
    return path


def _with_metadata_first(movie: bytes) -> bytes:
    """An MP4 file with its `udta` box, which holds the cover, before the tracks, as some programs write it."""

    def moved(box: bytes) -> bytes:
        inner: list[bytes] = sorted(_boxes(box[8:]), key=lambda part: part[4:8] != b"udta")
        return box[:8] + b"".join(inner)

    return b"".join(moved(box) if box[4:8] == b"moov" else box for box in _boxes(movie))


def two_tracks(path: Path, short: Sequence[Picture], long: Sequence[Picture], default: int | None) -> Path:
    """Write a video of two tracks, one of which may be marked as the default."""
    with av.open(str(path), "w") as container:
        streams = []
        for number, pictures in enumerate((short, long)):
            stream = container.add_stream("libx264", rate=10)
            assert isinstance(stream, av.VideoStream)
            stream.height, stream.width, stream.pix_fmt = *pictures[0].shape[:2], "yuv420p"
            stream.disposition = Disposition.default if number == default else Disposition(0)
            streams.append(stream)
        for stream, pictures in zip(streams, (short, long), strict=True):
            for picture in pictures:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
    return path


def wide_pixels(path: Path, pictures: Sequence[Picture], aspect: Fraction) -> Path:
    """Write a video whose pixels have this aspect ratio (width by height)."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = *pictures[0].shape[:2], "yuv420p"
        stream.codec_context.sample_aspect_ratio = aspect
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def deep_greys(path: Path, signals: Sequence[float], primaries: int, transfer: int) -> Path:
    """Write a ten-bit video; each frame has one grey, given by its signal in [0, 1]."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p10le"
        codec = stream.codec_context
        codec.color_primaries, codec.color_trc, codec.colorspace, codec.color_range = primaries, transfer, 9, 1
        for signal in signals:
            planes = np.full((96, 96), 512, np.uint16)
            planes[:64] = round(64 + 876 * signal)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p10le")))
        container.mux(stream.encode())
    return path


def untold_matrix(path: Path, colour: tuple[int, int, int], size_px: tuple[int, int], matrix: str) -> Path:
    """Write a video of one colour, encoded with a matrix that the file does not name."""
    frame = av.VideoFrame.from_ndarray(np.full((*size_px, 3), colour, np.uint8), format="rgb24")
    coded = frame.reformat(format="yuv420p", dst_colorspace=matrix)
    coded.colorspace = 2  # "unspecified" in ITU-T H.273
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = *size_px, "yuv420p"
        for _ in range(9):
            container.mux(stream.encode(coded))
        container.mux(stream.encode())
    return path
