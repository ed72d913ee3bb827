"""A folder as Krita's Recorder docker leaves it: 0000000.png and on, whose sides are even.

Copied into the docker's folder of recordings, it is in the list of "Manage recordings", and Krita exports it as video.
"""

from pathlib import Path

from pipelines.exports.process import Process
from pipelines.exports.settings import Settings
from training.data.pixels import png_of


def write(process: Process, settings: Settings, path: Path) -> None:
    """Write one process; `path` becomes a folder."""
    path.mkdir()
    height, width = (max(2, side // 2 * 2) for side in process.size_px)  # the docker cuts an odd row or column as well
    for number, frame in enumerate(process.frames):
        (path / f"{number:07d}.png").write_bytes(png_of(frame.picture[:height, :width]))
