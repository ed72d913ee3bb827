"""Which renderers a run paints with, and with what configuration."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from conf.compose import typed
from conf.errors import ConfigError, UserError
from conf.recipe import plain_containers
from conf.value import plain_value
from pipelines.sources.framing import Ground
from pipelines.synthesis.assets import AssetFiles, read_assets
from renderers import families, renderer
from renderers.family import Renderer
from renderers.painting import Image, Painting
from training.data.dataset import read_card
from training.data.remote import AnyPath


@dataclass(frozen=True, kw_only=True)
class RendererChoice:
    """One renderer of a run: its name in `conf/renderer/`, its package (family), its configuration, and its weight.

    `phrase` is the method phrase: the words appended to captions.
    """

    name: str
    family: str
    phrase: str
    config: Any
    weight: float = 1.0
    assets: AssetFiles = field(default_factory=AssetFiles)

    @property
    def renderer(self) -> Renderer:
        """The renderer that paints."""
        return renderer(self.family)

    def plain_config(self) -> dict[str, Any]:
        """Its configuration as plain containers; `device` is left out if it is the CPU.

        Recipes from before devices could be chosen keep their hashes that way.
        """
        plain: dict[str, Any] = plain_containers(self.config)
        return {key: value for key, value in plain.items() if (key, value) != ("device", "cpu")}

    @property
    def ground(self) -> Ground:
        """The colour of its blank canvas, which is also the ground of pictures."""
        return self.renderer.ground(self.config)

    def refuse_labels(self) -> None:
        """Refuse a configuration that needs label maps, for commands that paint a user's pictures, which have none.

        Raises:
            ConfigError: naming the full key.
        """
        try:
            self.renderer.check_source(self.config, brings_labels=False)
        except ConfigError as error:
            raise error.under("renderer") from None

    def paint(self, picture: Image, seed: int) -> Painting:
        """Paint a picture (H, W, 3) in [0, 1].

        Raises:
            ConfigError: naming the full key, if its value does not suit the picture.
        """
        try:
            return self.renderer.paint(picture, self.config, np.random.SeedSequence(seed), self.assets.content)
        except ConfigError as error:
            raise error.under("renderer") from None

    def recipe(self) -> dict[str, Any]:
        """The settings that decide the bytes of a painting; files are represented by their hashes."""
        return {
            "name": self.name,
            "family": self.family,
            "phrase": self.phrase,
            "config": self.plain_config(),
            "weight": self.weight,
            "assets": dict(self.assets.sha256),
        }


def renderer_key(name: str, num_renderers: int) -> str:
    """The key below which a renderer of a run is configured: a single one has the group to itself."""
    return "renderer" if num_renderers == 1 else f"renderer.members.{name}"


@dataclass(frozen=True, kw_only=True)
class _Mix:
    """`renderer=mix`."""

    family: Literal["mix"]
    weights: dict[str, float | None]
    members: dict[str, dict[str, Any]]


def chosen_renderers(plain: Mapping[str, Any], out: AnyPath) -> tuple[tuple[RendererChoice, ...], tuple[str, ...]]:
    """The chosen renderers, and the members of a mix that are left out because the data set in `out` lacks them."""
    if plain.get("family") != "mix":
        return (single_renderer(plain),), ()
    mix = typed(_Mix, plain, "renderer")
    for name, weight in mix.weights.items():
        if name not in mix.members:
            raise ConfigError(f"renderer.weights.{name}", weight, f"one of the members {', '.join(mix.members)}")
        if weight is not None and not 0.0 <= weight < math.inf:
            raise ConfigError(f"renderer.weights.{name}", weight, "a number from 0, or null")
    for name, member in mix.members.items():
        if name not in mix.weights:
            allowed = f"a member with a weight: set +renderer.weights.{name}=1"
            raise ConfigError(f"renderer.members.{name}", plain_value(member), allowed)
    stored_weights = _stored_weights(out)
    weights = {
        name: stored_weights.get(name, 0.0 if stored_weights else 1.0) if weight is None else weight
        for name, weight in sorted(mix.weights.items())
    }
    chosen = {name: weight for name, weight in weights.items() if weight > 0}
    if not chosen:
        raise ConfigError("renderer.weights", mix.weights, "at least one weight above 0")
    choices = (_choice(name, mix.members[name], f"renderer.members.{name}", chosen[name]) for name in chosen)
    left_out = (name for name, weight in mix.weights.items() if weight is None and name not in chosen)
    return tuple(choices), tuple(left_out)


def _stored_weights(out: AnyPath) -> dict[str, float]:
    """The weights of the mix that the data set in a folder was begun with; empty if there is none.

    They let the same command continue an older data set although the mix has gained members since.
    """
    try:
        renderers = read_card(out).recipe.get("renderers", [])
    except UserError:  # reported when the folder is claimed
        return {}
    weights = {choice["name"]: choice["weight"] for choice in renderers if isinstance(choice.get("weight"), float)}
    return weights if len(weights) > 1 else {}


def single_renderer(plain: Mapping[str, Any]) -> RendererChoice:
    """The renderer that the composed group `renderer` chooses, for commands that paint with one.

    Raises:
        ConfigError: naming the key, the value and what is allowed; also of a mix.
    """
    if plain.get("family") == "mix":
        members = ", ".join(sorted(plain["members"]))
        raise ConfigError("renderer", f"a mix of {members}", "one renderer, such as bezier, oil or studio")
    return _choice(str(plain.get("name") or plain.get("family")), plain, "renderer", 1.0)


def _choice(name: str, plain: Mapping[str, Any], key: str, weight: float) -> RendererChoice:
    fields = dict(plain)
    family, phrase = str(fields.pop("family", "")), fields.pop("phrase", None)
    fields.pop("name", None)  # the name in the YAML; members of a mix are named by their keys instead
    if family not in families():
        raise ConfigError(f"{key}.family", family, "one of " + ", ".join(families()))
    config = typed(renderer(family).config_type, fields, key)
    try:
        assets = read_assets(renderer(family).asset_files(config))
        renderer(family).check_assets(config, assets.content)
    except ConfigError as error:
        raise error.under(key) from None
    phrase = str(renderer(family).phrase(config) if phrase is None else phrase)
    return RendererChoice(name=name, family=family, phrase=phrase, config=config, weight=weight, assets=assets)
