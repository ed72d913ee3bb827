"""What `--help` prints: every key of a command, as the YAML files of `conf/` describe it."""

from pathlib import Path

from conf import CONF_FOLDER
from conf.compose import choices
from conf.options import USAGE


def help_text(name: str, description: str, own_folder: Path | None = None) -> str:
    """The description, and every key with its default and meaning, as `conf/` and the user's own folder have them."""
    root = (CONF_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    head, groups = split_defaults(root)
    parts = [description.strip(), USAGE, head]
    for group, chosen in groups:
        parts.append(f"{group}={'|'.join(choices(group, own_folder))}   (default: {chosen})")
        for choice in choices(group, own_folder):
            text, inner_groups = _choice_help(group, choice, group, own_folder)
            parts.append(f"  {group}={choice}\n{text}")
            for inner, inner_chosen in inner_groups:
                inner_group, _, place = inner.lstrip("/").partition("@")
                word = f"{inner_group}@{group}.{place}"
                parts.append(f"    {word}={'|'.join(choices(inner_group))}   (default: {inner_chosen})")
                parts.append(_choice_help(inner_group, inner_chosen, f"{group}.{place}")[0])
    return "\n\n".join(parts)


def _choice_help(
    group: str, choice: str, below: str, own_folder: Path | None = None
) -> tuple[str, list[tuple[str, str]]]:
    """The keys of a choice, which are below `below`, and the groups that it contains."""
    path = CONF_FOLDER / group / f"{choice}.yaml"
    if not path.exists() and own_folder is not None:
        path = own_folder / group / f"{choice}.yaml"
    yaml_text = path.read_text(encoding="utf-8", errors="replace")
    if yaml_text.startswith("# @package _global_"):  # an experiment: it sets keys that are described elsewhere
        comments = [line.removeprefix("# ") for line in yaml_text.splitlines()[1:] if line.startswith("# ")]
        return "\n".join(f"    {line}" for line in [*comments, str(path)]), []
    text, inner_groups = split_defaults(yaml_text)
    lines = [line for line in text.splitlines() if not line.startswith(("kind:", "family:", f"name: {choice}"))]
    return "\n".join(
        f"    {below}.{line}" if line and line[0].isalpha() else f"    {line}" for line in lines
    ), inner_groups


def split_defaults(text: str) -> tuple[str, list[tuple[str, str]]]:
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
