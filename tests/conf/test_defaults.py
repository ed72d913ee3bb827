"""Defaults of dataclasses and of YAML files agree, and every key has a line of help."""

import contextlib
import dataclasses
import re
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any

import pytest

from conf import CONF_FOLDER
from conf import compose as composing
from conf.compose import choices, compose
from conf.errors import UserError
from conf.meant import leaves
from pipelines import encode, evaluate, export, film, gallery, ingest, publish, status, verify
from pipelines.inference.config import paint_config
from pipelines.synthesis.config import synth_config
from pipelines.web.settings import app_config
from training import assemble, dashboard
from training.config import train_config
from training.models.registry import ARCHITECTURES

A_REPOSITORY = "a/a"
COMMANDS: dict[str, tuple[Callable[[dict[str, Any]], Any], list[str]]] = {
    "synth": (synth_config, ["source.path=a", "renderer.actor=a"]),
    "ingest": (ingest.ingest_config, ["source.path=a", "layout=frames"]),
    "encode": (encode.encode_config, ["dataset=a", "base=a"]),
    "verify": (verify.verify_config, ["dataset=a"]),
    "status": (status.status_config, ["dataset=a"]),
    "gallery": (gallery.gallery_config, ["dataset=a"]),
    "paint": (paint_config, ["prompt=a"]),
    "app": (app_config, []),
    "film": (film.film_config, ["picture=a", "renderer.actor=a"]),
    "export": (export.export_config, ["dataset=a", "key=a", "out=a.svg", "renderer.actor=a"]),
    "evaluate": (evaluate.evaluate_config, ["generated=a", "reference=a"]),
    "publish": (publish.publish_config, ["dataset=a", f"repo={A_REPOSITORY}"]),
    "train": (train_config, ["data=a", "out=a", "base=a", "motion=a"]),
    "assemble": (assemble.assemble_config, ["out=a", "base=a", "motion=a"]),
    "dashboard": (dashboard.dashboard_config, []),
}
"""What makes the typed configuration of each command, and keys that a user must say, as `SAID`."""
SAID = "a"
NOT_IN_YAML = {
    ("DataMixture", "weight"),  # of a list of data sets
    ("PaintConfig", "pictures"),  # what `image` is when it is a list
    ("PaintConfig", "strokes"),  # made of several keys, with execution=strokes
    ("ParquetSource", "extensions"), ("HubSource", "extensions"),  # no names to look at; the card says
    ("SD15Config", "shape"),  # of another architecture
    *((each.config.__name__, "path") for each in ARCHITECTURES.values() if not each.comes_trained),
    ("RoundBrush", "path"), ("RoundBrush", "height_path"), ("WashBrush", "path"), ("WashBrush", "height_path"),
}  # fmt: skip
NO_DEFAULTS = {("SD15Config", "path")}
"""Fields whose default is no value to go on with: the dataclass itself refuses it."""
NAMING = ("kind", "name", "family", "medium", "defaults")
"""Keys that say which choice a file is, and are left out of help."""


@dataclass(frozen=True)
class Stated:
    """What the YAML says for the fields of a dataclass at one place of one configuration.

    `values` are without those that `COMMANDS` says.
    """

    place: str
    names: frozenset[str]
    values: Mapping[str, Any]


@pytest.fixture(scope="module")
def fields_in_yaml() -> dict[type, list[Stated]]:
    """Every dataclass that a command makes, with every choice of every group, and its values from YAML."""
    stated: dict[type, list[Stated]] = {}
    make = composing.typed
    context = ""

    def noting(cls: Any, values: Any, key: str = "") -> Any:
        if isinstance(values, Mapping):
            hints = typing.get_type_hints(cls, include_extras=True)
            known = {name: values[name] for name in values if name in hints and values[name] != SAID}
            converted = {name: composing._convert(hints[name], value, key) for name, value in known.items()}
            stated.setdefault(cls, []).append(Stated(f"{context} {key}".strip(), frozenset(values), converted))
        return make(cls, values, key)

    with pytest.MonkeyPatch.context() as patch:
        for module in list(sys.modules.values()):
            if getattr(module, "typed", None) is make:
                patch.setattr(module, "typed", noting)
        for name, (configure, needed) in COMMANDS.items():
            for choice in [None, *choices_of(name)]:
                context = f"{name} {choice or ''}"
                with contextlib.suppress(UserError):  # a choice that needs files; what led there was noted
                    configure(compose(name, words_for(name, choice, needed)))
    return stated


def choices_of(name: str) -> list[str]:
    """Every choice of every group that a command has."""
    text = (CONF_FOLDER / f"{name}.yaml").read_text()
    groups = re.findall(r"^  - (\w+): ", text, re.MULTILINE)
    return [f"{group}={choice}" for group in groups for choice in choices(group)]


def words_for(name: str, choice: str | None, needed: Sequence[str]) -> list[str]:
    """A choice, and those needed words whose keys there then are."""
    chosen = (choice,) if choice else ()
    keys = {key for key, _ in leaves(composing._with_groups(name, chosen))}
    return [*chosen, *(word for word in needed if word.partition("=")[0] in keys)]


def default_of(field: "dataclasses.Field[Any]") -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def test_a_default_in_a_dataclass_is_that_of_its_yaml(fields_in_yaml: dict[type, list[Stated]]) -> None:
    """A dataclass that several choices make has the defaults of one of them."""
    wrong: list[str] = []
    for cls, places in fields_in_yaml.items():
        defaults = {
            field.name: default_of(field) for field in dataclasses.fields(cls) if default_of(field) is not MISSING
        }
        differences: list[list[str]] = [
            [
                f"{cls.__name__}.{name}={default!r}, but {stated.place} says {stated.values[name]!r}"
                for name, default in defaults.items()
                if stated.values.get(name, default) != default and (cls.__name__, name) not in NO_DEFAULTS
            ]
            for stated in places
        ]
        fewest: list[str] = min(differences, key=len)
        wrong += fewest
    assert not wrong


def test_every_field_of_a_configuration_is_a_key_in_yaml(fields_in_yaml: dict[type, list[Stated]]) -> None:
    missing = {
        (cls.__name__, field.name)
        for cls, places in fields_in_yaml.items()
        for field in dataclasses.fields(cls)
        if not any(field.name in stated.names for stated in places)
    }
    assert missing == NOT_IN_YAML


def test_every_command_is_walked() -> None:
    groups = {path.parent.name for path in CONF_FOLDER.glob("*/*.yaml")}
    assert set(COMMANDS) == {path.stem for path in CONF_FOLDER.glob("*.yaml")}
    chosen = {choice.partition("=")[0] for name in COMMANDS for choice in choices_of(name)}
    assert groups - chosen == {"brush"}  # which stands below renderer


@pytest.mark.parametrize(
    "path",
    sorted(path for path in CONF_FOLDER.rglob("*.yaml") if path.parent.name != "experiment"),
    ids=lambda path: str(path.relative_to(CONF_FOLDER)),
)
def test_every_key_has_help(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert lines[0].startswith("# "), "the first line says what the file is"
    inside, helpless = False, []
    for line in lines:
        key = re.match(r"( *)([\w.]+):(.*)", line)
        if not key:
            continue
        indent, name, rest = key.groups()
        if not indent:
            inside = name in ("members", "weights") and not rest.split("#")[0].strip()  # one line tells them all
            inside = inside and path.stem in ("mix", "small", "manners", "lessons")
        group = not rest.split("#")[0].strip()
        if name not in NAMING and not group and "#" not in rest and not inside:
            helpless.append(line)
    assert not helpless
