"""Every row of docs/formats.md is held by a test."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_each_row_of_the_page_names_tests_that_are_there() -> None:
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    rows = [
        line
        for line in page.splitlines()
        if line.startswith("|") and not re.match(r"\|[-| ]+$|\| (what|layout) ", line)
    ]
    assert len(rows) > 30
    for row in rows:
        tests = re.findall(r"`(test_\w+)`", row.rstrip(" |").rpartition("|")[2])
        assert tests, row
        for name in tests:
            assert f"def {name}(" in sources, name
