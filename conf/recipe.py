"""What decided a result, as plain data: its hash, and where two recipes differ."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def recipe_hash(recipe: Mapping[str, Any]) -> str:
    """SHA-256 of a recipe, in hex."""
    return hashlib.sha256(json.dumps(recipe, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def first_difference(theirs: Mapping[str, Any], ours: Mapping[str, Any], last: str = "") -> tuple[str, Any, Any] | None:
    """The first key in which two recipes differ, dotted and in order of the alphabet, and both values.

    Args:
        theirs, ours: recipes, as read from JSON or not.
        last: a key that is named only when nothing else differs.
    """
    flat_theirs, flat_ours = flatten(theirs), flatten(ours)
    for key in sorted(flat_theirs.keys() | flat_ours.keys(), key=lambda key: (key == last, key)):
        if flat_theirs.get(key) != flat_ours.get(key):
            return key, flat_theirs.get(key), flat_ours.get(key)
    return None


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings and lists as one mapping of dotted keys."""
    if isinstance(value, Mapping):
        items: Any = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    else:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, inner in items:
        flat |= flatten(inner, f"{prefix}.{key}" if prefix else str(key))
    return flat
