"""Reads layered documents of any kind as footage."""

import posixpath
from collections.abc import Iterator

from pipelines.artists.archive import opened_archive
from pipelines.artists.footage import Footage, Frame, gather
from pipelines.artists.layers.document import frames_of
from pipelines.artists.layers.krita import read_krita
from pipelines.artists.layers.openraster import read_openraster
from pipelines.sources.stored import ending

LAYERED_EXTENSIONS = (".psd", ".psb", ".ora", ".kra")


def read_layers(path: str, canvas_px: int, num_frames: range) -> Footage:
    """The canvas after each visible layer of a document, from the bottom to the top, beginning with white paper.

    A layer that changes nothing gives no frame. The last canvas must equal the merged picture that was saved with the
    layers, so that unread parts of a document (filters, unknown blending) are not lost silently.

    Args:
        path: path or URL.
        canvas_px, num_frames: see `footage.gather`.

    Raises:
        RefusedPicture: if it cannot be read, or its layers make another picture.
        StorageFault: if the storage fails.
    """
    return gather(_frames(path), canvas_px, num_frames)


def _frames(path: str) -> Iterator[Frame]:
    if ending(posixpath.basename(path)) in (".psd", ".psb"):
        from pipelines.artists.layers.photoshop import (
            canvases_of,
            merged_picture,
            opened_photoshop,
            parts_in_question,
        )

        with opened_photoshop(path) as photoshop:
            unread = parts_in_question(photoshop)
            yield from frames_of(canvases_of(photoshop), merged_picture(photoshop), unread)
        return
    with opened_archive(path) as archive:
        read = read_openraster if "stack.xml" in archive.names else read_krita
        document = read(archive)
        yield from frames_of(document.canvases(), document.merged, document.unread)
