"""Storage of any kind, local or remote, named by a path or an fsspec URL."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.utils import get_protocol

from conf.errors import ConfigError, UserError

# botocore would wait out every fault by itself, in each of the tries of s3fs, in each of ours: minutes for one request.
_S3 = {"config_kwargs": {"retries": {"mode": "standard", "total_max_attempts": 1}, "connect_timeout": 10}}
_OPTIONS: dict[str, dict[str, Any]] = {"s3": _S3, "s3a": _S3}


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
            # A listing that is kept would hide what other processes have written since.
            filesystem, root = url_to_fs(path, use_listings_cache=False, **_OPTIONS.get(get_protocol(path), {}))
        except ImportError as error:
            allowed = "a local path, or a URL whose package is there: pip install 'process-painter[remote]'"
            allowed += f" ({_reason(error)})"
            raise ConfigError(key, path, allowed) from error
        except ValueError as error:
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
