"""Procreate's documents (.procreate): the time-lapse that is recorded in them while they are painted.

Such a document is a zip; the recording is in `video/segments/segment-1.mp4` and so on, as described by a viewer of
another author (https://git.sr.ht/~redstrate/silica-viewer, "Reverse Engineering Notes"). The format of layers is not
published, and they are not read.
"""

import io
import re
from collections.abc import Iterator

from pipelines.artists.archive import Archive, opened_archive
from pipelines.artists.footage import Footage, Frame, Pixels, gather
from pipelines.artists.video import Video, held
from pipelines.sources.reading import PatientFile
from pipelines.sources.source import RefusedPicture

PROCREATE = ".procreate"

_MOST_NAMED = 100
_SEGMENT = re.compile(r"video/segments/segment-(\d{1,6})\.(?:mp4|mov|m4v)", re.IGNORECASE)


def read_procreate(path: str, canvas_px: int, num_frames: range) -> Footage:
    """The frames of the segments, one after the other; the note `missing_segments` has the numbers of those that lack.

    Args:
        path: path or URL.
        canvas_px, num_frames: see `footage.gather`.

    Raises:
        RefusedPicture: if it is damaged, holds no recording, or its canvas changed its size in between.
        StorageFault: if the storage fails.
    """
    with opened_archive(path) as archive:
        recording = _Recording(archive)
        footage = gather(held(recording.frames(), num_frames[-1]), canvas_px, num_frames, recording.developed)
        return footage.noted(missing_segments=recording.missing) if recording.missing else footage


class _Recording:
    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        numbers = {name: int(match[1]) for name in archive.names if (match := _SEGMENT.fullmatch(name))}
        self._segments = sorted(numbers, key=lambda name: numbers[name])
        if not self._segments:
            raise RefusedPicture("holds no time-lapse (video/segments): it was switched off, or removed")
        present = set(numbers.values())
        self.missing = sorted(set(range(1, max(present))) - present)[:_MOST_NAMED]
        """Numbers of the segments that lack, counted from 1; the first ones if there are many."""
        self._video: Video | None = None

    def frames(self) -> Iterator[tuple[Pixels, float]]:
        """Every frame, not yet `developed`, and for how many seconds it is shown."""
        for name in self._segments:
            self._video = Video(PatientFile(io.BytesIO(self._archive.read(name)), name))
            yield from self._video.frames()

    def developed(self, pixels: Pixels) -> Frame:
        """sRGB values of a frame of the segment that is being read."""
        assert self._video is not None
        return self._video.developed(pixels)
