"""Storage of any kind, local or remote, named by a path or an fsspec URL."""

import errno
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem
from fsspec.utils import get_protocol

from conf.errors import ConfigError, UserError
from conf.value import at_home, is_url

# botocore would retry every fault too, within each try of s3fs, within each of ours: minutes for one request.
_S3 = {"config_kwargs": {"retries": {"mode": "standard", "total_max_attempts": 1}, "connect_timeout": 10}}
_OPTIONS: dict[str, dict[str, Any]] = {"s3": _S3, "s3a": _S3}


def open_storage(path: str, key: str = "path") -> tuple[AbstractFileSystem, str]:
    """The filesystem of a path or URL, and the path within it.

    fsspec is asked about URLs alone: it would take `file:` off the name of a local folder, and cut it at `::`.

    Raises:
        ConfigError: if the protocol is unknown, not installed, or would run a command.
        UserError: if the storage cannot be reached.
    """
    if any(link.strip().lower().startswith("pipe:") for link in path.split("::")):
        raise ConfigError(key, path, "a path or URL to read from; pipe: would run a shell command")
    if not path.strip():
        raise ConfigError(key, path, "a path or URL")
    if not is_url(path):
        return _LocalFiles(), str(Path(at_home(path)).absolute())
    with naming(path):
        try:
            # A cached listing would hide what other processes have written since.
            filesystem, root = url_to_fs(path, use_listings_cache=False, **_OPTIONS.get(get_protocol(path), {}))
        except ImportError as error:
            allowed = "a local path, or a URL whose package is there: pip install 'process-painter[remote]'"
            allowed += f" ({_reason(error)})"
            raise ConfigError(key, path, allowed) from error
        except ValueError as error:
            raise ConfigError(key, path, f"a local path or a URL that fsspec can open ({_reason(error)})") from error
    return _LocalFiles() if isinstance(filesystem, LocalFileSystem) else filesystem, root


class _LocalFiles(LocalFileSystem):  # type: ignore[misc]
    """The files of this machine. Pipes, sockets and devices are refused: to read one may never end."""

    def _open(self, path: str, mode: str = "rb", *arguments: Any, **options: Any) -> Any:
        if "r" in mode and stat.S_IFMT(Path(path).stat().st_mode) not in (stat.S_IFREG, stat.S_IFDIR):
            raise OSError(errno.EINVAL, "not a file", path)
        return super()._open(path, mode, *arguments, **options)


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
