"""A URL where a local path is wanted is refused: `Path` would make a folder called `s3:` of it, without a word."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from conf.compose import compose
from conf.errors import ConfigError

COMMANDS = {
    "synth": ("pipelines.synthesis.config:synth_config", {"out"}),
    "ingest": ("pipelines.ingest:ingest_config", {"out"}),
    "encode": ("pipelines.encode:encode_config", {"out"}),
    "evaluate": ("pipelines.evaluate:evaluate_config", {"generated", "reference", "out"}),
    "gallery": ("pipelines.gallery:gallery_config", {"dataset"}),
    "status": ("pipelines.status:status_config", {"dataset"}),
    "verify": ("pipelines.verify:verify_config", {"dataset"}),
    "paint": ("pipelines.painting.config:paint_config", {"out", "image", "painter"}),
    "assemble": ("training.assemble:assemble_config", {"out", "base", "motion"}),
    "train": ("training.config:train_config", {"out", "base", "motion"}),
}
NEEDED = {
    "ingest": ["source.path=x", "layout=video", "out=x"],
    "encode": ["dataset=x", "out=x"],
    "evaluate": ["generated=x", "reference=y", "out=x"],
    "gallery": ["dataset=x"],
    "status": ["dataset=x"],
    "verify": ["dataset=x"],
    "paint": ["task=reconstruct", "image=x.png", "out=x"],
    "assemble": ["out=x", "base=x", "motion=y"],
    "train": ["data=x", "out=x", "base=x", "motion=x", "stage=motion"],
}


def configure(command: str) -> Callable[[dict[str, Any]], object]:
    module, name = COMMANDS[command][0].split(":")
    function: Callable[[dict[str, Any]], object] = getattr(import_module(module), name)
    return function


@pytest.mark.parametrize(
    ("command", "key"), [(command, key) for command, (_, keys) in COMMANDS.items() for key in sorted(keys)]
)
@pytest.mark.parametrize("url", ["s3://bucket/x", "memory://x", "file:///tmp/x", "simplecache::gs://bucket/x"])
def test_urls_for_local_folders_and_files_are_refused_by_key(command: str, key: str, url: str) -> None:
    words = [word for word in NEEDED.get(command, []) if not word.startswith(f"{key}=")]
    with pytest.raises(ConfigError) as caught:
        configure(command)(compose(command, [*words, f"{key}={url}"]))
    assert caught.value.key == key and str(caught.value).startswith(f"{key}={url}: not allowed; allowed: a local path")


@pytest.mark.parametrize("path", ["a:b", "/tmp/a:b/c", "s3:/bucket", "x//y"])
def test_paths_that_only_look_like_urls_are_paths(path: str) -> None:
    from conf.compose import local_path

    assert local_path(path, "out") == Path(path)
