"""Videos: time-lapses and screen recordings."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from pipelines.artists.footage import Footage, Frame, gather
from pipelines.sources.base import RefusedPicture
from training.data.storage import open_storage

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

_LEAST_SHARE = 0.9  # of its length that a sound video shows


def read_video(path: str, canvas_px: int, wanted: range) -> Footage:
    """The frames of a video's first picture stream, upright.

    Args:
        path: path or URL.
        canvas_px, wanted: see `footage.gather`.

    Raises:
        RefusedPicture: if it is no video, or damaged; a video whose end is cut off counts as damaged.
    """
    import av

    filesystem, locator = open_storage(path)
    decoded, shown_s = 0, 0.0

    def pictures() -> Iterator[Frame]:
        nonlocal decoded, shown_s
        with filesystem.open(locator, "rb") as file, av.open(file) as container:
            if not container.streams.video:
                raise RefusedPicture("holds no pictures, only sound or data")
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1  # workers do not compete for cores
            for frame in container.decode(stream):
                if frame.is_corrupt:
                    raise RefusedPicture(f"damaged after {decoded} frames")
                decoded, shown_s = decoded + 1, frame.time or shown_s
                yield np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90)))
            promised_s = _promised_s(container, stream)
            if shown_s < _LEAST_SHARE * promised_s:  # of a file that was cut off, some containers decode what there is
                raise RefusedPicture(f"damaged after {decoded} frames: {shown_s:.1f} of {promised_s:.1f} s are there")

    try:
        return gather(pictures(), canvas_px, wanted)
    except (av.FFmpegError, OSError) as error:
        where = f"damaged after {decoded} frames" if decoded else "not a video that can be decoded"
        raise RefusedPicture(f"{where} ({getattr(error, 'strerror', None) or type(error).__name__})") from error


def _promised_s(container: "InputContainer", stream: "VideoStream") -> float:
    """When the last frame is to be seen, at least; 0 when the file does not say."""
    frame_s = float(1 / stream.average_rate) if stream.average_rate else 0.0
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base) - frame_s
    if container.duration and len(container.streams) == 1:  # sound may last longer
        return container.duration / 1e6 - frame_s
    return 0.0
