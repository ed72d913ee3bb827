"""Describes how recipes of data sets differ, by the keys that users type and by the contents of files."""

from collections.abc import Mapping
from typing import Any

from conf.compose import typed
from conf.errors import UserError
from conf.printable import as_typed
from conf.recipe import first_difference
from pipelines.synthesis.renderer_choice import renderer_key
from renderers import renderer

_HOW_TO_ADD = (
    "; a data set does not grow: make another one of other pictures or another seed, and train on both, "
    "data='[{path: ONE}, {path: OTHER}]'"
)
_LOCATION_KEYS = ("path", "split_file")
"""Keys of a source that say where pictures are, not which pictures they are: the fingerprint says that."""
_TYPED_KEYS = {
    "framing.fit": "fit",
    "schedule.num_frames": "num_frames",
    "schedule.spacing": "frames.spacing",
    "frame_format": "frames.format",
    "step_captions": "caption.steps",
    "cpu": "cluster.cpu",
    "encoding.dtype": "dtype",
}
"""Key of a recipe -> the key of `conf/synth.yaml`, `conf/ingest.yaml` or `conf/encode.yaml` that sets it."""


def same_but_for_locations(stored: Mapping[str, Any], requested: Mapping[str, Any]) -> bool:
    """Whether two recipes differ at most in where their pictures and files are, not in what these hold."""
    return first_difference(_without_locations(stored), _without_locations(requested)) is None


def difference(stored: Mapping[str, Any], requested: Mapping[str, Any]) -> str:
    """A phrase that names the first key in which two recipes differ and, where it fits, says how to add sequences."""
    if renderers := _other_renderers(stored, requested):
        return renderers
    first = first_difference(_without_file_paths(stored), _without_file_paths(requested), last="pictures")
    if first is None:
        return "another configuration"
    key, stored_value, requested_value = first
    if key == "pictures":
        return "other pictures: the source has changed since" + _HOW_TO_ADD
    if key.startswith("encoding.") and key not in _TYPED_KEYS:
        return "latents of another base" if key == "encoding.base" else "latents of another data set"
    if key.startswith("framing.") and key != "framing.fit":
        return f"size={_size(stored)}, not {_size(requested)}"
    if key == "source.kind":
        key = "layout" if "treatment" in stored else "source"
    elif key.startswith("renderers."):
        number = int(key.split(".")[1])
        choices = stored["renderers"][number], requested["renderers"][number]
        prefix = renderer_key(choices[0]["name"], len(requested["renderers"]))
        place, _, rest = key.removeprefix(f"renderers.{number}.").partition(".")
        if place == "assets":
            return f"another file as {prefix}.{(_file_keys(choices[0]) | _file_keys(choices[1]))[rest]}"
        key = f"renderer.weights.{choices[0]['name']}" if place == "weight" else f"{prefix}.{rest or place}"
    how_to_add = _HOW_TO_ADD if key == "num_sequences" else ""
    return f"{_TYPED_KEYS.get(key, key)}={as_typed(stored_value)}, not {as_typed(requested_value)}{how_to_add}"


def _other_renderers(stored: Mapping[str, Any], requested: Mapping[str, Any]) -> str:
    """A phrase, if data sets are painted by other renderers; else empty."""
    before, now = ([choice["name"] for choice in recipe.get("renderers", ())] for recipe in (stored, requested))
    if before == now:
        return ""
    return f"renderer={' + '.join(before)}, not {' + '.join(now)}"


def _size(recipe: Mapping[str, Any]) -> str:
    return f"{recipe['framing']['width_px']}x{recipe['framing']['height_px']}"


def _without_locations(recipe: Mapping[str, Any]) -> dict[str, Any]:
    source = {key: value for key, value in recipe.get("source", {}).items() if key not in _LOCATION_KEYS}
    return {**_without_file_paths(recipe), "source": source}


def _without_file_paths(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe without the paths of files whose hashes it holds."""
    choices = recipe.get("renderers")
    if not choices or not all("assets" in choice for choice in choices):  # a data set of latents holds names only
        return dict(recipe)
    return {**recipe, "renderers": [_without_keys(choice, set(_file_keys(choice).values())) for choice in choices]}


def _without_keys(choice: Mapping[str, Any], dotted_keys: set[str]) -> dict[str, Any]:
    def kept(config: Mapping[str, Any], prefix: str) -> dict[str, Any]:
        return {
            key: kept(value, f"{prefix}{key}.") if isinstance(value, Mapping) else value
            for key, value in config.items()
            if f"{prefix}{key}" not in dotted_keys
        }

    return {**choice, "config": kept(choice["config"], "")}


def _file_keys(choice: Mapping[str, Any]) -> dict[str, str]:
    """Name of each file of a renderer in a recipe -> the key below the renderer that names it."""
    if not choice["assets"]:
        return {}
    try:
        config = typed(renderer(choice["family"]).config_type, choice["config"])
        return {name: file.key for name, file in renderer(choice["family"]).asset_files(config).items()}
    except (UserError, LookupError):  # a recipe of another version
        return {}
