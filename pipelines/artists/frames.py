"""Folders of numbered pictures."""

import posixpath
from collections.abc import Iterator, Sequence

from pipelines.artists.footage import Footage, Frame, gather
from pipelines.sources.decode import MAX_PIXELS, decode
from pipelines.sources.reading import read_patiently
from pipelines.sources.source import RefusedPicture
from pipelines.sources.stored import printable
from renderers.painting import to_uint8
from training.data.storage import open_storage


def read_frames(folder: str, names: Sequence[str], canvas_px: int, num_frames: range) -> Footage:
    """The pictures of a folder, in the order of their numbers.

    Args:
        folder: path or URL.
        names: names of its pictures, in order.
        canvas_px, num_frames: see `footage.gather`.

    Raises:
        RefusedPicture: if one is not a picture, or they differ in size; it names the file.
    """

    def pictures() -> Iterator[Frame]:
        first: tuple[str, Frame] | None = None
        for file_name in names:
            name = printable(file_name)
            frame = read_picture(posixpath.join(folder, file_name), name)
            first = first or (name, frame)
            if frame.shape != first[1].shape:
                sizes = [f"{what} has {one.shape[1]}x{one.shape[0]} px" for what, one in (first, (name, frame))]
                raise RefusedPicture("mixed sizes: " + ", ".join(sizes))
            yield frame

    return gather(pictures(), canvas_px, num_frames)


def read_picture(path: str, name: str) -> Frame:
    """(H, W, 3) uint8 pixels of a picture file.

    Raises:
        RefusedPicture: if it cannot be read or decoded; it names the file.
        StorageFault: if the storage fails.
    """
    filesystem, locator = open_storage(path)
    try:
        data = read_patiently(lambda: bytes(filesystem.cat_file(locator)), path)
        return to_uint8(decode(data, max_pixels=MAX_PIXELS))
    except RefusedPicture as error:
        raise RefusedPicture(f"{name}: {error}") from error
