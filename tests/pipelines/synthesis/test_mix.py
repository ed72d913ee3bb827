"""For an existing data set, `renderer=mix` keeps its meaning, even when renderers are added to the mix."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from conf import CONF_FOLDER
from conf.compose import compose
from conf.errors import ConfigError, UserError
from conf.recipe import recipe_hash
from pipelines import synth
from pipelines.synthesis.config import SynthConfig, synth_config
from training.data.dataset import DatasetCard, read_card

FAST = ("bezier", "oil", "ink")
SMALL = (
    "renderer=mix", "size=64", "num_frames=2", "num_sequences=4", "shard_size=2", "val_fraction=0", "cluster=inline",
    "gallery=false", *(f"renderer.members.{name}.preset=fast" for name in FAST),
    *(f"renderer.members.{name}.num_strokes=10" for name in FAST),
)  # fmt: skip
MEMBERS = ("bezier", "ink", "oil", "region", "studio")


def plain_of(out: Path, *overrides: str) -> dict[str, Any]:
    return compose("synth", [*SMALL, f"out={out}", *overrides])


def grown(plain: dict[str, Any], weight: float | None = None) -> dict[str, Any]:
    """The same command after the mix has gained a renderer."""
    plain["renderer"]["members"]["chalk"] = plain["renderer"]["members"]["bezier"] | {"phrase": "drawn in chalk"}
    plain["renderer"]["weights"]["chalk"] = weight
    return plain


def names(config: SynthConfig) -> list[str]:
    return [choice.name for choice in config.renderers]


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of the mix, made before chalk was in it."""
    out = tmp_path_factory.mktemp("begun") / "out"
    assert synth.run(synth_config(plain_of(out))).exit_code == 0
    return out


def test_a_new_data_set_has_every_member_with_equal_shares(tmp_path: Path) -> None:
    config = synth_config(grown(plain_of(tmp_path / "new")))
    assert names(config) == ["bezier", "chalk", "ink", "oil", "region", "studio"]
    assert {choice.weight for choice in config.renderers} == {1.0} and config.left_out == ()


def test_the_same_command_goes_on_with_the_renderers_it_was_begun_with(begun: Path) -> None:
    config = synth_config(grown(plain_of(begun)))
    assert names(config) == list(MEMBERS) and config.left_out == ("chalk",)
    summary = synth.run(config)
    assert summary.exit_code == 0 and summary.lines[0].startswith("made 0 sequences")
    (note,) = [line for line in summary.lines if "left out of the mix" in line]
    assert "chalk" in note and summary.lines[-1].startswith("next:")


def test_a_new_member_that_is_asked_for_by_its_weight_is_another_data_set(begun: Path) -> None:
    config = synth_config(grown(plain_of(begun), weight=1.0))
    assert "chalk" in names(config)
    with pytest.raises(UserError, match="another folder"):
        synth.run(config)


def test_another_weight_of_an_old_member_is_another_data_set(begun: Path) -> None:
    with pytest.raises(UserError, match=r"renderer\.weights\.bezier=1\.0, not 3\.0"):
        synth.run(synth_config(plain_of(begun, "renderer.weights.bezier=3")))


def test_weights_that_were_said_once_need_not_be_said_again(tmp_path: Path) -> None:
    card_of(tmp_path, plain_of(tmp_path, "renderer.weights.ink=3", "renderer.weights.region=0"))
    again = synth_config(grown(plain_of(tmp_path)))
    weights = {choice.name: choice.weight for choice in again.renderers}
    assert weights == {"bezier": 1.0, "ink": 3.0, "oil": 1.0, "studio": 1.0}


def card_of(root: Path, plain: dict[str, Any]) -> None:
    recipe = synth_config(plain).recipe()
    DatasetCard(recipe=recipe, config_hash="c", code_version="0", shards=(), num_planned=0).write(root)


def test_a_data_set_of_one_renderer_is_not_a_mix(tmp_path: Path) -> None:
    card_of(tmp_path, compose("synth", ["renderer=oil", f"out={tmp_path}"]))
    assert names(synth_config(plain_of(tmp_path))) == list(MEMBERS)


def test_a_folder_that_cannot_be_read_leaves_the_mix_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text("{")
    assert names(synth_config(plain_of(tmp_path))) == list(MEMBERS)


def test_recipes_of_mixes_from_before_are_the_same(begun: Path, tmp_path: Path) -> None:
    """Then, all weights stood in the YAML as 1.0."""
    before = plain_of(tmp_path / "new", *(f"renderer.weights.{name}=1.0" for name in MEMBERS))
    recipe = synth_config(before).recipe()
    assert recipe_hash(synth_config(plain_of(tmp_path / "new")).recipe()) == recipe_hash(recipe)
    stored = dict(read_card(begun).recipe)
    del stored["pictures"]
    assert recipe_hash(stored) == recipe_hash(recipe)


def test_members_added_to_the_mix_must_have_no_weight_of_their_own() -> None:
    mix = yaml.safe_load((CONF_FOLDER / "renderer" / "mix.yaml").read_text())
    assert set(mix["weights"].values()) == {None}


def test_a_member_that_has_no_weight_and_would_never_be_painted_is_refused(tmp_path: Path) -> None:
    member = "+renderer.members.extra={family: brush}"
    with pytest.raises(ConfigError, match=r"a member with a weight: set \+renderer\.weights\.extra=1") as caught:
        synth_config(plain_of(tmp_path, member))
    assert caught.value.key == "renderer.members.extra"
    assert "extra" in names(synth_config(plain_of(tmp_path, member, "+renderer.weights.extra=1")))


@pytest.mark.parametrize("weight", ["-1", "inf", "nan"])
def test_weights_that_are_no_shares_are_refused(weight: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"renderer\.weights\.ink=.*a number from 0, or null"):
        synth_config(plain_of(tmp_path, f"renderer.weights.ink={weight}"))
