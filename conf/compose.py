"""From YAML and `key=value` words to one typed, checked dataclass.

Hydra composes; we convert. `@hydra.main` is not used: it would exit with 1 and several lines where a user mistyped a
key, and would resolve a run folder of its own in every process.
"""

import dataclasses
import difflib
import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from conf.errors import ConfigError, UserError

_Config = TypeVar("_Config")

CONF_FOLDER = Path(__file__).resolve().parent
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.:-]*://")
_LONGEST_KEY = 200  # of a dotted key; beyond 255 even to ask whether such a group exists is an error


def compose(name: str, overrides: Sequence[str]) -> dict[str, Any]:
    """The configuration `conf/<name>.yaml` with its groups and a user's words, as plain containers.

    Raises:
        UserError: if a word is malformed, or names a key, group or choice that does not exist, or a key is missing.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    _refuse_unknown_choices(overrides)
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONF_FOLDER), version_base="1.3"):
            config = hydra_compose(name, [_quoted(word) for word in overrides])
        missing = sorted(OmegaConf.missing_keys(config))
        if missing:
            raise UserError(f"{missing[0]} is needed: say {missing[0]}=...")
        plain = OmegaConf.to_container(config, resolve=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(_one_line(name, overrides, error)) from error
    return typing.cast(dict[str, Any], plain)


def _quoted(word: str) -> str:
    """A value with spaces is text, whatever commas and colons are in it; the shell has taken its quotes away."""
    key, sign, value = word.partition("=")
    if " " not in value or value.lstrip()[:1] in ("[", "{", "'", '"'):
        return word
    return key + sign + "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _refuse_unknown_choices(overrides: Sequence[str]) -> None:
    """Hydra's own messages about these are long, and for `null` no message at all."""
    for word in overrides:
        key, sign, value = word.partition("=")
        if not sign or not key.lstrip("+~") or len(key) > _LONGEST_KEY:
            raise UserError(f"{word}: not understood; say key=value")
        group = CONF_FOLDER / key.lstrip("+~").partition("@")[0]
        if group.is_dir() and value not in choices(group.name):
            raise ConfigError(key, value, f"one of {', '.join(choices(group.name))}")


def _one_line(name: str, overrides: Sequence[str], error: Exception) -> str:
    """Say which word is wrong and what would be right."""
    text = " ".join(str(error).split())
    for word in overrides:
        key, _, _ = word.lstrip("+~").partition("=")
        if f"'{key}'" in text and ("not in struct" in text or "Could not override" in text):
            return f"{word}: no such key; {_nearest(name, key, overrides)}"
    for word in overrides:
        key = word.partition("=")[0].lstrip("+~")
        if word in text or key in (getattr(error, "full_key", None), *re.findall(r"'([\w.]+)'", text)):
            return f"{word}: cannot be understood; allowed: one value, or a list such as [1,2]"
    return text


def _nearest(name: str, key: str, overrides: Sequence[str]) -> str:
    """Which keys a user may have meant by one that does not exist."""
    if (CONF_FOLDER / key).is_dir():  # a group that stands below another, as brush does in renderer
        return f"did you mean {key}@renderer.{key}?"
    others = [word for word in overrides if word.lstrip("+~").partition("=")[0] != key]
    try:
        there = list(_keys(compose(name, others)))
    except UserError:
        return "--help lists all keys"
    above, _, last = key.rpartition(".")
    beside = {known.rpartition(".")[2]: known for known in there if known.rpartition(".")[0] == above}
    namesakes = [known for known in there if known.rpartition(".")[2] == last]
    near = namesakes or [beside[name] for name in difflib.get_close_matches(last, beside, n=2)]
    return f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(beside.values() or there)}"


def _keys(values: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _keys(value, _join(above, name))
        else:
            yield _join(above, name)


def choices(group: str) -> list[str]:
    """The YAML files of a group."""
    return sorted(path.stem for path in (CONF_FOLDER / group).glob("*.yaml"))


def typed(cls: type[_Config], values: Any, key: str = "") -> _Config:
    """Turn plain containers into a (nested) dataclass.

    Args:
        cls: a dataclass; its annotations may be scalars, Literals, unions with None, tuples, dicts, dataclasses or
            unions of dataclasses, of which the field `kind`, a Literal, chooses one (the first when it is not said).
        values: a mapping with exactly its fields (fields with defaults may lack).
        key: where this stands in the configuration, for messages.

    Raises:
        ConfigError: naming the full key, the value, and what is allowed.
        UserError: naming a key that lacks.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(key, values, f"a group of keys: {', '.join(f.name for f in dataclasses.fields(cls))}")  # type: ignore[arg-type]
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(cls)
    for name in values:
        if name not in fields:
            raise ConfigError(_join(key, str(name)), values[name], f"the keys {', '.join(fields)}")
    for name, field in fields.items():
        if name not in values and field.default is field.default_factory is dataclasses.MISSING:
            raise UserError(f"{_join(key, name)} is needed: say {_join(key, name)}=...")
    converted = {name: _convert(hints[name], value, _join(key, name)) for name, value in values.items()}
    try:
        return cls(**converted)
    except ConfigError as error:
        raise error.under(key) from None
    except TypeError as error:
        raise ConfigError(key, dict(values), str(error)) from error


def _convert(hint: Any, value: Any, key: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _convert(_member([a for a in arguments if a is not type(None)], value, key), value, key)
    if origin is typing.Literal:
        if value not in arguments:
            raise ConfigError(key, value, "one of " + ", ".join(str(a) for a in arguments))
        return value
    if origin is tuple:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise ConfigError(key, value, "a list, such as [1,2]")
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
        if len(kinds) != len(value):
            raise ConfigError(key, value, f"a list of {len(kinds)}")
        return tuple(_convert(kind, item, key) for kind, item in zip(kinds, value, strict=True))
    if origin in (dict, Mapping) or origin is getattr(types, "MappingProxyType", None):
        if not isinstance(value, Mapping):
            raise ConfigError(key, value, "a group of keys")
        return {name: _convert(arguments[1], item, _join(key, str(name))) for name, item in value.items()}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return typed(hint, value, key)
    if hint is Path:
        if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
            raise ConfigError(key, value, "a path")
        return local_path(str(value), key)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and (not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool)):
        words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
        raise ConfigError(key, value, words.get(hint, hint.__name__))
    return value


def local_path(text: str, key: str) -> Path:
    """A path of this machine.

    Raises:
        ConfigError: if it is a URL, of which `Path` would make a folder called `s3:`.
    """
    if _URL.match(text):
        raise ConfigError(key, text, "a local path, not a URL")
    return Path(text)


def _member(hints: Sequence[Any], value: Any, key: str) -> Any:
    """Which member of a union a value is for."""
    if len(hints) == 1 or not isinstance(value, Mapping) or "kind" not in value:
        return hints[0]
    kinds = {kind: hint for hint in hints for kind in typing.get_args(typing.get_type_hints(hint)["kind"])}
    if value["kind"] not in kinds:
        raise ConfigError(_join(key, "kind"), value["kind"], "one of " + ", ".join(kinds))
    return kinds[value["kind"]]


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name
