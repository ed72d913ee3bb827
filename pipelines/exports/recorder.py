"""A folder as Krita's Recorder docker writes it: 0000000.png and so on, with even sides.

If it is copied into the docker's folder of recordings, "Manage recordings" lists it, and Krita exports it as video.
"""

from pathlib import Path

from pipelines.exports.process import Process
from pipelines.exports.settings import Settings
from training.data.pixels import png_of


def write(process: Process, settings: Settings, path: Path) -> None:
    """Write one process; `path` becomes a folder."""
    path.mkdir()
    height, width = (max(2, side // 2 * 2) for side in process.size_px)  # the docker cuts odd rows and columns too
    for number, frame in enumerate(process.frames):
        (path / f"{number:07d}.png").write_bytes(png_of(frame.picture[:height, :width]))
