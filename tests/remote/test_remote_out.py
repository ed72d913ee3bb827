"""`out=` in an object store, of commands that write local files."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conf.command import Summary
from conf.compose import typed
from conf.errors import ConfigError, UserError
from training.data.remote import RemotePath
from training.data.remote_claim import is_claim
from training.data.staging import UNFINISHED, to_stores

Run = Callable[..., Summary]


@dataclass(frozen=True)
class _Config:
    out: Path
    content: str
    overwrite: bool


def _configure(plain: dict[str, Any]) -> _Config:
    return typed(_Config, {"overwrite": False, **plain})


def _make_folder(config: _Config) -> Summary:
    """As an evaluation does: it refuses what it has not made, keeps what is there, and names a file and a page."""
    config.out.mkdir(parents=True, exist_ok=True)
    if config.content == "refused":
        raise UserError(f"out={config.out}: of other data")
    for name in ("mark.json", "index.html", "a/frame.png"):
        (config.out / name).parent.mkdir(exist_ok=True)
        (config.out / name).write_text(config.content)
    return Summary(lines=(f"{config.out}/mark.json; look at {(config.out / 'index.html').resolve().as_uri()}",))


def _make_file(config: _Config) -> Summary:
    config.out.write_text(config.content)
    return Summary(lines=(str(config.out),))


@pytest.fixture(params=["s3", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RemotePath:
    """A new place in a store; the cache is one of the test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = request.getfixturevalue("bucket") if request.param == "s3" else f"memory://{uuid.uuid4().hex}"
    return RemotePath(f"{root}/results/one")


def run(place: RemotePath, content: str, make: Callable[[_Config], Summary] = _make_folder, **keys: Any) -> Summary:
    mark = "mark.json" if make is _make_folder else None
    configure, run_staged = to_stores(_configure, make, mark=mark)
    return run_staged(configure({"out": place.url, "content": content, **keys}))


def content_of(place: RemotePath) -> dict[str, str]:
    return {name: (place / name).read_bytes().decode() for name in place.tree() if not is_claim(place / name)}


def whole(content: str) -> dict[str, str]:
    return dict.fromkeys(("mark.json", "index.html", "a/frame.png"), content)


def test_a_folder_is_put_in_place_made_again_and_named(place: RemotePath, tmp_path: Path) -> None:
    for content in ("one", "two"):
        (line,) = run(place, content).lines
        assert line == f"{place}/mark.json; look at {place}/index.html"
        assert content_of(place) == whole(content)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_file_is_put_in_place_and_replaced_only_when_that_is_said(place: RemotePath) -> None:
    assert run(place, "one", _make_file).lines == (str(place),)
    with pytest.raises(ConfigError, match="a new file, or say overwrite=true"):
        run(place, "two", _make_file)
    for no in ("False", "no", "off"):  # texts, as they come from a command line
        with pytest.raises(ConfigError):
            run(place, "two", _make_file, overwrite=no)
    assert place.read_bytes() == b"one"
    run(place, "two", _make_file, overwrite=True)
    assert place.read_bytes() == b"two"


@pytest.mark.parametrize("make", [_make_folder, _make_file])
def test_what_is_not_of_the_command_is_not_touched(place: RemotePath, make: Callable[[_Config], Summary]) -> None:
    (place / "theirs.txt").write_bytes(b"theirs")
    with pytest.raises(ConfigError, match="a new or empty folder"):
        run(place, "one", make, overwrite=True)
    assert content_of(place) == {"theirs.txt": "theirs"}


def test_what_the_command_itself_refuses_is_said_of_the_url_and_stays(place: RemotePath, tmp_path: Path) -> None:
    run(place, "one")
    with pytest.raises(UserError, match=f"^out={place}: of other data$"):
        run(place, "refused")
    assert content_of(place) == whole("one")


@pytest.mark.parametrize("uploads", range(3))
def test_a_command_killed_while_files_go_up_leaves_no_valid_result_and_is_done_by_the_next(
    place: RemotePath, uploads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload, left = RemotePath.upload, [uploads]

    def killed(self: RemotePath, file: Any) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        upload(self, file)

    with monkeypatch.context() as context, pytest.raises(KeyboardInterrupt):
        context.setattr(RemotePath, "upload", killed)
        run(place, "one")
    assert UNFINISHED in content_of(place) and "mark.json" not in content_of(place)
    run(place, "two")
    assert content_of(place) == whole("two")


@pytest.mark.parametrize("mark", ["mark.json", None])
def test_a_bucket_that_is_not_there_is_told_before_anything_is_made(
    store: object, mark: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def make(config: _Config) -> Summary:
        raise AssertionError("something is made")

    configure, run_staged = to_stores(_configure, make, mark=mark)
    with pytest.raises(UserError, match="cannot be written"):
        run_staged(configure({"out": "s3://not-there/one", "content": ""}))


def test_a_url_that_cannot_be_is_refused_before_anything_is_made() -> None:
    configure, _ = to_stores(_configure, _make_file)
    for url in ("nope://bucket/one", "s3://user:password@bucket/one", "simplecache::s3://bucket/one", "s3://"):
        with pytest.raises(ConfigError, match="out="):
            configure({"out": url, "content": ""})


def test_what_the_configuration_refuses_is_said_of_the_url(place: RemotePath) -> None:
    def refuse(plain: dict[str, Any]) -> _Config:
        raise ConfigError("out", plain["out"], "a file that ends in .mp4")

    configure, _ = to_stores(refuse, _make_file)
    with pytest.raises(UserError) as caught:
        configure({"out": place.url, "content": ""})
    assert str(caught.value) == f"out={place}: not allowed; allowed: a file that ends in .mp4"
