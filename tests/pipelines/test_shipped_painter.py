"""What comes with the package paints at once, and is what its card says."""

import json
from pathlib import Path

import pytest
from PIL import Image

from conf.command import command
from pipelines.inference.config import paint_config
from pipelines.paint import run
from pipelines.painters import painter_folder, shipped
from training.data.manifest import hash_file
from training.models.painter_folder import read_painter_card

TINY = painter_folder(Path("tiny"))


def test_tiny_is_shipped_and_its_name_is_no_path() -> None:
    assert "tiny" in shipped()
    assert TINY.is_absolute() and painter_folder(Path("./mine/tiny")) == Path("mine/tiny")


def test_it_is_whole_and_small() -> None:
    files = read_painter_card(TINY)["files"]
    assert all(hash_file(TINY / name) == facts["sha256"] for name, facts in files.items())
    assert sum(path.stat().st_size for path in TINY.rglob("*.safetensors")) <= 31_000_000


def test_it_was_trained_on_our_own_scenes_alone_and_says_how() -> None:
    parts = read_painter_card(TINY)["parts"]
    assert parts.keys() == {"words", "base", "motion", "replication", "codec"}
    for part in parts.values():
        data = part["licences"]["data"]
        assert {"alone", "scenes"} <= data.keys() <= {"alone", "scenes", "alone_drawn", "scenes_drawn"}
        assert all(terms.keys() == {"CC0-1.0"} for terms in data.values())
    for part in parts:
        card = json.loads((TINY / "run_cards" / f"{part}.json").read_text())
        assert card["stage"] == part and card["curves"]["val/loss"]


def test_it_paints_without_being_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overrides = ["prompt=a red house by a lake", "steps=2", "device=cpu", f"out={tmp_path / 'out'}"]
    assert command("paint", paint_config, run, "A test.", overrides) == 0
    assert "painted 8 frames" in capsys.readouterr().out
    with Image.open(tmp_path / "out" / "frames" / "07.png") as frame:
        assert frame.size == (128, 128)
