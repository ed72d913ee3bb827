"""What logs people in is used, and neither shown nor kept."""

import json
from pathlib import Path

import fsspec
import pytest

from conf.command import Summary, command
from conf.errors import UserError
from conf.printable import printable, without_secrets
from conf.progress import tell
from conf.recipe import plain_containers
from pipelines.sources.source import SourceEntry
from pipelines.sources.webdataset import WebDatasetSource
from pipelines.synthesis.config import synth_config
from tests.fuzz.mutations import tar
from tests.pipelines.runs import PAINT_FAST, save_picture, synth
from tests.pipelines.small_dataset import small_dataset
from tests.security.hostile import SECRETS
from training.data.dataset import read_card
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
