"""Archives of painvidpro: one HDF5 file a video, its frames as JPEG in the order of time.

As `DynamicVideoArchive` writes them: https://github.com/Markus-Pobitzer/painvidpro, `frame_data.h5` in a folder
`SOURCE/ID` a video; `frames` holds the frames that were cut free of hands and tools, `reference_frames` pictures that
models made of the last one, which are passed over.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pipelines.artists.footage import Footage, Frame, gather
from pipelines.sources.captions import text_line
from pipelines.sources.decode import MAX_PIXELS, decode
from pipelines.sources.reading import PatientFile, read_patiently
from pipelines.sources.source import RefusedPicture, StorageFault
from renderers.painting import to_uint8
from training.data.storage import open_storage

if TYPE_CHECKING:
    from h5py import Dataset, File

HDF5_EXTENSIONS = (".h5", ".hdf5")

_FRAMES, _EXCLUDED, _TAGS = "frames", "exclude_video", "reference_frame_tags"
_MOST_FRAME_BYTES = 1 << 26
_OWN_FILTERS = range(1, 7)  # those of the library itself: others are plugins, which it would look for on the disk


def read_archive(path: str, canvas_px: int, num_frames: range) -> Footage:
    """The frames of an archive.

    Args:
        path: path or URL.
        canvas_px, num_frames: see `footage.gather`.

    Raises:
        RefusedPicture: if it is damaged or none, keeps its frames elsewhere, or its author excluded it.
        StorageFault: if the storage fails.
    """

    def frames() -> Iterator[Frame]:
        with _opened(path) as file:
            if file.attrs.get(_EXCLUDED, False):
                raise RefusedPicture(f"its author excluded it ({_EXCLUDED})")
            dataset = _frames_in(file)
            for number in range(len(dataset)):
                data = bytes(dataset[number])
                if len(data) > _MOST_FRAME_BYTES:
                    raise RefusedPicture(f"frame {number} is of {len(data)} bytes, more than {_MOST_FRAME_BYTES}")
                try:
                    yield to_uint8(decode(data, max_pixels=MAX_PIXELS))
                except RefusedPicture as error:
                    raise RefusedPicture(f"frame {number}: {error}") from error

    return gather(frames(), canvas_px, num_frames)


def archive_caption(path: str) -> str | None:
    """What a tagger of painvidpro said of the finished painting; None where there is none, or it cannot be read.

    Raises:
        StorageFault: if the storage fails.
    """
    try:
        with _opened(path) as file:
            tags = json.loads(file.attrs.get(_TAGS, "[]"))
            return text_line(tags[0]["tag"]) if tags else None
    except (RefusedPicture, ValueError, TypeError, KeyError, RecursionError):
        return None


@contextmanager
def _opened(path: str) -> Iterator["File"]:
    try:
        import h5py
    except ImportError:
        raise RefusedPicture("HDF5 needs: pip install 'process-painter[import]'") from None
    filesystem, locator = open_storage(path)
    with read_patiently(lambda: filesystem.open(locator, "rb"), path) as opened:
        patient = PatientFile(opened, path)
        try:
            with h5py.File(patient, "r") as file:
                yield file
        except (RefusedPicture, StorageFault, MemoryError):
            raise
        except Exception as error:  # what the library raises on hostile bytes has no common class
            reason = " ".join(str(error).split()) or type(error).__name__
            raise patient.fault or RefusedPicture(f"damaged, or not an HDF5 file ({reason[:200]})") from error


def _frames_in(file: "File") -> "Dataset":
    """The frames of an archive, which must lie in this file and need none of the disk's plugins.

    Raises:
        RefusedPicture: if it has none, or they lie elsewhere.
    """
    import h5py

    link: Any = file.get(_FRAMES, getlink=True)
    if not isinstance(link, h5py.HardLink):
        what = "has no frames" if link is None else "its frames are a link to elsewhere"
        raise RefusedPicture(f"not an archive of painvidpro: {what}")
    dataset = file[_FRAMES]
    if not isinstance(dataset, h5py.Dataset) or dataset.ndim != 1 or h5py.check_vlen_dtype(dataset.dtype) != "uint8":
        raise RefusedPicture("not an archive of painvidpro: its frames are not bytes of pictures")
    if dataset.external or dataset.is_virtual:
        raise RefusedPicture("not an archive of painvidpro: its frames lie in other files")
    properties = dataset.id.get_create_plist()
    filters = [properties.get_filter(number)[0] for number in range(properties.get_nfilters())]
    if any(code not in _OWN_FILTERS for code in filters):
        raise RefusedPicture("its frames are compressed by a plugin")
    return dataset
