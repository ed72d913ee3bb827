"""MP4, WebM and GIF: frames at equal times, and the finished painting for longer."""

from pathlib import Path

import numpy as np

from conf.errors import ConfigError
from pipelines.exports.process import Picture, Process
from pipelines.exports.settings import Settings
from pipelines.inference.video import VideoFile

_FRAMES_PER_S = 25  # a frame then takes whole hundredths of a second, the unit of GIF


def write(process: Process, settings: Settings, path: Path) -> None:
    """Write one process.

    Raises:
        ConfigError: if there are too many frames to be shown in the time.
    """
    ends = np.cumsum(settings.frame_ms(len(process.frames)))
    counts = np.diff(np.rint(ends * _FRAMES_PER_S / 1000).astype(int), prepend=0)
    if not counts.all():
        least = len(process.frames) / _FRAMES_PER_S
        raise ConfigError("seconds", settings.seconds, f"{least:g} or more for {len(process.frames)} frames")
    pictures = [_even(frame.picture) for frame in process.frames]
    height, width = pictures[0].shape[:2]
    examples = [pictures[0], pictures[len(pictures) // 2], pictures[-1]]
    with VideoFile(path, path.suffix.lower(), (height, width), _FRAMES_PER_S, examples) as video:
        for picture, count in zip(pictures, counts, strict=True):
            video.write(picture, int(count))


def _even(picture: Picture) -> Picture:
    """The picture with its last row or column repeated if a side is odd, as 4:2:0 halves sides."""
    height, width = picture.shape[:2]
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
