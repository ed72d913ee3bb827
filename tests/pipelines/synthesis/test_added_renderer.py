"""A renderer that is added from outside the package, as one folder: it makes data sets like all others."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import renderers
from conf.compose import compose
from conf.errors import ConfigError
from pipelines import synth, verify
from pipelines.synthesis.config import SynthConfig, synth_config
from tests.pipelines.runs import save_picture
from tests.renderers import added
from training.data.dataset import read_card
from training.data.manifest import read_manifest
from training.data.sequence import read_sequences

SMALL = ("size=64", "num_frames=4", "num_sequences=4", "shard_size=4", "val_fraction=0", "cluster=inline",
         "gallery=false")  # fmt: skip


@pytest.fixture(autouse=True)
def _squares_are_a_family(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renderers, "__path__", [*renderers.__path__, *added.__path__])


def batch_sizes() -> list[int]:
    sizes: list[int] = sys.modules["renderers.squares"].BATCH_SIZES
    return sizes


def configured(out: Path, *overrides: str, **keys: Any) -> SynthConfig:
    plain = compose("synth", [*SMALL, f"out={out}", *overrides])
    return synth_config(plain | {"renderer": {"family": "squares", "phrase": "painted in squares", **keys}})


@pytest.mark.parametrize("together", [False, True])
def test_it_paints_a_data_set_that_is_sound(together: bool, tmp_path: Path) -> None:
    config = configured(tmp_path / "out", together=together)
    before = len(batch_sizes())
    assert synth.run(config).exit_code == 0
    assert batch_sizes()[before:] == ([4] if together else [])
    assert verify.run(verify.VerifyConfig(dataset=tmp_path / "out")).exit_code == 0
    manifest = read_manifest(tmp_path / "out", read_card(tmp_path / "out").shards[0])
    assert manifest is not None
    sequence = next(iter(read_sequences(tmp_path / "out", manifest)))
    assert sequence.caption.endswith(", painted in squares")
    assert np.unique(sequence.frames()[0]).tolist() == [128]  # its ground is grey


def test_its_own_assets_are_read_checked_and_part_of_the_recipe(tmp_path: Path) -> None:
    Image.new("RGB", (16, 16), (255, 0, 0)).save(tmp_path / "red.png")
    (tmp_path / "note.txt").write_text("thin")
    config = configured(tmp_path / "out", palette=str(tmp_path / "red.png"), note=str(tmp_path / "note.txt"))
    assert set(config.renderers[0].assets.sha256) == {"palette", "note"}
    assert config.renderers[0].assets.content["note"] == b"thin"
    assert synth.run(config).exit_code == 0
    manifest = read_manifest(tmp_path / "out", read_card(tmp_path / "out").shards[0])
    assert manifest is not None
    assert next(iter(read_sequences(tmp_path / "out", manifest))).frames()[-1][..., 0].min() >= 127
    (tmp_path / "note.txt").write_text("")
    with pytest.raises(ConfigError, match=r"renderer\.note=.*: not allowed; allowed: a file that is not empty"):
        configured(tmp_path / "out", note=str(tmp_path / "note.txt"))
    with pytest.raises(ConfigError, match=r"renderer\.palette=.*allowed: a picture \("):
        configured(tmp_path / "out", palette=str(tmp_path / "note.txt"))
    with pytest.raises(ConfigError, match=r"renderer\.palette=.*a file that can be read"):
        configured(tmp_path / "out", palette=str(tmp_path / "none.png"))


def test_its_own_key_is_named_when_the_source_brings_no_labels(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    save_picture(tmp_path / "in" / "a.png", 1)
    source = ("source=folder", f"source.path={tmp_path / 'in'}")
    with pytest.raises(ConfigError) as caught:
        configured(tmp_path / "out", *source, by_object=True)
    assert str(caught.value) == (
        "renderer.by_object=true: not allowed; allowed: false: source=folder brings no label map"
    )
    assert synth.run(configured(tmp_path / "out", by_object=True)).exit_code == 0


def test_its_own_ranges_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"renderer\.num_along=1: not allowed; allowed: 2 to 64"):
        configured(tmp_path / "out", num_along=1)
