"""Names of variables say what they hold."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]
_PACKAGES = ("benchmarks", "conf", "integrations", "pipelines", "process_painter", "renderers", "training")
_SAY_NOTHING = frozenset({
    "found", "held", "here", "kept", "ours", "said", "shown", "some", "stuff", "theirs", "there", "told", "words",
})  # fmt: skip


def _names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of every parameter and assigned variable. Fields of classes are left out: they are users' keys."""
    fields = {
        id(statement.target)
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for statement in node.body
        if isinstance(statement, ast.AnnAssign)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and id(node) not in fields:
            yield node.lineno, node.id


@pytest.mark.parametrize("package", _PACKAGES)
def test_names_of_variables_say_what_they_hold(package: str) -> None:
    vague = [
        f"{path.relative_to(_ROOT)}:{line}: {name}"
        for path in sorted((_ROOT / package).rglob("*.py"))
        for line, name in _names(ast.parse(path.read_text(encoding="utf-8")))
        if name in _SAY_NOTHING
    ]
    assert not vague, "say what it holds: " + ", ".join(vague)


def test_vague_names_are_seen_wherever_a_variable_gets_its_name() -> None:
    source = """
def f(found, *words, **said):
    for there in found: ours = [told for told in there]
    with f as here: ...
"""
    assert sorted(name for _, name in _names(ast.parse(source))) == [
        "found", "here", "ours", "said", "there", "told", "words",
    ]  # fmt: skip
    assert not list(_names(ast.parse("class Config:\n    words: str\n")))
