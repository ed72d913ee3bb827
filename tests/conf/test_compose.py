"""Command-line overrides become a typed configuration."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from conf import CONF_FOLDER
from conf.compose import choices, compose, typed
from conf.errors import ConfigError, UserError
from pipelines.synthesis.config import SynthConfig, synth_config
from renderers.brush.config import BrushConfig
from tests.renderers.actors import save_small_actor
from training.config import TrainConfig, train_config

GROUPS = sorted(folder.name for folder in CONF_FOLDER.iterdir() if folder.is_dir() and list(folder.glob("*.yaml")))
CHOICES = [(group, choice) for group in GROUPS for choice in choices(group)]
TRAIN_GROUPS = ("experiment", "stage", "model", "optimizer")


@dataclass(frozen=True, kw_only=True)
class Inner:
    share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ConfigError("share", self.share, "0 to 1")


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    count: int = 1
    flag: bool = False
    kind: Literal["one", "two"] = "one"
    limit: int | None = None
    pair: tuple[float, float] = (0.0, 1.0)
    many: tuple[str, ...] = ()
    place: int | tuple[float, float] = 0
    table: dict[str, float] = field(default_factory=dict)
    folder: Path = Path()
    inner: Inner = field(default_factory=Inner)


@dataclass(frozen=True, kw_only=True)
class Circle:
    kind: Literal["circle"] = "circle"
    radius: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Square:
    kind: Literal["square"] = "square"
    side: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Slot:
    shape: Circle | Square


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_every_choice_of_every_group_gives_a_typed_configuration(group: str, choice: str, tmp_path: Path) -> None:
    if group in TRAIN_GROUPS:
        parents = [] if choice in ("codec", "words", "agent") else ["base=c"]
        parents += ["motion=d"] if choice in ("replication", "motion_lora") else []
        parents = [] if choice == "paper" else parents
        parents += ["stage=codec"] if choice == "larger" else []  # its only stage
        plain = compose("train", [f"{group}={choice}", "data=a", "out=b", *parents])
        assert isinstance(train_config(plain), TrainConfig)
        return
    word = f"brush@renderer.brush={choice}" if group == "brush" else f"{group}={choice}"
    renderer = ["renderer=oil"] if group == "brush" else []
    plain = compose("synth", [*renderer, word, *_needed(choice, tmp_path)])
    assert isinstance(synth_config(plain), SynthConfig)


@pytest.mark.parametrize("medium", ["oil", "ink"])
def test_brushes_in_yaml_are_those_a_program_gets_by_default(medium: Literal["oil", "ink"]) -> None:
    (choice,) = synth_config(compose("synth", [f"renderer={medium}"])).renderers
    assert choice.config == BrushConfig(medium=medium, canvas=choice.config.canvas)


def test_a_kind_chooses_among_dataclasses() -> None:
    assert typed(Slot, {"shape": {"kind": "square", "side": 2}}).shape == Square(side=2.0)
    assert typed(Slot, {"shape": {"radius": 2}}).shape == Circle(radius=2.0)
    for shape, key in (({"kind": "oval"}, "shape.kind"), ({"kind": "square", "radius": 2}, "shape.radius")):
        with pytest.raises(ConfigError) as told:
            typed(Slot, {"shape": shape})
        assert told.value.key == key


def _needed(choice: str, folder: Path) -> list[str]:
    if choice == "agent":
        return [f"renderer.actor={save_small_actor(folder / 'actor.pth')}"]
    paths = {"folder": "a", "webdataset": "a.tar", "parquet": "a.parquet", "hf": "ann/walls"}
    return [f"source.path={paths[choice]}"] if choice in paths else []


@pytest.mark.parametrize("tracker", choices("tracker"))
def test_training_takes_every_tracker(tracker: str) -> None:
    assert train_config(compose("train", [f"tracker={tracker}", "data=a", "out=b", "base=c"])).tracker.kind == tracker


def test_every_choice_of_a_group_is_found() -> None:
    assert {"scenes", "folder", "webdataset", "parquet", "hf"} <= set(choices("source"))
    assert {"mix", "bezier"} <= set(choices("renderer"))
    assert {"local", "ray", "inline"} == set(choices("cluster"))
    assert {"none", "wandb"} == set(choices("tracker"))


def test_a_key_without_a_default_must_be_given() -> None:
    with pytest.raises(UserError, match=r"^source\.path is required"):
        compose("synth", ["source=folder"])


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("sizee=64", "size"),
        ("renderer.num_strokes=5", "renderer.members.bezier.num_strokes"),
        ("frames.spacin=log", "frames.spacing"),
    ],
)
def test_a_misspelt_key_is_answered_with_the_key_that_was_meant(word: str, meant: str) -> None:
    with pytest.raises(UserError) as told:
        compose("synth", [word])
    assert str(told.value).startswith(f"{word}: no such key; did you mean {meant}")


def test_a_key_that_resembles_none_is_answered_with_those_there_are() -> None:
    with pytest.raises(UserError, match=r"^frames\.q=1: no such key; there are frames\.spacing, frames\.format$"):
        compose("synth", ["frames.q=1"])


def test_an_overridden_value_arrives() -> None:
    assert compose("synth", ["frames.spacing=log", "seed=7"])["frames"]["spacing"] == "log"


def test_typed_converts_what_yaml_can_say() -> None:
    outer = typed(
        Outer,
        {"name": "a", "pair": [1, 2], "many": ["x"], "table": {"b": 3}, "folder": "c", "inner": {"share": 1}},
    )
    assert outer == Outer(
        name="a", pair=(1.0, 2.0), many=("x",), table={"b": 3.0}, folder=Path("c"), inner=Inner(share=1.0)
    )
    assert isinstance(outer.inner.share, float)
    assert typed(Outer, {"name": "a", "limit": None}).limit is None


@pytest.mark.parametrize(
    ("values", "key", "allowed"),
    [
        ({"count": "x"}, "top.count", "a whole number"),
        ({"count": 1.5}, "top.count", "a whole number"),
        ({"count": True}, "top.count", "a whole number"),
        ({"count": None}, "top.count", "a whole number"),
        ({"flag": 1}, "top.flag", "true or false"),
        ({"name": [3]}, "top.name", "text"),
        ({"kind": "three"}, "top.kind", "one of one, two"),
        ({"limit": "x"}, "top.limit", "a whole number"),
        ({"pair": [1]}, "top.pair", "a list of 2"),
        ({"pair": "ab"}, "top.pair", "a list, such as [1,2]"),
        ({"pair": [1, "b"]}, "top.pair", "a number"),
        ({"place": "a"}, "top.place", "a whole number or a list of 2 such as [0.5, 0.5]"),
        ({"place": [1]}, "top.place", "a list of 2"),
        ({"table": 3}, "top.table", "a group of keys"),
        ({"table": {"b": "c"}}, "top.table.b", "a number"),
        ({"folder": None}, "top.folder", "a path"),
        ({"folder": ""}, "top.folder", "a path"),
        ({"inner": None}, "top.inner", "a group of keys: share"),
        ({"inner": {"share": 2}}, "top.inner.share", "0 to 1"),
        ({"inner": {"shar": 1}}, "top.inner.shar", "one of the keys share"),
    ],
)
def test_a_wrong_value_is_named_with_its_whole_key_and_what_is_allowed(
    values: dict[str, Any], key: str, allowed: str
) -> None:
    with pytest.raises(ConfigError) as told:
        typed(Outer, {"name": "a", **values}, "top")
    assert (told.value.key, told.value.allowed) == (key, allowed)


def test_a_field_without_a_default_must_be_given() -> None:
    with pytest.raises(UserError, match=r"^top\.name is required"):
        typed(Outer, {}, "top")


@pytest.mark.parametrize(
    "text",
    [
        "a red house, painted in oil",
        "dawn: boats, nets",
        "the cat's house, by 'us'",
        "it costs 5 = five",
        "a b\\",
        "ends 'so'",
    ],
)
def test_text_with_spaces_needs_no_quotes_beside_the_shells(text: str) -> None:
    assert compose("paint", ["painter=p", f"prompt={text}"])["prompt"] == text


def test_quoted_text_lists_and_groups_are_left_as_they_are() -> None:
    plain = compose("paint", ["painter=p", "prompt='a, b'", "conditions={0: a.png, -1: b.png}"])
    assert plain["prompt"] == "a, b"
    assert plain["conditions"] == {0: "a.png", -1: "b.png"}


def test_a_word_is_read_as_if_it_stood_alone_whatever_was_set_before(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\ndata: data\nmotion: {a: 1}\n")
    said = ["stage=base", "out=o", "base=b"]
    for before in (["+experiment=mine"], ["data=data"], ["data={path: C, weight: 2}"]):
        for word, value in (("data=[A,B]", ["A", "B"]), ("data={path: A}", {"path": "A"}), ("data=true", True)):
            assert compose("train", [*before, *said, word], tmp_path)["data"] == value
            assert compose("train", [*said, word], tmp_path)["data"] == value
    assert (
        compose("paint", ["painter=p", "prompt=a", "prompt=[b]"])["prompt"]
        == compose("paint", ["painter=p", "prompt=[b]"])["prompt"]
    )


def test_an_experiment_may_list_for_a_stage_what_it_names_for_all(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    by_stage = "# @package _global_\ndata: A\nby_stage: {base: {data: [A, B]}}\n"
    (tmp_path / "experiment" / "mine.yaml").write_text(by_stage)
    assert compose("train", ["+experiment=mine", "stage=base", "out=o"], tmp_path)["data"] == ["A", "B"]
