"""The edge of every command: words in; help, one-line errors, a summary and an exit code out."""

import io
import math
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from conf.compose import CONF_FOLDER, choices, compose
from conf.errors import UserError
from conf.shown import shell_words, shown
from conf.value import at_home, plain_value
from process_painter.console import as_started

_Config = TypeVar("_Config")

_LONGEST = 4000  # of an error
COMPLETE, BAD_CONFIGURATION, PARTIAL, INTERRUPTED = 0, 2, 3, 130


_USAGE = """Keys are set as key=value; `--cfg job` shows the outcome without running. `--config-dir FOLDER` adds YAML
files of your own: FOLDER/renderer/mine.yaml is renderer=mine."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a command tells at its end."""

    lines: tuple[str, ...]
    exit_code: int = COMPLETE


def command(
    name: str,
    configure: Callable[[dict[str, Any]], _Config],
    run: Callable[[_Config], Summary],
    description: str,
    arguments_given: Sequence[str] | None = None,
    can_continue: Callable[[_Config], bool] = lambda _: False,
) -> int:
    """Run a command and return its exit code.

    Args:
        name: of `conf/<name>.yaml`; its comments are the help.
        configure: plain configuration -> typed configuration; raises `UserError`.
        run: typed configuration -> summary; raises `UserError`.
        description: what `--help` opens with.
        arguments_given: of the command line; those of this process if null.
        can_continue: whether the same command can continue what an interrupted run left.
    """
    config = None
    arguments = list(sys.argv[1:] if arguments_given is None else arguments_given)
    if arguments == ["--version"]:
        return _tell(f"process-painter {version('process-painter')}", COMPLETE)
    try:
        arguments, own_folder = _without_config_dir(arguments)
        if any(word in ("-h", "--help") for word in arguments):
            return _tell(_lines_shown(help_text(name, description, own_folder)), COMPLETE)
        beside_cfg = _without_cfg(arguments)
        plain = compose(name, arguments if beside_cfg is None else beside_cfg, own_folder)
        config = configure(plain)
        if beside_cfg is not None:
            return _tell(_yaml(plain), COMPLETE)
        summary = run(config)
    except UserError as error:
        print("error: " + _cut(shown(as_started(" ".join(str(error).splitlines())))), file=sys.stderr)
        return BAD_CONFIGURATION
    except KeyboardInterrupt:
        again = config is not None and can_continue(config)
        print("interrupted" + "; the same command again goes on from here" * again, file=sys.stderr)
        return INTERRUPTED
    return _tell("\n".join(map(shown, summary.lines)), summary.exit_code)


def _cut(line: str) -> str:
    """A line without the middle, where it is too long: a refused value may be as long as the file that it stands in."""
    left_out = len(line) - _LONGEST
    if left_out <= 0:
        return line
    half = _LONGEST // 2
    return f"{line[:half]} ... {left_out} characters left out ... {line[-half:]}"


def next_line(*arguments: str, placeholder: str = "") -> str:
    """What to do next, as a line to copy into a shell; `placeholder` is for the user to fill in."""
    return f"next: {shell_words(*arguments)} {placeholder}".rstrip()


def help_text(name: str, description: str, own_folder: Path | None = None) -> str:
    """The description, and every key with its default and meaning, as `conf/` and the user's own folder have them."""
    root = (CONF_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    head, groups = _split_defaults(root)
    parts = [description.strip(), _USAGE, head]
    for group, chosen in groups:
        parts.append(f"{group}={'|'.join(choices(group, own_folder))}   (default: {chosen})")
        for choice in choices(group, own_folder):
            text, held = _choice_help(group, choice, group, own_folder)
            parts.append(f"  {group}={choice}\n{text}")
            for inner, inner_chosen in held:
                inner_group, _, place = inner.lstrip("/").partition("@")
                word = f"{inner_group}@{group}.{place}"
                parts.append(f"    {word}={'|'.join(choices(inner_group))}   (default: {inner_chosen})")
                parts.append(_choice_help(inner_group, inner_chosen, f"{group}.{place}")[0])
    return "\n\n".join(parts)


def _choice_help(
    group: str, choice: str, below: str, own_folder: Path | None = None
) -> tuple[str, list[tuple[str, str]]]:
    """The keys of a choice, which stand below `below`, and the groups that it holds."""
    path = CONF_FOLDER / group / f"{choice}.yaml"
    if not path.exists() and own_folder is not None:
        path = own_folder / group / f"{choice}.yaml"
    text, held = _split_defaults(path.read_text(encoding="utf-8", errors="replace"))
    lines = [line for line in text.splitlines() if not line.startswith(("kind:", "family:", "name:"))]
    return "\n".join(f"    {below}.{line}" if line and line[0].isalpha() else f"    {line}" for line in lines), held


def _split_defaults(text: str) -> tuple[str, list[tuple[str, str]]]:
    """A YAML text without its defaults list, and the (group, choice) pairs of that list."""
    description, groups, inside = [], [], False
    for line in text.splitlines():
        if line.startswith("defaults:"):
            inside = True
        elif inside and line.startswith("  - "):
            group, _, choice = line[4:].partition(": ")
            if choice:
                groups.append((group, choice))
        else:
            inside = False
            description.append(line)
    return "\n".join(description).strip(), groups


def _without_config_dir(arguments: Sequence[str]) -> tuple[list[str], Path | None]:
    """The other arguments, and the folder that `--config-dir FOLDER` or `--config-dir=FOLDER` names."""
    for at, word in enumerate(arguments):
        option, sign, value = word.partition("=")
        if option in ("--config-dir", "-cd"):
            named = [value] if sign else list(arguments[at + 1 : at + 2])
            folder = Path(at_home(named[0])) if named else None
            if folder is None or not folder.is_dir():
                raise UserError(
                    f"{' '.join([option, *named])}: not a folder; say --config-dir FOLDER, of your own YAML"
                )
            return [*arguments[:at], *arguments[at + (1 if sign else 2) :]], folder
    return list(arguments), None


def _without_cfg(arguments: Sequence[str]) -> list[str] | None:
    """The words beside `--cfg job`; None where it was not said."""
    if "--cfg" not in arguments:
        return None
    at = arguments.index("--cfg")
    if arguments[at + 1 : at + 2] != ["job"]:
        raise UserError("--cfg: not understood; say --cfg job")
    return [*arguments[:at], *arguments[at + 2 :]]


def _yaml(plain: dict[str, Any]) -> str:
    import yaml

    text: str = yaml.safe_dump(plain_value(plain), sort_keys=False, allow_unicode=True, width=math.inf)
    return _lines_shown(text.strip())


def _lines_shown(text: str) -> str:
    """A text of our own layout, in which strangers' words may stand."""
    return "\n".join(map(shown, text.split("\n")))


def _tell(text: str, exit_code: int) -> int:
    """Print what a command has to say; a reader who has seen enough, as `head` has, is no fault."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names need not be UTF-8
    try:
        print(as_started(text), flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains of it at its end
    return exit_code
