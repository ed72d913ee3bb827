"""One file that a user names, by a path or a URL."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from conf.errors import ConfigError, UserError
from conf.value import is_url
from pipelines.sources.decode import decode
from pipelines.sources.framing import WHITE, Ground
from pipelines.sources.reading import read_patiently
from pipelines.sources.source import RefusedPicture, StorageFault
from training.data.storage import open_storage

_MAX_PIXELS = 100_000_000


def read_picture(path: Path | str, ground: Ground = WHITE, key: str = "path") -> NDArray[np.float32]:
    """Read and decode a picture file.

    Args:
        path: a local path, or any URL that fsspec opens.
        ground: colour that shows through transparent places.
        key: the key that names it, for messages.

    Returns:
        (H, W, 3) sRGB in [0, 1], upright.

    Raises:
        ConfigError: if it is a folder.
        UserError: if it cannot be read, in one line that names it.
    """
    if not is_url(str(path)) and Path(path).is_dir():
        raise ConfigError(key, path, "one picture; this is a folder")
    data = read_bytes(path, key)
    try:
        return decode(data, max_pixels=_MAX_PIXELS, ground=ground)
    except RefusedPicture as refused:
        raise UserError(f"{path}: not a picture that can be read ({refused})") from refused


def read_bytes(path: Path | str, key: str = "path") -> bytes:
    """The bytes of a file; a local path, or any URL that fsspec opens.

    Raises:
        UserError: if it cannot be read, in one line that names it.
    """
    name = str(path)
    # A `Path` is made absolute, as a text `~` would be the home folder and not a folder of that name.
    filesystem, locator = open_storage(str(path.absolute()) if isinstance(path, Path) else name, key)
    try:
        return bytes(read_patiently(lambda: filesystem.cat_file(locator), name))
    except StorageFault as fault:
        raise UserError(str(fault)) from fault
    except RefusedPicture as refused:
        raise UserError(f"{path}: {refused}") from refused
