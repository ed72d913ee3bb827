"""Storage of any kind, local or remote, named by a path or an fsspec URL."""

from collections.abc import Iterator
from contextlib import contextmanager

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs

from conf.errors import ConfigError, UserError


def open_storage(path: str, key: str = "path") -> tuple[AbstractFileSystem, str]:
    """The filesystem of a path or URL, and the path within it.

    Raises:
        ConfigError: if the protocol is unknown, not installed, or would run a command.
        UserError: if the storage cannot be reached.
    """
    if any(link.strip().lower().startswith("pipe:") for link in path.split("::")):
        raise ConfigError(key, path, "a path or URL to read from; pipe: would run a shell command")
    if not path.strip():
        raise ConfigError(key, path, "a path or URL")
    with naming(path):
        try:
            filesystem, root = url_to_fs(path)
        except (ValueError, ImportError) as error:
            raise ConfigError(key, path, f"a local path or a URL that fsspec can open ({_reason(error)})") from error
    return filesystem, root


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Turn a fault of the storage into one line that names what could not be read.

    Wrap reads only: clients of remote storage raise whatever they like, so everything is caught.

    Raises:
        UserError: in place of anything else that was raised.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{path}: cannot be read ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
