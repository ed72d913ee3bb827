"""The recipe: what decides the bytes of a data set changes its hash, and nothing else does."""

import json
import sys
from pathlib import Path

import pytest
import yaml

from conf import CONF_FOLDER
from conf.compose import compose
from conf.errors import ConfigError
from conf.recipe import recipe_hash
from conf.value import parse_size
from pipelines.synthesis.config import SynthConfig, synth_config

MIX = yaml.safe_load((CONF_FOLDER / "renderer" / "mix.yaml").read_text())
ONLY_BEZIER = [f"renderer.weights.{name}=0" for name in MIX["weights"] if name != "bezier"]


@pytest.fixture(autouse=True)
def _no_data_set_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def configured(*overrides: str) -> SynthConfig:
    return synth_config(compose("synth", overrides))


def hashed(*overrides: str) -> str:
    return recipe_hash(configured(*overrides).recipe())


@pytest.mark.parametrize(
    "overrides",
    [
        ["size=128"],
        ["size=256x128"],
        ["fit=pad"],
        ["num_frames=9"],
        ["frames.spacing=log"],
        ["frames.format=png"],
        ["seed=1"],
        ["num_sequences=10"],
        ["shard_size=3"],
        ["val_fraction=0.1"],
        ["source.seed=1"],
        ["source.num_pictures=65"],
        ["source.kinds=[boat]"],
        ["source=folder", "source.path=a"],
        ["renderer.members.bezier.num_strokes=501"],
        ["renderer.members.bezier.preset=fast"],
        ["renderer.members.bezier.phrase=dabbed"],
        ["renderer.members.bezier.canvas=[0,0,0]"],
        ["cluster.cpu=x86-64-v3"],
    ],
    ids=" ".join,
)
def test_what_decides_the_bytes_changes_the_hash(overrides: list[str]) -> None:
    assert hashed(*overrides) != hashed()


@pytest.mark.parametrize(
    "overrides",
    [
        ["out=elsewhere"],
        ["cluster=inline"],
        ["cluster=ray"],
        ["num_workers=7"],
        ["tracker=wandb"],
        ["max_quarantined=0.1"],
        ["gallery=false"],
    ],
    ids=" ".join,
)
def test_what_does_not_decide_the_bytes_leaves_the_hash(overrides: list[str]) -> None:
    assert hashed(*overrides) == hashed()


def test_a_mix_of_one_is_that_one() -> None:
    assert hashed("renderer=mix", *ONLY_BEZIER) == hashed("renderer=bezier")


def test_a_recipe_is_plain_json_and_names_no_place_of_its_own() -> None:
    recipe = configured("out=/somewhere/special").recipe()
    assert json.loads(json.dumps(recipe)) == recipe
    assert "special" not in json.dumps(recipe)


@pytest.mark.parametrize(("said", "meant"), [(256, (256, 256)), ("384x256", (384, 256)), ("64", (64, 64))])
def test_size_is_width_by_height(said: object, meant: tuple[int, int]) -> None:
    assert parse_size(said) == meant


@pytest.mark.parametrize("said", ["", "x", "64x", "x64", "64x64x64", "-64", 6.5, None, "64 x 64", "٦٤x"])
def test_other_sizes_are_refused(said: object) -> None:
    with pytest.raises(ConfigError, match="384x256"):
        parse_size(said)


def test_width_and_height_reach_the_canvas() -> None:
    framing = configured("size=384x256").framing
    assert (framing.width_px, framing.height_px) == (384, 256)


def test_a_renderer_without_a_phrase_appends_nothing() -> None:
    (choice,) = configured("renderer=bezier", "renderer.phrase=null").renderers
    assert choice.phrase == ""


def test_a_mix_holds_the_members_that_have_weight() -> None:
    (choice,) = configured(*ONLY_BEZIER, "renderer.weights.bezier=2").renderers
    assert (choice.name, choice.family, choice.weight) == ("bezier", "bezier", 2.0)


def test_the_output_folder_may_be_a_number() -> None:
    assert configured("out=2024").out == Path("2024")


@pytest.mark.parametrize(
    ("renderer", "key", "choice"),
    [
        ("region", "segment.sam.checkpoint", "method=sam"),
        ("region", "saliency.network", "method=deep"),
        ("studio", "things.sam.checkpoint", "method=sam"),
        ("studio", "things.saliency.network", "method=deep"),
    ],
)
def test_a_file_that_nothing_would_read_is_refused(renderer: str, key: str, choice: str) -> None:
    with pytest.raises(ConfigError, match=f"renderer.{key}=net.pt: not allowed; allowed: null, or set {choice}"):
        configured(f"renderer={renderer}", f"renderer.{key}=net.pt")


def test_without_ray_painting_in_this_process_is_advised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "ray", raising=False)
    monkeypatch.setattr("pipelines.synthesis.run_config.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"cluster\.kind=local: not allowed; allowed: inline, as Ray is not"):
        configured()
    assert configured("cluster=inline").cluster.kind == "inline"
