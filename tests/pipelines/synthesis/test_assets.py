"""A brush and a style of the user's own, through the whole command."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from conf.compose import compose
from conf.errors import ConfigError
from conf.recipe import recipe_hash
from pipelines import synth, verify
from pipelines.synthesis.config import SynthConfig, synth_config
from renderers.painting import StrokeProgram
from training.data.dataset import read_card
from training.data.manifest import read_manifest
from training.data.sequence import read_sequences

SMALL = [
    "renderer=oil", "renderer.preset=fast", "renderer.num_strokes=30", "size=64", "num_sequences=1", "num_frames=3",
    "cluster=inline", "gallery=false", "val_fraction=0",
]  # fmt: skip


def configured(out: Path, *overrides: str) -> SynthConfig:
    return synth_config(compose("synth", [*SMALL, f"out={out}", *overrides]))


def program_of(out: Path) -> StrokeProgram:
    manifest = read_manifest(out, "train-00000-of-00001")
    assert manifest is not None
    (sequence,) = read_sequences(out, manifest)
    return StrokeProgram.from_bytes(sequence.members["strokes.npz"])


def fork(path: Path) -> Path:
    """A brush of two prongs: transparent except for two bars."""
    mark = np.zeros((40, 120, 4), np.uint8)
    mark[8:14, 4:-4, 3] = mark[26:32, 4:-4, 3] = 255
    Image.fromarray(mark).save(path)
    return path


def test_own_brush_is_in_the_program_and_its_hash_in_the_recipe(tmp_path: Path) -> None:
    overrides = [f"renderer.brush.path={fork(tmp_path / 'fork.png')}"]
    assert synth.run(configured(tmp_path / "out", *overrides)).exit_code == 0
    cover = program_of(tmp_path / "out").arrays["brush_cover"].astype(float).mean((0, 2))
    assert cover[: len(cover) // 2].max() > 2 * cover[len(cover) // 2]
    (choice,) = read_card(tmp_path / "out").recipe["renderers"]
    assert set(choice["assets"]) == {"brush"}
    assert verify.run(verify.VerifyConfig(dataset=tmp_path / "out")).exit_code == 0


def heights(path: Path, size: tuple[int, int] = (120, 40)) -> Path:
    """A height map that rises from left to right, in 16 bits a pixel, as sculpting programs write them."""
    width, height = size
    Image.fromarray(np.tile(np.linspace(0, 65535, width).astype(np.uint16), (height, 1))).save(path)
    return path


def test_height_map_is_in_the_program_and_its_hash_in_the_recipe(tmp_path: Path) -> None:
    overrides = [
        f"renderer.brush.path={fork(tmp_path / 'fork.png')}",
        f"renderer.brush.height_path={heights(tmp_path / 'heights.png')}",
    ]
    assert synth.run(configured(tmp_path / "out", *overrides)).exit_code == 0
    relief = program_of(tmp_path / "out").arrays["brush_relief"][0].astype(float).mean(0)
    assert relief[-10:].mean() > relief[:10].mean() + 100
    (choice,) = read_card(tmp_path / "out").recipe["renderers"]
    assert set(choice["assets"]) == {"brush", "brush_height"}
    before = recipe_hash(configured(tmp_path / "out", *overrides).recipe())
    Image.new("L", (120, 40), 9).save(tmp_path / "heights.png")
    assert recipe_hash(configured(tmp_path / "out", *overrides).recipe()) != before


def test_another_file_under_the_same_name_is_another_data_set(tmp_path: Path) -> None:
    path = fork(tmp_path / "fork.png")
    before = recipe_hash(configured(tmp_path / "out", f"renderer.brush.path={path}").recipe())
    Image.fromarray(np.rot90(np.asarray(Image.open(path)))).save(path)
    assert recipe_hash(configured(tmp_path / "out", f"renderer.brush.path={path}").recipe()) != before


def test_brush_of_the_group_is_in_the_program(tmp_path: Path) -> None:
    for out, word in (("fan", "brush@renderer.brush=fan"), ("tuft", "renderer.brush.bristles=3")):
        assert synth.run(configured(tmp_path / out, word)).exit_code == 0
    assert synth.run(configured(tmp_path / "plain")).exit_code == 0
    covers = [program_of(tmp_path / out).arrays["brush_cover"].mean() for out in ("plain", "fan", "tuft")]
    assert covers[1] < 0.75 * covers[0] and covers[2] != covers[0]


def test_style_colours_the_painting(tmp_path: Path) -> None:
    style = np.zeros((64, 64, 3), np.uint8)
    style[..., 0], style[..., 2] = 200, np.linspace(0, 80, 64)
    Image.fromarray(style).save(tmp_path / "red.png")
    overrides = [f"renderer.style.path={tmp_path / 'red.png'}", "renderer.style.strength=1"]
    assert synth.run(configured(tmp_path / "out", *overrides)).exit_code == 0
    red, green, _ = program_of(tmp_path / "out").strokes[:, 10:13].mean(0)
    assert red > 2 * green
    assert "red.png" in json.dumps(read_card(tmp_path / "out").recipe)


def test_bad_files_are_named_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "words.png").write_text("not a picture")
    Image.new("RGBA", (40, 40), (0, 0, 0, 0)).save(tmp_path / "empty.png")
    Image.new("RGB", (40, 40), (0, 0, 0)).save(tmp_path / "full.png")
    heights(tmp_path / "other.png", (120, 41))
    needed = {"renderer.brush.height_path": "renderer.brush.path", "renderer.style.weights": "renderer.style.path"}
    for key, name in (
        ("renderer.brush.path", "missing.png"),
        ("renderer.brush.path", "words.png"),
        ("renderer.brush.path", "empty.png"),
        ("renderer.brush.path", "full.png"),
        ("renderer.brush.height_path", "missing.png"),
        ("renderer.brush.height_path", "words.png"),
        ("renderer.brush.height_path", "other.png"),
        ("renderer.style.path", "missing.png"),
        ("renderer.style.path", "words.png"),
        ("renderer.style.path", "empty.png"),
        ("renderer.style.weights", "missing.png"),
        ("renderer.style.weights", "words.png"),
    ):
        with pytest.raises(ConfigError) as caught:
            beside = [f"{needed[key]}={fork(tmp_path / 'fork.png')}"] if key in needed else []
            configured(tmp_path / "out", *beside, f"{key}={tmp_path / name}")
        assert caught.value.key == key and name in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_weights_of_another_network_than_vgg_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    style, weights = fork(tmp_path / "fork.png"), tmp_path / "lenet.pth"
    torch.save({"conv.weight": torch.zeros(6, 1, 5, 5)}, weights)
    named = [f"renderer.style.path={style}", f"renderer.style.weights={weights}", "renderer.style.features=vgg"]
    with pytest.raises(
        ConfigError, match=r"lenet\.pth: not allowed; allowed: a torchvision VGG-16 or VGG-19"
    ) as caught:
        configured(tmp_path / "out", *named)
    assert caught.value.key == "renderer.style.weights" and not (tmp_path / "out").exists()


@pytest.mark.parametrize("key", ["brush.path", "brush.height_path", "style.path", "style.weights"])
def test_a_file_in_the_home_folder_of_nobody_is_one_that_is_not_there(key: str, tmp_path: Path) -> None:
    beside = {
        "brush.height_path": [f"renderer.brush.path={fork(tmp_path / 'fork.png')}"],
        "style.weights": [f"renderer.style.path={fork(tmp_path / 'fork.png')}"],
    }
    with pytest.raises(ConfigError, match="a file that can be read") as caught:
        configured(tmp_path / "out", *beside.get(key, []), f"renderer.{key}=~nobody-of-that-name/a.png")
    assert caught.value.key == f"renderer.{key}"
