"""Animated PNG and WebP, which are lossless and repeat forever."""

from pathlib import Path

from PIL import Image

from pipelines.exports.process import Process
from pipelines.exports.settings import Settings


def write(process: Process, settings: Settings, path: Path) -> None:
    """Write one process."""
    pictures = [Image.fromarray(frame.picture) for frame in process.frames]
    kind, options = ("PNG", {}) if path.suffix.lower() == ".apng" else ("WEBP", {"lossless": True})
    pictures[0].save(
        path,
        kind,
        save_all=True,
        append_images=pictures[1:],
        duration=settings.frame_ms(len(pictures)),
        loop=0,
        **options,
    )
