"""Recipes, which are all that decided a result, as plain data: their hash, and where two differ."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from conf.printable import without_secrets


def recipe_hash(recipe: Mapping[str, Any]) -> str:
    """SHA-256 of a recipe, in hex."""
    return hashlib.sha256(json.dumps(recipe, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def first_difference(
    stored: Mapping[str, Any], requested: Mapping[str, Any], last: str = "", first: Sequence[str] = ()
) -> tuple[str, Any, Any] | None:
    """The first key in which two recipes differ, dotted and in order of the alphabet, and both values.

    Args:
        stored, requested: recipes, as read from JSON or not.
        last: a key that is named only when nothing else differs.
        first: keys that are named before all others, in this order, because others follow from them.
    """
    flat_stored, flat_requested = flatten(stored), flatten(requested)
    keys = sorted(flat_stored.keys() | flat_requested.keys(), key=lambda key: (key == last, key))
    for key in (*first, *keys):
        if flat_stored.get(key) != flat_requested.get(key):
            return key, flat_stored.get(key), flat_requested.get(key)
    return None


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings, and lists of mappings, as one mapping of dotted keys. Any other list is one value."""
    if isinstance(value, Mapping):
        items: Any = value.items()
    elif isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
        items = enumerate(value)
    else:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, inner in items:
        flat |= flatten(inner, f"{prefix}.{key}" if prefix else str(key))
    return flat


def plain_containers(value: Any) -> Any:
    """A dataclass as plain containers, without credentials in URLs."""
    return _without_secrets(json.loads(json.dumps(dataclasses.asdict(value), ensure_ascii=False)))


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_secrets(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    return without_secrets(value) if isinstance(value, str) else value
