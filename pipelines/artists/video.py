"""Videos: time-lapses, screen recordings, and animated pictures."""

import io
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from pipelines.artists.cut_off import gif_has_its_end, matroska_has_its_end
from pipelines.artists.footage import Footage, Frame, Pixels, gather
from pipelines.artists.screen import Screen, on_white
from pipelines.sources.decode import MAX_PIXELS
from pipelines.sources.reading import PatientFile, read_patiently
from pipelines.sources.source import RefusedPicture, StorageFault
from training.data.storage import open_storage

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_LEAST_SHARE = 0.9  # share of its stated length that an undamaged video has
_HEAD_BYTES = 256
_AVIF_HEADS = (b"ftypavis", b"ftypavif")
_DECODERS_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""FFmpeg's own decoder, which leaves out transparency -> the one that does not."""


def read_video(path: str, canvas_px: int, num_frames: range) -> Footage:
    """The frames of a video as a screen shows them (see `screen`), or of an animated picture.

    If there are several tracks, the main one is read (see `main_track`). A frame that is shown for long is repeated as
    often as frames of the average length before it would fit into that time, and so it has as many votes.

    Args:
        path: path or URL.
        canvas_px, num_frames: see `footage.gather`.

    Raises:
        RefusedPicture: if it is no video, or is damaged; a video whose end is cut off counts as damaged.
        StorageFault: if the storage fails.
    """
    filesystem, locator = open_storage(path)
    head = read_patiently(lambda: bytes(filesystem.cat_file(locator, start=0, end=_HEAD_BYTES)), path)
    is_webp, is_avif = head[:4] == b"RIFF" and head[8:12] == b"WEBP", head[4:12] in _AVIF_HEADS
    if is_webp or is_avif:
        data = read_patiently(lambda: bytes(filesystem.cat_file(locator)), path)
        if is_webp or _is_transparent_avif(data):
            frames = _pillow_frames(data, "WEBP" if is_webp else "AVIF")
            return gather(held(frames, num_frames[-1]), canvas_px, num_frames)
    if head[:3] == b"GIF":
        data = read_patiently(lambda: bytes(filesystem.cat_file(locator)), path)
        if not gif_has_its_end(data):  # FFmpeg decodes a truncated GIF without an error
            raise RefusedPicture("damaged: the end of the GIF is missing")
    num_bytes = read_patiently(lambda: filesystem.size(locator), path)
    if num_bytes is not None and not matroska_has_its_end(head, num_bytes):
        raise RefusedPicture("damaged: the end of the file is missing")
    with read_patiently(lambda: filesystem.open(locator, "rb"), path) as file:
        video = Video(PatientFile(file, path))
        return gather(held(video.frames(), num_frames[-1]), canvas_px, num_frames, video.developed)


def main_track(container: "InputContainer") -> "VideoStream":
    """The stream that is the video, not a cover, thumbnail or still; of several the default, the longest, the first.

    Raises:
        RefusedPicture: if there is no such stream, or no decoder for it.
    """
    from av.stream import Disposition

    no_video = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
    tracks = [track for track in container.streams.video if not track.disposition & no_video]
    tracks = [track for track in tracks if track.frames != 1] or tracks
    if not tracks:
        raise RefusedPicture("holds no pictures, only sound or data")
    main = max(tracks, key=lambda track: (bool(track.disposition & Disposition.default), _length_s(track)))
    if main.codec_context is None:
        raise RefusedPicture("damaged, or encoded in a way that FFmpeg has no decoder for")
    return main


class Video:
    """A video file as PyAV decodes it."""

    def __init__(self, file: PatientFile) -> None:
        self._file = file
        self._screen: Screen | None = None

    def frames(self) -> Iterator[tuple[Pixels, float]]:
        """Every frame, not yet `developed`, and for how many seconds it is shown, 0 if the file does not say."""
        import av

        decoded, now_s, last_s, total_s = 0, 0.0, 0.0, 0.0
        waiting: Pixels | None = None  # a frame waits until it is known how long it is shown
        try:
            # A video may name other files or hosts (play lists, `ffconcat`, SDP), so no protocol may be opened.
            with av.open(
                self._file, mode="r", metadata_errors="replace", options={"protocol_whitelist": "none"}
            ) as container:
                stream = main_track(container)
                width_px, height_px = stream.codec_context.width, stream.codec_context.height
                if width_px * height_px > MAX_PIXELS:
                    raise RefusedPicture(f"{width_px}x{height_px} px is more than {MAX_PIXELS}")
                stream.codec_context.thread_count = 1  # workers must not compete for cores
                for frame in _decoded(container, stream):
                    if frame.is_corrupt:
                        raise RefusedPicture(f"damaged after {decoded} frames")
                    before_s, now_s = now_s, now_s if frame.time is None else frame.time
                    if waiting is not None:
                        # Time goes back where one recording was appended to another.
                        frame_s = now_s - before_s if now_s > before_s else last_s
                        total_s += frame_s
                        yield waiting, frame_s
                    if self._screen is None:
                        self._screen = Screen.of(stream)
                    waiting, decoded = self._screen.pixels(frame), decoded + 1
                    last_s = float(frame.duration * frame.time_base) if frame.duration and frame.time_base else 0.0
                if waiting is None:
                    return
                stated_s = _stated_s(container, stream)
                is_complete = 0 < stream.frames <= decoded
                if total_s + last_s < _LEAST_SHARE * stated_s and not is_complete:
                    # Some containers decode a file that was cut off without an error.
                    raise RefusedPicture(
                        f"damaged after {decoded} frames: {total_s + last_s:.1f} of {stated_s:.1f} s can be read"
                    )
                yield waiting, max(last_s, stated_s - total_s)
        except (RefusedPicture, StorageFault, MemoryError):
            raise
        except Exception as error:  # the exceptions of decoders on malformed bytes have no common class
            where = f"damaged after {decoded} frames" if decoded else "not a video that can be decoded"
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise self._file.fault or RefusedPicture(f"{where} ({reason})") from error

    def developed(self, pixels: Pixels) -> Frame:
        """The sRGB values of a frame from `frames`."""
        assert self._screen is not None
        return self._screen.developed(pixels)


def _decoded(container: "InputContainer", stream: "VideoStream") -> Iterator["VideoFrame"]:
    """The frames of a stream, with their transparency."""
    from av import CodecContext
    from av.video.codeccontext import VideoCodecContext

    name = _DECODERS_WITH_ALPHA.get(stream.codec_context.name)
    if name is None or stream.metadata.get("alpha_mode") != "1":
        yield from container.decode(stream)
        return
    decoder = CodecContext.create(name, "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.extradata, decoder.thread_count = stream.codec_context.extradata, 1
    for packet in container.demux(stream):
        yield from decoder.decode(packet)


def _is_transparent_avif(data: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(data), formats=["AVIF"]) as animation:
            return animation.mode == "RGBA"
    except Exception:  # the exceptions of decoders on malformed bytes have no common class; FFmpeg's reason is better
        return False


def _pillow_frames(data: bytes, kind: str) -> Iterator[tuple[Pixels, float]]:
    """Every frame and its seconds, of an animation of which FFmpeg does not decode the frames or their transparency."""
    decoded = 0
    try:
        with Image.open(io.BytesIO(data), formats=[kind]) as animation:
            if animation.width * animation.height > MAX_PIXELS:
                raise RefusedPicture(f"{animation.width}x{animation.height} px is more than {MAX_PIXELS}")
            for number in range(getattr(animation, "n_frames", 1)):
                animation.seek(number)
                pixels = on_white(np.asarray(animation.convert("RGBA")))
                decoded += 1
                yield pixels, animation.info.get("duration", 0) / 1000
    except (RefusedPicture, MemoryError):
        raise
    except Exception as error:  # the exceptions of decoders on malformed bytes have no common class
        where = f"damaged after {decoded} frames" if decoded else "not a video that can be decoded"
        raise RefusedPicture(f"{where} ({' '.join(str(error).split()) or type(error).__name__})") from error


def held(frames: Iterable[tuple[Pixels, float]], most: int) -> Iterator[Pixels]:
    """Repeat each frame as often as frames of the average length before it fit into its time, at most `most` times."""
    count, total_s = 0, 0.0
    for pixels, frame_s in frames:
        times = round(frame_s * count / total_s) if total_s else 1
        for _ in range(max(1, min(times, most))):
            yield pixels
        count, total_s = count + 1, total_s + frame_s


def _length_s(track: "VideoStream") -> float:
    """Length of a track; 0 if the file does not state it. Matroska states it in a tag, `00:00:04.800000000`."""
    match = re.fullmatch(r"(\d{1,6}):(\d{1,2}):(\d{1,2}(?:\.\d{1,18})?)", track.metadata.get("DURATION", ""))
    if match:  # if there is such a tag, FFmpeg's own figure may be that of the whole file
        return 3600.0 * int(match[1]) + 60.0 * int(match[2]) + float(match[3])
    return float(track.duration * track.time_base) if track.duration and track.time_base else 0.0


def _stated_s(container: "InputContainer", stream: "VideoStream") -> float:
    """The stated length of the video, minus one frame, as the last one may lack a duration; 0 if it is not stated."""
    frame_s = float(1 / stream.average_rate) if stream.average_rate else 0.0
    if length_s := _length_s(stream):
        return length_s - frame_s
    if container.duration and len(container.streams) == 1:  # sound may last longer
        return container.duration / 1e6 - frame_s
    return 0.0
