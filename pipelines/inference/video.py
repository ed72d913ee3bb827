"""Videos written frame by frame, however long: H.264 in MP4, VP9 in WebM, and GIF with one palette for all frames."""

import threading
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from queue import Queue
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

if TYPE_CHECKING:
    import av

Frame = NDArray[np.uint8]

ENDINGS = (".mp4", ".webm", ".gif")
"""What the name of a video may end with; the ending chooses the format."""

_BT709 = 1  # code of ITU-T H.273 for the colours that players assume for pictures of this size
_LIMITED_RANGE = 1
_CODECS: dict[str, tuple[str, str, dict[str, str]]] = {
    ".mp4": ("mp4", "libx264", {"crf": "16", "preset": "veryfast"}),
    ".webm": ("webm", "libvpx-vp9", {"crf": "24", "b": "0", "deadline": "realtime", "cpu-used": "7", "row-mt": "1"}),
    ".gif": ("gif", "gif", {}),
}
_QUEUED = 4  # frames that may wait for the encoder
_GIF_COLOURS = 256
_NEAR = 4  # of 255: the error of a colour up to which the pattern's noise would be worse
_BAYER = np.array([[-8, 0, -6, 2], [4, -4, 6, -2], [-5, 3, -7, 1], [7, -1, 5, -3]], np.int16)


def even(side_px: int) -> int:
    """The nearest even side, at least 2; 4:2:0 halves the sides."""
    return max(2, round(side_px / 2) * 2)


class VideoFile:
    """A video that is written while its frames are made; encoding runs in a thread of its own.

    Use it as a context manager. If an exception leaves the context, the unfinished video is closed, and the caller
    removes the file.
    """

    def __init__(
        self, path: Path, ending: str, size_px: tuple[int, int], frames_per_s: float, examples: Sequence[Frame]
    ) -> None:
        """Open the file.

        Args:
            path: the file; it is overwritten if it exists.
            ending: one of `ENDINGS`.
            size_px: (height, width), both even.
            frames_per_s: above 0.
            examples: pictures of any one size, from which a GIF takes its 256 colours.

        Raises:
            OSError: if the file cannot be written.
        """
        import av

        kind, codec, options = _CODECS[ending]
        # Without this option, WebM files contain a random id.
        self._container = av.open(str(path), "w", format=kind, options={"fflags": "bitexact"})
        self._frame_s = 1 / Fraction(frames_per_s).limit_denominator(1000)
        stream = self._container.add_stream(codec, rate=1 / self._frame_s, options=options)
        self._stream = cast("av.VideoStream", stream)
        self._stream.height, self._stream.width = size_px
        self._colours = _Palette(np.concatenate(examples), size_px) if ending == ".gif" else None
        self._stream.pix_fmt = "pal8" if self._colours else "yuv420p"
        if self._colours is None:
            context: Any = self._stream.codec_context
            context.color_primaries = context.color_trc = context.colorspace = _BT709
            context.color_range = _LIMITED_RANGE
            context.thread_type = "AUTO"
        self._waiting: Queue[tuple[Frame, int] | None] = Queue(_QUEUED)
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._encode_all, daemon=True)
        self._thread.start()

    def write(self, frame: Frame, count: int = 1) -> None:
        """Add an (H, W, 3) frame, shown for `count` frames' time. It must not be changed afterwards.

        Raises:
            OSError: if writing the file has failed.
        """
        self._waiting.put((frame, count))
        if self._fault is not None:
            raise self._fault

    def __enter__(self) -> Self:
        """The video, ready for frames."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Encode the remaining frames, and close the file."""
        self._waiting.put(None)
        self._thread.join()
        try:
            self._container.close()
        finally:
            if self._fault is not None and error is None:
                raise self._fault

    def _encode_all(self) -> None:
        number, failed = 0, False
        while (item := self._waiting.get()) is not None:
            if failed:
                continue  # empties the queue, so that a waiting `write` continues and raises the fault
            try:
                number = self._encode(*item, number)
            except BaseException as fault:
                self._fault, failed = fault, True
        if not failed:
            try:
                self._container.mux(self._stream.encode())
            except BaseException as fault:
                self._fault = fault

    def _encode(self, frame: Frame, count: int, number: int) -> int:
        """Encode one picture as the frames from `number` on; returns the number of the next."""
        picture = self._picture(np.ascontiguousarray(frame))
        for at in range(number, number + count):
            picture.pts, picture.time_base = at, self._frame_s
            self._container.mux(self._stream.encode(picture))
        return number + count

    def _picture(self, frame: Frame) -> "av.VideoFrame":
        """A frame in the pixel format of the video."""
        import av

        if self._colours is not None:
            indexed: Any = self._colours.indexed(frame)  # pal8 takes a pair of arrays, which PyAV's stubs lack
            return av.VideoFrame.from_ndarray(indexed, format="pal8")
        picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
        return picture.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")


class _Palette:
    """The 256 colours that suit some pictures best (median cut), and frames drawn in these colours.

    Colours that are far from all of these are dithered by a fixed pattern (Bayer's), so that unchanged parts of a video
    do not flicker.
    """

    def __init__(self, picture: Frame, size_px: tuple[int, int]) -> None:
        self._palette = PillowImage.fromarray(picture).quantize(_GIF_COLOURS)
        listed = np.array(self._palette.getpalette() or [], np.uint8).reshape(-1, 3)[:_GIF_COLOURS]
        self._argb = np.full((_GIF_COLOURS, 4), 255, np.uint8)
        self._argb[: len(listed), 1:] = listed
        height, width = size_px
        pattern = np.tile(_BAYER, (-(-height // 4), -(-width // 4)))
        self._dither = pattern[:height, :width, None]

    def indexed(self, frame: Frame) -> tuple[Frame, Frame]:
        """(H, W) indices of colours, and (256, 4) the colours as alpha, red, green, blue."""
        nearest = self._nearest(frame)
        is_near = np.abs(frame.astype(np.int16) - self._argb[nearest, 1:]).max(-1) <= _NEAR
        dithered = self._nearest(np.clip(frame.astype(np.int16) + self._dither, 0, 255).astype(np.uint8))
        return np.where(is_near, nearest, dithered), self._argb

    def _nearest(self, frame: Frame) -> Frame:
        numbers = PillowImage.fromarray(frame).quantize(palette=self._palette, dither=PillowImage.Dither.NONE)
        return np.asarray(numbers)
