"""A user's own YAML files beside those of the package: `--config-dir FOLDER`."""

from pathlib import Path
from typing import Any

import pytest

from conf.command import command
from conf.compose import compose
from pipelines.synthesis.config import synth_config

MINE = "defaults:\n  - oil\n  - _self_\nname: mine\nnum_strokes: 77       # so many\n"


@pytest.fixture(params=["mine", "a folder, with [all] (of) it's = signs"])
def own(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A folder with one renderer, `mine`."""
    folder = tmp_path / str(request.param)
    (folder / "renderer").mkdir(parents=True)
    (folder / "renderer" / "mine.yaml").write_text(MINE)
    return folder


def never(_: object) -> Any:
    raise AssertionError("it ran")


def cfg(*overrides: str) -> int:
    return command("synth", synth_config, never, "A test.", [*overrides, "--cfg", "job"])


def test_a_choice_of_ones_own_extends_one_that_comes_along(own: Path) -> None:
    renderer = compose("synth", ["renderer=mine", "renderer.preset=fast"], own)["renderer"]
    assert (renderer["family"], renderer["num_strokes"], renderer["preset"]) == ("brush", 77, "fast")
    with pytest.raises(Exception, match="renderer=mine: not allowed"):
        compose("synth", ["renderer=mine"])


@pytest.mark.parametrize("joined", [True, False])
def test_the_folder_is_named_on_the_command_line(own: Path, joined: bool, capsys: pytest.CaptureFixture[str]) -> None:
    named = [f"--config-dir={own}"] if joined else ["--config-dir", str(own)]
    assert cfg(*named, "renderer=mine") == 0
    assert "num_strokes: 77" in capsys.readouterr().out
    assert cfg("renderer=mine", *named) == 0


def test_help_shows_ones_own(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("synth", synth_config, never, "A test.", ["--config-dir", str(own), "--help"]) == 0
    told = capsys.readouterr().out
    assert "renderer=mine" in told and "renderer.num_strokes: 77       # so many" in told


def test_a_data_set_says_the_name_that_the_file_gives(own: Path) -> None:
    (renderer,) = synth_config(compose("synth", ["renderer=mine"], own)).renderers
    assert (renderer.name, renderer.config.num_strokes) == ("mine", 77)


def test_a_number_with_more_digits_than_can_be_read_is_one_line(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (own / "renderer" / "mine.yaml").write_text(MINE.replace("77", "7" * 5000))
    assert cfg("--config-dir", str(own), "renderer=mine") == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"error: --config-dir {own}: ") and "digits" in line


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["--config-dir"], "not a folder"),
        (["--config-dir", "nowhere"], "not a folder"),
        (["--config-dir=file"], "not a folder"),
        (["--config-dir", "own", "renderer=torn"], "--config-dir own: "),
        (["--config-dir", "own", "renderer=latin"], "--config-dir own: "),
    ],
)
def test_a_folder_that_will_not_do_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    overrides: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "own" / "renderer").mkdir(parents=True)
    (tmp_path / "own" / "renderer" / "torn.yaml").write_text("family: [brush\nnum_strokes: {")
    (tmp_path / "own" / "renderer" / "latin.yaml").write_bytes(b"family: caf\xe9\n")
    assert cfg(*overrides) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ") and message in line
