"""Reads an archive of painvidpro from stdin in a process of its own: damaged HDF5 can keep its library busy for ever.

Run by its path, so that it imports nothing of ours; see `hdf5`, which starts it. To stdout it writes a line of JSON,
then the frames, each with its length in 8 bytes before it:

    python -P hdf5_process.py caption|frames MOST_CPU_S < frame_data.h5
"""

import io
import json
import resource
import sys
from typing import Any

_FRAMES, _EXCLUDED, _TAGS = "frames", "exclude_video", "reference_frame_tags"
_MOST_MEMORY_BYTES = 8 << 30
_OWN_FILTERS = range(1, 7)  # those of the library itself: others are plugins, which it would look for on the disk


class _Refused(Exception):
    """The file is no such archive."""


def main() -> None:
    """Answer, whatever the file holds; a line `{"refused": REASON}` where there are no frames to give."""
    what, most_cpu_s = sys.argv[1], int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_CPU, (most_cpu_s, most_cpu_s))
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY_BYTES, _MOST_MEMORY_BYTES))
    try:
        import h5py
    except ImportError:
        _answer(refused="HDF5 needs: pip install 'process-painter[import]'")
        return
    try:
        with h5py.File(io.BytesIO(sys.stdin.buffer.read()), "r") as file:
            if what == "caption":
                _answer(tags=str(file.attrs.get(_TAGS, "[]")))
            else:
                _give_frames(file)
    except _Refused as refused:
        _answer(refused=str(refused))
    except Exception as error:  # what the library raises on hostile bytes has no common class
        reason = " ".join(str(error).split()) or type(error).__name__
        _answer(refused=f"damaged, or not an HDF5 file ({reason[:200]})")


def _give_frames(file: Any) -> None:
    if file.attrs.get(_EXCLUDED, False):
        raise _Refused(f"its author excluded it ({_EXCLUDED})")
    dataset = _frames_in(file)
    pictures = [bytes(dataset[number]) for number in range(len(dataset))]
    _answer(frames=len(pictures))
    for picture in pictures:
        sys.stdout.buffer.write(len(picture).to_bytes(8, "big") + picture)


def _frames_in(file: Any) -> Any:
    """The frames of an archive, which must lie in this file and need none of the disk's plugins."""
    import h5py

    link = file.get(_FRAMES, getlink=True)
    if not isinstance(link, h5py.HardLink):
        reason = "has no frames" if link is None else "its frames are a link to elsewhere"
        raise _Refused(f"not an archive of painvidpro: {reason}")
    dataset = file[_FRAMES]
    if not isinstance(dataset, h5py.Dataset) or dataset.ndim != 1 or h5py.check_vlen_dtype(dataset.dtype) != "uint8":
        raise _Refused("not an archive of painvidpro: its frames are not bytes of pictures")
    if dataset.external or dataset.is_virtual:
        raise _Refused("not an archive of painvidpro: its frames lie in other files")
    properties = dataset.id.get_create_plist()
    filters = [properties.get_filter(number)[0] for number in range(properties.get_nfilters())]
    if any(code not in _OWN_FILTERS for code in filters):
        raise _Refused("its frames are compressed by a plugin")
    return dataset


def _answer(**fields: object) -> None:
    sys.stdout.buffer.write(json.dumps(fields).encode() + b"\n")


if __name__ == "__main__":
    main()
