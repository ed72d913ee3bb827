"""What a URL becomes behind each key that takes a path: a place in a store, or one line of refusal.

Never a local one: `Path` would make a folder called `s3:` of it, without a word.
"""

import ast
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from conf.compose import compose
from conf.errors import ConfigError
from training.data.remote import RemotePath

COMMANDS = {
    "synth": ("pipelines.synthesis.config:synth_config", set()),
    "ingest": ("pipelines.ingest:ingest_config", set()),
    "encode": ("pipelines.encode:encode_config", set()),
    "evaluate": ("pipelines.evaluate:evaluate_config", {"generated", "reference", "out"}),
    "gallery": ("pipelines.gallery:gallery_config", set()),
    "status": ("pipelines.status:status_config", set()),
    "verify": ("pipelines.verify:verify_config", set()),
    "paint": ("pipelines.inference.config:paint_config", {"out", "image"}),
    "assemble": ("training.assemble:assemble_config", {"out"}),
    "train": ("training.config:train_config", set()),
}
REMOTE = [
    ("synth", "out"), ("ingest", "out"), ("encode", "out"), ("gallery", "dataset"), ("status", "dataset"),
    ("verify", "dataset"), ("paint", "painter"), ("assemble", "base"), ("assemble", "motion"), ("train", "out"),
    ("train", "base"), ("train", "motion"),
]  # fmt: skip
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


@pytest.mark.parametrize(("command", "key"), REMOTE)
def test_urls_of_data_sets_runs_and_painters_are_places_in_a_store(command: str, key: str) -> None:
    words = [word for word in NEEDED.get(command, []) if not word.startswith(f"{key}=")]
    config = configure(command)(compose(command, [*words, f"{key}=s3://bucket/x/"]))
    assert getattr(config, key) == RemotePath("s3://bucket/x")


def test_memory_is_refused_where_other_processes_write() -> None:
    with pytest.raises(ConfigError, match="a place that other processes see, or cluster=inline"):
        configure("synth")(compose("synth", ["out=memory://x"]))
    configure("synth")(compose("synth", ["out=memory://x", "cluster=inline"]))


@pytest.mark.parametrize("url", ["nosuch://bucket/x", "simplecache::memory://x/y", "file:///x", "memory://a:b@x/y"])
def test_urls_that_no_store_answers_to_are_refused_by_key(url: str) -> None:
    with pytest.raises(ConfigError, match=r"allowed: a local path,? or ") as caught:
        configure("verify")(compose("verify", [f"dataset={url}"]))
    assert caught.value.key == "dataset"


@pytest.mark.parametrize("path", ["a:b", "/tmp/a:b/c", "./s3:/bucket", "x//y", "file:x", "s3", "s3x:y"])
def test_paths_that_only_look_like_urls_are_paths(path: str) -> None:
    from conf.value import local_path

    assert local_path(path, "out") == Path(path)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("s3:/bucket/x", "s3://bucket/x"), ("s3:bucket/x", "s3://bucket/x"), (" s3://bucket/x", "s3://bucket/x"),
        ("https:/host/x", "https://host/x"), ("S3:\\bucket", "S3://\\bucket"), ("hf:user/set", "hf://user/set"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(("command", "key"), [("synth", "out"), ("verify", "dataset"), ("train", "base")])
def test_a_url_with_a_typing_error_is_no_local_folder(command: str, key: str, typed: str, meant: str) -> None:
    words = [word for word in NEEDED.get(command, []) if not word.startswith(f"{key}=")]
    with pytest.raises(ConfigError) as caught:
        configure(command)(compose(command, [*words, f"{key}={typed}"]))
    assert caught.value.key == key
    assert f"allowed: {meant}, or ./" in str(caught.value)


@pytest.mark.parametrize("path", ["~nobody-of-that-name/a.png", "~a.png", "./~"])
def test_a_path_that_begins_with_a_tilde_and_names_no_user_is_as_it_stands(path: str) -> None:
    from conf.value import local_path

    assert local_path(path, "image") == Path(path)


def test_home_folders_are_looked_up_in_one_place() -> None:
    """Elsewhere `Path.expanduser` would fail where there is no such user, and take a folder called `~` for another."""
    root = Path(__file__).parents[2]
    looking_up = {
        str(path.relative_to(root))
        for package in ("conf", "integrations", "pipelines", "process_painter", "renderers", "training")
        for path in (root / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "expanduser"
    }
    assert looking_up == {"conf/value.py"}


@pytest.mark.parametrize(("path", "message"), [("a\udcff", "text in UTF-8"), ("a\0b", "zero byte")])
def test_a_path_that_no_file_can_have_is_refused_by_key(path: str, message: str) -> None:
    """Such come from YAML files and from other programs; a shell passes no zero byte."""
    from conf.value import local_path

    with pytest.raises(ConfigError, match=message) as caught:
        local_path(path, "image")
    assert caught.value.key == "image"


@pytest.mark.parametrize(
    ("command", "key"), [("synth", "out"), ("evaluate", "reference"), ("gallery", "dataset"), ("paint", "image")]
)
@pytest.mark.parametrize(("name", "message"), [("loop", "link"), ("a" * 300, "too long")], ids=["loop", "long"])
def test_a_path_that_cannot_be_looked_at_is_refused_by_key(
    command: str, key: str, name: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "loop").symlink_to("loop")
    words = [word for word in NEEDED.get(command, []) if not word.startswith(f"{key}=")]
    with pytest.raises(ConfigError) as caught:
        configure(command)(compose(command, [*words, f"{key}={tmp_path / name}"]))
    assert caught.value.key == key and message in caught.value.allowed
