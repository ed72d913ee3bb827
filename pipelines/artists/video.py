"""Videos: time-lapses and screen recordings."""

from collections.abc import Iterator

import numpy as np

from pipelines.artists.footage import Footage, Frame, gather
from pipelines.sources.base import RefusedPicture
from pipelines.sources.stored import open_storage


def read_video(path: str, canvas_px: int, most: int) -> Footage:
    """The frames of a video's first picture stream, upright.

    Args:
        path: path or URL.
        canvas_px, most: see `footage.gather`.

    Raises:
        RefusedPicture: if it is no video, or damaged; a video whose end is cut off counts as damaged.
    """
    import av

    filesystem, locator = open_storage(path)
    decoded = 0

    def pictures() -> Iterator[Frame]:
        nonlocal decoded
        with filesystem.open(locator, "rb") as file, av.open(file) as container:
            if not container.streams.video:
                raise RefusedPicture("holds no pictures, only sound or data")
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1  # workers do not compete for cores
            for frame in container.decode(stream):
                if frame.is_corrupt:
                    raise RefusedPicture(f"damaged after {decoded} frames")
                decoded += 1
                turns = round(frame.rotation / 90)
                yield np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), turns))

    try:
        return gather(pictures(), canvas_px, most)
    except (av.FFmpegError, OSError) as error:
        where = f"damaged after {decoded} frames" if decoded else "not a video that can be decoded"
        raise RefusedPicture(f"{where} ({getattr(error, 'strerror', None) or type(error).__name__})") from error
