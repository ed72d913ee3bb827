"""Sources of pictures. A kind of source is looked up by its name, and its module is imported only then."""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from conf.errors import ConfigError

if TYPE_CHECKING:
    from pipelines.sources.source import Source

SOURCES: Mapping[str, str] = {
    "scenes": "pipelines.sources.scenes:ScenesSource",
    "folder": "pipelines.sources.folder:FolderSource",
    "webdataset": "pipelines.sources.webdataset:WebDatasetSource",
    "parquet": "pipelines.sources.parquet:ParquetSource",
    "hf": "pipelines.sources.hub:HubSource",
}
"""Kind of source -> `module:Class`."""


def source_class(kind: str) -> "type[Source]":
    """The class of a kind of source; its fields are the source's configuration.

    Raises:
        ConfigError: if there is no such kind.
    """
    if kind not in SOURCES:
        raise ConfigError("kind", kind, f"one of {', '.join(sorted(SOURCES))}")
    module, name = SOURCES[kind].split(":")
    source: type[Source] = getattr(import_module(module), name)
    return source
