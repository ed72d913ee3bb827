"""Finds the key that a user meant by one that does not exist."""

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from conf import CONF_FOLDER

_ALIKE = 0.6  # least similarity of two names, 0 to 1, as difflib measures it
_FARTHER = 0.1  # how much more alike a name must be if it is in another group


def meant_by(key: str, known: Mapping[str, Any]) -> str:
    """A hint for a key that does not exist: the keys that may have been meant, or else those that exist.

    Args:
        key: as typed.
        known: the configuration, with the choices that were made.
    """
    above, _, last = key.lstrip("+").rpartition(".")
    siblings = known
    for part in above.split(".") if above else ():
        siblings = siblings.get(part, {}) if isinstance(siblings, Mapping) else {}
    names = [str(name) for name in siblings] if isinstance(siblings, Mapping) else []
    namesakes = [other for other, _ in leaves(known) if other.rpartition(".")[2] == last]
    in_its_group = [other for other in namesakes if not above or other.startswith(f"{above}.")]
    if not in_its_group and (choice := _of_other_choices(above, last, known)):
        return choice
    if meant := in_its_group or namesakes or _alike(last, above, [joined(above, name) for name in names], known):
        return f"did you mean {' or '.join(meant)}?"
    return "there are " + ", ".join([joined(above, name) for name in names] or known)


def leaves(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and their values."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(value, joined(above, str(name)))
        else:
            yield joined(above, str(name)), value


def joined(key: str, name: str) -> str:
    """The dotted key of a name below `key`."""
    return f"{key}.{name}" if key else name


def _alike(last: str, above: str, beside: list[str], known: Mapping[str, Any]) -> list[str]:
    """At most two keys whose names are like one: those beside it, unless one further down is much more like it."""

    def likeness(key: str) -> float:
        return difflib.SequenceMatcher(None, key.rpartition(".")[2], last).ratio()

    near = sorted((key for key in beside if likeness(key) >= _ALIKE), key=likeness, reverse=True)
    best = max(map(likeness, near), default=_ALIKE)
    below = (key for key, _ in leaves(known) if not above or key.startswith(f"{above}."))
    far = [key for key in below if likeness(key) > best + _FARTHER]
    return (sorted(far, key=likeness, reverse=True) or near)[:2]


def _of_other_choices(above: str, last: str, known: Mapping[str, Any]) -> str | None:
    """A hint with the choices of a group that have the key; None if none has it."""
    for group in [above] if above else sorted(set(known)):
        files = sorted((CONF_FOLDER / group).glob("*.yaml")) if group in known and group.isidentifier() else []
        having = [path.stem for path in files if re.search(rf"^{re.escape(last)}:", path.read_text("utf-8"), re.M)]
        if having:
            return f"{group}.{last} is a key of {group}={'|'.join(having)}"
    return None
