"""`make mutate` finds what it is told to change and to run."""

import tomllib
from typing import Any

import pytest

from tests.pipelines.runs import REPOSITORY

SETTINGS: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mutmut"]


@pytest.mark.parametrize("key", ["source_paths", "only_mutate", "pytest_add_cli_args_test_selection", "also_copy"])
def test_all_that_mutation_names_is_there(key: str) -> None:
    assert SETTINGS[key]
    assert [name for name in SETTINGS[key] if not (REPOSITORY / name).exists()] == []
