"""From YAML and `key=value` words to one typed, checked dataclass.

Hydra composes; this module converts. `@hydra.main` is not used: it would exit with code 1 and several lines if a user
mistyped a key, and would resolve a run folder of its own in every process.
"""

import collections.abc
import contextlib
import copy
import dataclasses
import functools
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from conf import CONF_FOLDER
from conf.errors import ConfigError, UserError
from conf.meant import joined, leaves, meant_by
from conf.own_folder import check_own_folder
from conf.value import (
    HOME,
    SERVER,
    TypedDict,
    TypedList,
    at_home,
    check_no_password,
    check_no_typing_error,
    check_utf8,
    is_url,
    local_path,
    read_value,
    text_of,
)

_Config = TypeVar("_Config")

_MISSING = ...  # marks keys that a user must set


def compose(name: str, overrides: Sequence[str], own_folder: Path | None = None) -> dict[str, Any]:
    """The configuration `conf/<name>.yaml` with its groups and a user's words, as plain containers.

    Hydra composes the groups; `conf.value` reads what a user typed after `key=`.

    Args:
        name: name of the command.
        overrides: `key=value` and `group=choice`.
        own_folder: a user's own YAML files, such as `renderer/mine.yaml` for `renderer=mine`.

    Raises:
        UserError: if a word is malformed, or names a key, group or choice that does not exist, or a key is missing.
    """
    choosing = [word for word in overrides if _is_choice(word, own_folder)]
    chosen = tuple(_without_plus(name, word) for word in choosing)
    plain = copy.deepcopy(_with_groups(name, chosen, own_folder))
    defaults = _without_experiment(name, chosen, own_folder)
    for word in overrides:
        if word not in choosing:
            key, _, value = word.partition("=")
            try:
                _set_key(plain, key.lstrip("+").split("."), read_value(value), defaults, add=key.startswith("+"))
            except KeyError:
                raise UserError(
                    f"{word}: no such key; {meant_by(key, _with_groups(name, chosen, own_folder))}"
                ) from None
    for key, value in leaves(plain):
        if value is _MISSING:
            raise UserError(f"{key} is required: set {key}=...")
    return plain


def _is_choice(word: str, own_folder: Path | None) -> bool:
    """Whether a word chooses from a group; refuses what is neither that nor `key=value`."""
    key, sign, value = word.partition("=")
    if not sign or not key.lstrip("+"):
        raise UserError(f"{word}: not understood; write key=value, in quotes where the value has blanks")
    if key.startswith("~"):
        raise UserError(f"{word}: keys cannot be removed; set {key[1:]}=null")
    group = key.lstrip("+").partition("@")[0]
    if group not in _groups():
        return False
    if value not in choices(group, own_folder):
        raise ConfigError(key, value, f"one of {', '.join(choices(group, own_folder))}")
    return True


def _without_plus(name: str, word: str) -> str:
    """`experiment=tiny` for `+experiment=tiny`, which Hydra refuses where the command has that group already."""
    group = word.lstrip("+").partition("=")[0]
    listed = re.search(rf"^  - {re.escape(group)}: ", (CONF_FOLDER / f"{name}.yaml").read_text("utf-8"), re.MULTILINE)
    return word.lstrip("+") if listed else word


@functools.cache
def _with_groups(name: str, chosen: tuple[str, ...], own_folder: Path | None = None) -> dict[str, Any]:
    """The configuration with its groups as chosen, before any value is set. It is cached and must not be changed."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    GlobalHydra.instance().clear()
    if own_folder is not None:
        check_own_folder(own_folder)
    search = [] if own_folder is None else [f"hydra.searchpath=[{quoted(f'file://{own_folder.resolve()}')}]"]
    try:
        with initialize_config_dir(str(CONF_FOLDER), version_base="1.3"):
            config = hydra_compose(name, [*chosen, *search])
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(_refused_choice(name, chosen, str(error))) from error
    except (YAMLError, ValueError) as error:  # only in a user's files: ours are sound
        raise UserError(f"--config-dir {own_folder}: {' '.join(str(error).split())}") from error
    plain = typing.cast(dict[str, Any], OmegaConf.to_container(config, resolve=True))
    for key in OmegaConf.missing_keys(config):
        _set_key(plain, key.split("."), _MISSING)
    return _with_own_stage(plain)


def _without_experiment(name: str, chosen: tuple[str, ...], own_folder: Path | None) -> dict[str, Any]:
    """The configuration before an experiment sets values. It is cached and must not be changed."""
    groups = tuple(word for word in chosen if word.lstrip("+").partition("=")[0] != "experiment")
    try:
        return _with_groups(name, groups, own_folder)
    except UserError:  # a word chooses from a group that only the experiment has
        return _with_groups(name, chosen, own_folder)


def _with_own_stage(plain: dict[str, Any]) -> dict[str, Any]:
    """Set the keys that an experiment has for the chosen stage alone, in `by_stage`, and drop that key."""
    by_stage = plain.pop("by_stage", None)
    if by_stage is None:
        return plain
    stage = plain["stage"]["name"]
    if stage not in by_stage:
        raise UserError(f"stage={stage}: not a stage of this experiment; allowed: stage={' | '.join(by_stage)}")
    for key, value in leaves(by_stage[stage]):
        try:
            _set_key(plain, key.split("."), value)
        except KeyError:
            raise UserError(f"by_stage.{stage}.{key}: no such key; {meant_by(key, plain)}") from None
    return plain


def quoted(text: str) -> str:
    """A text in quotes, as Hydra's grammar takes it; nothing in it is looked up, not even `${HOME}`."""
    escaped = re.sub(r"(\\*)(\$\{)", lambda match: match[1] * 2 + "\\" + match[2], text)
    escaped = re.sub(r"(\\*)'", lambda match: match[1] * 2 + "\\'", escaped)
    return f"'{escaped}'"


def _refused_choice(name: str, chosen: Sequence[str], reason: str) -> str:
    """Which word is wrong, and what would be right. Hydra's own messages are long, and name files."""
    keys = {word: word.lstrip("+").partition("=")[0] for word in chosen}
    word = next((word for word, key in keys.items() if f"'{key}'" in reason), chosen[-1] if chosen else name)
    parent_groups = [
        path.parent.name for path in CONF_FOLDER.glob("*/*.yaml") if f"/{keys.get(word)}@" in path.read_text("utf-8")
    ]
    if parent_groups:  # a group within another, as brush is in renderer
        return f"{word}: no such key; did you mean {keys[word]}@{parent_groups[0]}.{keys[word]}?"
    return f"{word}: no such key; {meant_by(keys[word], _with_groups(name, ()))}"


def _set_key(
    config: dict[str, Any],
    path: Sequence[str],
    value: Any,
    defaults: Mapping[str, Any] | None = None,
    *,
    add: bool = False,
) -> None:
    """Set a key. If its default is a dict, it is set key by key; if its default is text, it gets the text as typed.

    Args:
        config: configuration in which the key is set.
        path: the parts of the key.
        value: value as `read_value` or YAML gives it.
        defaults: the defaults that decide this, whatever earlier words have set; None for those in `config`.
        add: whether the key may be new.

    Raises:
        KeyError: if there is no such key, and it may not be new.
    """
    first, *below = path
    if first not in config and not (add and first):
        raise KeyError(first)
    current = config.get(first)
    default = defaults[first] if defaults is not None and first in defaults else current
    inner_defaults = default if isinstance(default, Mapping) else None
    if below:
        if add and current is None:
            current = config[first] = {}
        if not isinstance(current, dict):
            raise KeyError(below[0])
        _set_key(current, below, value, inner_defaults, add=add)
    elif isinstance(current, dict) and inner_defaults is not None and isinstance(value, Mapping):
        for key, item in value.items():
            _set_key(current, [str(key)], item, inner_defaults, add=add)
    else:
        text = text_of(value) if isinstance(default, str) else None
        config[first] = value if text is None else text


@functools.cache
def _groups() -> frozenset[str]:
    return frozenset(path.parent.name for path in CONF_FOLDER.glob("*/*.yaml"))


def choices(group: str, own_folder: Path | None = None) -> list[str]:
    """The YAML files of a group, those in a user's own folder included."""
    folders = [CONF_FOLDER, *([own_folder] if own_folder else [])]
    return sorted({path.stem for folder in folders for path in (folder / group).glob("*.yaml")})


def typed(cls: type[_Config], values: Any, key: str = "") -> _Config:
    """Turn plain containers into a (nested) dataclass.

    Args:
        cls: a dataclass; its annotations may be scalars, Literals, unions with None, tuples, dicts, dataclasses or
            unions of dataclasses, of which the field `kind`, a Literal, chooses one (by default the first);
            a union with a class that has `from_url` takes URLs by it.
        values: a mapping with exactly its fields (fields with defaults may be missing); nested values may be
            dataclasses already.
        key: place of the values in the configuration, for messages.

    Raises:
        ConfigError: naming the full key, the value, and what is allowed.
        UserError: naming a key that is missing.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(key, values, f"a group of keys: {', '.join(f.name for f in dataclasses.fields(cls))}")  # type: ignore[arg-type]
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(cls, include_extras=True)
    for name in values:
        if name not in fields:
            raise ConfigError(joined(key, str(name)), values[name], f"one of the keys {', '.join(fields)}")
    for name, field in fields.items():
        if name not in values and field.default is field.default_factory is dataclasses.MISSING:
            raise UserError(f"{joined(key, name)} is required: set {joined(key, name)}=...")
    converted = {name: _convert(hints[name], value, joined(key, name)) for name, value in values.items()}
    try:
        return cls(**converted)
    except ConfigError as error:
        raise error.under(key) from None
    except TypeError as error:
        raise ConfigError(key, dict(values), str(error)) from error


def _convert(hint: Any, value: Any, key: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(value, str | TypedList | TypedDict):
        check_utf8(key, str(value))
    if hint is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        members = [argument for argument in arguments if argument is not type(None)]
        member = _union_member(members, value, key)
        try:
            return _convert(member, value, key)
        except ConfigError as error:
            if member is not int or len(members) == 1:  # of a list, and of all other kinds, more can be said
                raise
            raise ConfigError(key, value, " or ".join(map(_kind, members))) from error
    if origin is Annotated:
        converted = _convert(arguments[0], value, key)
        if HOME not in arguments:
            return converted
        check_no_typing_error(key, converted)
        check_no_password(key, converted, of_server=SERVER in arguments)
        return at_home(converted)
    if origin is typing.Literal:
        if value not in arguments and text_of(value) not in arguments:
            raise ConfigError(key, value, "one of " + ", ".join(str(a) for a in arguments))
        return value if value in arguments else text_of(value)
    if origin is tuple:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise ConfigError(key, value, "a list, such as [1,2]")
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
        if len(kinds) != len(value):
            raise ConfigError(key, value, f"a list of {len(kinds)}")
        return tuple(_convert(kind, item, key) for kind, item in zip(kinds, value, strict=True))
    if origin is Mapping or origin in (dict, collections.abc.Mapping, types.MappingProxyType):
        if not isinstance(value, Mapping):
            raise ConfigError(key, value, "a group of keys")
        for name in value:
            check_utf8(key, str(name))
        names = {name: str(name) if arguments[0] is str else name for name in value}
        return {names[name]: _convert(arguments[1], item, joined(key, str(name))) for name, item in value.items()}
    if isinstance(value, str) and hasattr(hint, "from_url"):
        return hint.from_url(value, key)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return value if isinstance(value, hint) else typed(hint, value, key)
    return _converted_scalar(hint, value, key)


def _converted_scalar(hint: type, value: Any, key: str) -> Any:
    """A path, text, number or bool; text keys take what was typed, whatever else it could be read as."""
    if hint in (str, Path) and (text := text_of(value)) is not None and (text or hint is str):
        return text if hint is str else local_path(text, key)
    if isinstance(value, str) and hint in _PARSERS:
        with contextlib.suppress(ValueError, KeyError):
            return _PARSERS[hint](value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):  # a number of 309 digits or more
            return float(value)
    if hint in _TYPE_NAMES and (not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool)):
        raise ConfigError(key, value, _TYPE_NAMES[hint])
    return value


def _kind(hint: Any) -> str:
    """What values of a scalar type, or of a tuple of such, are called."""
    items = typing.get_args(hint)
    return f"a list of {len(items)} such as {[0.5] * len(items)}" if items else _TYPE_NAMES.get(hint, "")


_TYPE_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text", Path: "a path"}
_PARSERS: Mapping[type, Callable[[str], Any]] = {
    int: int,
    float: float,
    bool: lambda text: {"true": True, "false": False}[text.lower()],
}


def _union_member(hints: Sequence[Any], value: Any, key: str) -> Any:
    """The member of a union that a value is for."""
    if isinstance(value, list):
        return next((hint for hint in hints if typing.get_origin(hint) is tuple), hints[0])
    if isinstance(value, str) and is_url(value):
        return next((hint for hint in hints if hasattr(hint, "from_url")), hints[0])
    if len(hints) == 1 or not isinstance(value, Mapping) or "kind" not in value:
        return hints[0]
    kinds = {kind: hint for hint in hints for kind in typing.get_args(typing.get_type_hints(hint)["kind"])}
    if value["kind"] not in kinds:
        raise ConfigError(joined(key, "kind"), value["kind"], "one of " + ", ".join(kinds))
    return kinds[value["kind"]]
