"""Credentials are used, and neither shown nor stored."""

import dataclasses
import json
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import fsspec
import pytest

from conf.command import Summary, command
from conf.compose import compose
from conf.errors import UserError
from conf.printable import printable, without_secrets
from conf.progress import tell
from conf.recipe import plain_containers
from conf.value import HOME
from pipelines.sources.source import SourceEntry
from pipelines.sources.webdataset import WebDatasetSource
from pipelines.synthesis.config import synth_config
from tests.conf.test_defaults import COMMANDS as CONFIGURED
from tests.conf.test_every_key import COMMANDS, configured, words_for
from tests.fuzz.mutations import tar
from tests.pipelines.runs import PAINT_FAST, save_picture, synth
from tests.pipelines.small_dataset import small_dataset
from tests.security.hostile import SECRETS
from training.data.dataset import read_card
from training.data.remote import RemotePath
from training.data.split import open_split


@pytest.mark.parametrize(("given", "kept"), SECRETS)
def test_passwords_and_tokens_are_neither_shown_nor_kept(
    given: str, kept: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert without_secrets(given) == kept and printable(f"x {given} y") == f"x {kept} y"
    assert plain_containers(WebDatasetSource(path=given))["path"] == kept
    assert SourceEntry(id=given, sha256="", locator=given).id == kept
    assert SourceEntry(id=given, sha256="", locator=given).locator == given

    def refuse(_: dict[str, object]) -> None:
        raise UserError(f"{given}: cannot be read ({given})")

    command("synth", refuse, lambda _: Summary(lines=()), "A test.", [])
    command("synth", lambda _: None, lambda _: Summary(lines=(given,)), "A test.", [])
    tell(given)
    output = capsys.readouterr()
    assert "s3cret" not in output.out + output.err and kept in output.out and kept in output.err


@pytest.mark.parametrize(
    "text",
    ["https://host/a@b.tar", "/data/ann@home/a.tar", "a=b&c=d", "photo?.png", "user@host:/x", "https://host/?q=1"],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert without_secrets(text) == text


def test_a_configuration_is_shown_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    overrides = ["source=webdataset", "source.path=https://ann:s3cret@host/a.tar?sig=s3cret", "out=o", "--cfg", "job"]
    assert command("synth", synth_config, lambda _: Summary(lines=()), "A test.", overrides) == 0
    assert "s3cret" not in capsys.readouterr().out


def test_no_file_of_a_data_set_tells_how_its_pictures_were_reached(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_picture(tmp_path / "sound.png", 1)
    members = [("a.png", (tmp_path / "sound.png").read_bytes()), ("b.png", b"torn")]
    place = "memory://tars/a.tar?token=s3cret"
    with fsspec.open(place, "wb") as file:
        file.write(tar(members))
    out = tmp_path / "data"
    overrides = (*PAINT_FAST, "cluster=inline", "source=webdataset", f"source.path={place}", f"out={out}")
    assert synth(*overrides) == 3
    stored = [path for path in out.rglob("*") if path.is_file()]
    assert len(stored) > 5 and not [path for path in stored if b"s3cret" in path.read_bytes()]
    assert "token=***" in json.dumps(read_card(out).recipe)
    output = capsys.readouterr()
    assert "s3cret" not in output.out + output.err


def test_cards_of_runs_name_their_data_without_secrets(tmp_path: Path) -> None:
    root = small_dataset(tmp_path / "data?token=s3cret")
    assert open_split(str(root), "train").name == "data?token=***"


@pytest.mark.parametrize("command_words", COMMANDS)
@pytest.mark.parametrize("url", ["s3://ann:s3cret@bucket/x", "memory://ann:s3cret@x/y", "tar::gs://ann:s3cret@x/y.tar"])
def test_no_key_that_names_a_place_takes_a_password_of_a_store(command_words: str, url: str) -> None:
    """Stores read credentials from the environment, and would print this one as part of a bucket's name."""
    accepted = [word for word in words_for(command_words, url) if "s3cret" in places(configured(command_words, word))]
    assert not accepted


@pytest.mark.parametrize("command_words", COMMANDS)
def test_what_is_said_of_a_refused_password_does_not_hold_it(command_words: str) -> None:
    name, *base = command_words.split()
    for word in words_for(command_words, "s3://ann:s3cret@bucket/x"):
        try:
            CONFIGURED[name][0](compose(name, [*base, word]))
        except UserError as error:
            assert "s3cret" not in printable(str(error)), word


def test_data_sets_and_bases_are_read_without_a_password_and_pictures_with_that_of_a_server() -> None:
    plain, server = "https://host/a.tar", "https://ann:s3cret@host/a.tar"
    synth_words = "synth renderer=oil source=webdataset source.path=a.tar"
    for picture_key in (f"{synth_words} source.path", "ingest layout=grid out=b source.path", "film out=a.mp4 picture"):
        assert configured(f"{picture_key}={server}") is not None
    data_words = "train stage=motion base=c out=b data"
    for key in (
        data_words,
        "encode base=c out=b dataset",
        "encode dataset=a out=b base",
        "paint task=complete dataset",
    ):
        assert configured(f"{key}={plain}") is not None and configured(f"{key}={server}") is None, key
    assert configured(f"{data_words}=[{{path:{server},weight:2}}]") is None


def places(value: Any) -> str:
    """All paths and URLs in a configuration, as one text."""
    return " ".join(_places(value))


def _places(value: Any, hint: Any = None) -> Iterator[str]:
    if isinstance(value, RemotePath):
        yield value.url
    elif isinstance(value, str):
        hints = (hint, *typing.get_args(hint))
        if any(typing.get_origin(each) is Annotated and HOME in typing.get_args(each) for each in hints):
            yield value
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        field_hints = typing.get_type_hints(type(value), include_extras=True)
        for field in dataclasses.fields(value):
            yield from _places(getattr(value, field.name), field_hints[field.name])
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _places(item)
