"""A data set that is continued with another configuration is refused by the key that its user typed."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from conf.compose import compose
from pipelines.ingest import ingest_config
from pipelines.synthesis.config import synth_config
from pipelines.synthesis.recipe_keys import difference, same_but_for_locations
from tests.pipelines.runs import save_picture

OIL = ("renderer=oil", "cluster=inline")


def recipe(*overrides: str) -> dict[str, Any]:
    return {**synth_config(compose("synth", (*OIL, *overrides))).recipe(), "pictures": "a hash"}


@pytest.mark.parametrize(
    ("override", "phrase"),
    [
        ("size=96x64", "size=256x256, not 96x64"),
        ("fit=pad", "fit=crop, not pad"),
        ("num_frames=3", "num_frames=8, not 3"),
        ("frames.spacing=log", "frames.spacing=distance, not log"),
        ("frames.format=png", "frames.format=webp, not png"),
        ("cluster.cpu=x86-64-v3", "cluster.cpu=native, not x86-64-v3"),
        ("num_sequences=4", "num_sequences=null, not 4; a data set does not grow"),
        ("shard_size=7", "shard_size=null, not 7"),
        ("val_fraction=0.5", "val_fraction=0.02, not 0.5"),
        ("source.kinds=[boat]", "source.kinds=["),
        ("renderer.canvas=[0,0,0]", "renderer.canvas=[0.82,0.76,0.66], not [0"),
        ("renderer.brush.ragged=[0.1,0.2]", "renderer.brush.ragged=[0.015,0.04], not [0.1,0.2]"),
        ("renderer.phrase=by me", "renderer.phrase=painted in oil, not by me"),
        ("renderer=ink", "renderer=oil, not ink"),
        ("renderer=mix", "renderer=oil, not bezier + ink + oil + region + studio"),
    ],
)
def test_the_key_that_was_typed_is_named(override: str, phrase: str) -> None:
    assert difference(recipe(), recipe(override)).startswith(phrase)


def test_keys_of_members_of_a_mix_are_named_in_full() -> None:
    mix = recipe("renderer=mix")
    strokes = "renderer.members.ink.num_strokes"
    assert difference(mix, recipe("renderer=mix", f"{strokes}=33")) == f"{strokes}=500, not 33"
    assert difference(mix, recipe("renderer=mix", "renderer.weights.ink=3")).startswith("renderer.weights.ink=1.0, not")


def test_a_layout_of_recordings_is_named(tmp_path: Path) -> None:
    frames, video = (
        ingest_config(compose("ingest", (f"source.path={tmp_path}", f"layout={layout}"))).recipe()
        for layout in ("frames", "video")
    )
    assert difference(frames, video) == "layout=frames, not video"


def test_files_are_compared_by_what_they_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_picture(tmp_path / "style.png", 1)
    save_picture(tmp_path / "other.png", 2)
    shutil.copy(tmp_path / "style.png", tmp_path / "copy.png")
    begun = recipe("renderer.style.path=style.png")
    for same in ("./style.png", str(tmp_path / "style.png"), "copy.png"):
        assert same_but_for_locations(begun, recipe(f"renderer.style.path={same}"))
    for other in ("renderer.style.path=other.png", "renderer.style.path=null"):
        assert not same_but_for_locations(begun, recipe(other))
        assert difference(begun, recipe(other)) == "another file as renderer.style.path"
    assert difference(begun, recipe("renderer.style.path=copy.png", "seed=1")) == "seed=0, not 1"


def test_every_key_of_a_recipe_has_a_name_that_can_be_typed() -> None:
    """A key that is added to a recipe is one of the command's, or gets a name."""
    composed = OmegaConf.create(compose("synth", OIL))
    begun = recipe("caption.steps=true", "renderer=studio")
    for key in begun.keys() - {"renderers", "source", "framing", "schedule", "pictures"}:
        named = difference(begun, {**begun, key: "something else"}).partition("=")[0]
        assert OmegaConf.select(composed, named, throw_on_missing=False, default="none") != "none", named
