"""Reads an archive of painvidpro from stdin, in a process of its own: damaged HDF5 can keep its library busy forever.

It is run by its path, so that it imports no other module of this program; `hdf5` starts it. To stdout it writes a line
of JSON, then the frames, each with its length in 8 bytes before it:

    python -P hdf5_process.py caption|frames MOST_CPU_S < frame_data.h5
"""

import io
import json
import resource
import sys
from typing import Any

_FRAMES, _EXCLUDED, _TAGS = "frames", "exclude_video", "reference_frame_tags"
_MOST_MEMORY_BYTES = 8 << 30
_OWN_FILTERS = range(1, 7)  # built into the library; other filters are plugins, which it would search on the disk


class _Refused(Exception):
    """The file is no such archive."""


def main() -> None:
    """Write the answer for any file; it is a line `{"refused": REASON}` if frames cannot be given."""
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
                _answer(tags=_tags(file))
            else:
                _write_frames(file)
    except _Refused as refused:
        _answer(refused=str(refused))
    except Exception as error:  # the exceptions of the library on malformed bytes have no common class
        reason = " ".join(str(error).split()) or type(error).__name__
        _answer(refused=f"damaged, or not an HDF5 file ({reason[:200]})")


def _attribute(file: Any, name: str, default: object) -> object:
    """An attribute as a plain value: writers store text also as bytes, and values as arrays of one."""
    value: Any = file.attrs.get(name, default)
    if getattr(value, "size", None) == 1:
        value = value.item()
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _tags(file: Any) -> str:
    return str(_attribute(file, _TAGS, "[]"))


def _is_excluded(file: Any) -> bool:
    value = _attribute(file, _EXCLUDED, False)
    if isinstance(value, str):
        value = {"true": True, "1": True, "false": False, "0": False, "": False}.get(value.strip().lower())
    if not isinstance(value, bool | int | float):
        raise _Refused(f"its {_EXCLUDED} is neither true nor false")
    return bool(value)


def _write_frames(file: Any) -> None:
    if _is_excluded(file):
        raise _Refused(f"its author excluded it ({_EXCLUDED})")
    dataset = _frames_in(file)
    pictures = [bytes(dataset[number]) for number in range(len(dataset))]
    _answer(frames=len(pictures))
    for picture in pictures:
        sys.stdout.buffer.write(len(picture).to_bytes(8, "big") + picture)


def _frames_in(file: Any) -> Any:
    """The frames of an archive, which must be stored in this file and need no plugins to decompress."""
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
